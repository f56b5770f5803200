"""The same Spec from a spaCy English model that the user has installed ("en_core_web_sm"), by its dependency parse.

Labels are those of spaCy's English models (ClearNLP style: amod, compound, acomp, oprd, acl, relcl, pobj, ...).
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from abe_rerank.errors import UsageError
from abe_rerank.parsing.lexicon import kind_of, lemma, lexicon
from abe_rerank.parsing.scene import Scene, Thing, Value, spec_of
from abe_rerank.parsing.scene_words import FRAMES, MADE, PLACES, PROPERTY_KINDS, STYLES
from abe_rerank.parsing.tags import ADJECTIVE, ADVERB, AND, BE, DETERMINER, MARK, PREPOSITION, PRONOUN, VERB
from abe_rerank.parsing.typed import ALTERNATIVE, Typed
from abe_rerank.parsing.words import Word
from abe_rerank.types import Spec

if TYPE_CHECKING:
    from spacy.language import Language
    from spacy.tokens import Doc, Token

_NOUNS = frozenset({"NOUN", "PROPN"})
_SUBJECTS = frozenset({"nsubj", "nsubjpass"})
_PREDICATES = frozenset({"acomp", "oprd", "attr", "xcomp", "advcl"})


@cache
def load(model: str) -> Language:
    """The user's spaCy model. Raises UsageError if it is not installed or gives no dependency parse."""
    import spacy

    try:
        nlp = spacy.load(model)
    except OSError as error:
        raise UsageError(
            f"spaCy model {model!r} is not installed: run `python -m spacy download {model}`, "
            "or leave the model out for the built-in parser"
        ) from error
    if "parser" not in nlp.pipe_names:
        raise UsageError(f"spaCy model {model!r} has no dependency parser; name one that has, such as en_core_web_sm")
    return nlp


def words_of_doc(doc: Doc) -> list[Word]:
    """One word for each token of a parsed document, so that word and token indices agree."""
    tags = {
        "PUNCT": MARK,
        "DET": DETERMINER,
        "ADP": PREPOSITION,
        "VERB": VERB,
        "AUX": BE,
        "CCONJ": AND,
        "PRON": PRONOUN,
        "ADV": ADVERB,
        "SPACE": MARK,
    }
    return [
        Word(token.text, token.lower_, token.idx, token.idx + len(token.text), tags.get(token.pos_, ADJECTIVE))
        for token in doc
    ]


def parse_with(model: str, typed: Typed) -> Spec:
    """The Spec of a prompt by the dependency parse of an installed spaCy model. Raises UsageError as
    :func:`load` does.
    """
    return spec_of_doc(load(model)(typed.text.replace(ALTERNATIVE, "&")), typed)


def spec_of_doc(doc: Doc, typed: Typed | None = None) -> Spec:
    """The Spec of a document with tags, heads and dependency labels, and of the prompt that was typed if that is
    another text."""
    return spec_of(typed or Typed(doc.text, doc.text), DependencyBinder(doc, words_of_doc(doc)).run())


class DependencyBinder:
    """Collects the things of a parsed document."""

    def __init__(self, doc: Doc, words: list[Word]) -> None:
        self.doc = doc
        self.scene = Scene(words)
        self.things: dict[int, int] = {}  # the number of a token's thing

    def run(self) -> Scene:
        """Collect every object, then bind attributes and relate objects."""
        nouns = [token for token in self.doc if token.pos_ in _NOUNS and token.dep_ != "compound"]
        for token in nouns:
            if self._is_object(token):
                self.things[token.i] = self.scene.add(self._thing(token))
        for token in nouns:
            self._bind(token)
        for token in self.doc:
            if token.dep_ == "prep":
                self._relate(token)
        return self.scene

    def _is_object(self, token: Token) -> bool:
        """False for the picture, style, places, properties with an owner, and substances ("made of wood")."""
        base = lemma(token.lower_)
        under = token.head.lower_ if token.dep_ == "pobj" else ""
        if base in FRAMES and (token.dep_ in ("ROOT", "nsubj") or under in ("in", "of")):
            reason = "the picture itself"
        elif token.lower_ in STYLES or any(t.lower_ in STYLES for t in token.ancestors if t.dep_ == "pobj"):
            reason = "style"
        elif token.lower_ in PLACES and under in ("in", "on", "at", "to"):
            reason = "place"
        elif base in PROPERTY_KINDS and self._owner(token) is not None:
            reason = "property"
        else:
            return self._made_from(token) is None
        self.scene.reasons[token.i] = reason
        return False

    def _thing(self, token: Token) -> Thing:
        first = token.i
        while first > 0 and self._extends_head(self.doc[first - 1], token):
            first -= 1
        left = [child.i for child in token.lefts if child.dep_ != "poss" or child.i > token.left_edge.i]
        count, negated = None, token.dep_ == "pobj" and token.head.lower_ == "without"
        for child in token.children:
            if child.dep_ == "nummod" and child.i < token.i:
                count = child.i
            elif child.dep_ == "neg" or (child.dep_ == "det" and child.lower_ == "no"):
                negated = True
        return Thing(first, token.i + 1, min([first, *left]), count, negated)

    def _extends_head(self, before: Token, token: Token) -> bool:
        lex = lexicon()
        valued = before.lower_ in lex.materials or before.lower_ in lex.shape_nouns or before.lower_ in lex.colours
        return before.dep_ == "compound" and before.head.i <= token.i and not valued

    def _bind(self, token: Token) -> None:
        """Bind what modifies or is said of a noun; a property's values go to its owner."""
        owner = self.things.get(token.i)
        if token.i in self.scene.reasons and self.scene.reasons[token.i] == "property":
            found = self._owner(token)
            owner = self.things.get(found.i) if found is not None else None
        made_from = self._made_from(token)
        if made_from is not None and made_from.i in self.things:
            owner = self.things[made_from.i]
            self.scene.attach((owner,), Value(token.i, token.i, "material"))
        if owner is None:
            return
        for value in self._values(token):
            self._add(owner, value)

    def _values(self, token: Token) -> list[Token]:
        found: list[Token] = []
        for child in token.children:
            if child.dep_ == "amod" and self._shades(child):
                continue
            if child.dep_ == "amod" or (child.dep_ in ("compound", "nmod") and not self._extends_head(child, token)):
                found += self._with_conjuncts(child)
            elif child.dep_ in ("acl", "relcl"):
                found += self._predicates(child, token)
        subject = token
        while subject.dep_ == "conj" and subject.head.pos_ in _NOUNS:
            subject = subject.head
        if subject.dep_ in _SUBJECTS and subject.head.pos_ in ("AUX", "VERB"):
            found += self._predicates(subject.head, subject)
        return found

    def _shades(self, token: Token) -> bool:
        """Does an adjective shade the colour after it ("light blue")?"""
        after = self.doc[token.i + 1] if token.i + 1 < len(self.doc) else token
        return token.lower_ in lexicon().colour_modifiers and kind_of(after.lower_) == "colour" and after is not token

    def _predicates(self, verb: Token, subject: Token) -> list[Token]:
        """The adjectives that a verb says of its subject: "is red", "painted red"."""
        if any(child.dep_ == "neg" for child in verb.children):
            return []
        own = [child for child in verb.children if child.dep_ in _SUBJECTS]
        if own and own[0].i != subject.i and own[0].tag_ not in ("WDT", "WP"):
            return []
        passive = any(child.dep_ == "auxpass" for child in verb.children) and kind_of(verb.lower_) != "other"
        said = [child for child in verb.children if child.dep_ in _PREDICATES or child.dep_ == "dobj"]
        valued = [child for child in said if child.pos_ == "ADJ" or kind_of(child.lower_) == "colour"]
        return [verb] * passive + [value for child in valued for value in self._with_conjuncts(child)]

    def _with_conjuncts(self, token: Token) -> list[Token]:
        inner = [child for child in token.lefts if child.dep_ == "amod" and not self._shades(child)]
        return [
            *inner,
            token,
            *(other for other in token.conjuncts if other.i > token.i and other.pos_ not in ("VERB", "AUX")),
        ]

    def _add(self, thing: int, value: Token) -> None:
        """Add an attribute; a hyphenated word is one, and a colour takes the word that shades it."""
        first = last = value.i
        while last + 2 < len(self.doc) and self.doc[last + 1].text == "-" and not self.doc[last + 1].whitespace_:
            last += 2
        while first > 1 and self.doc[first - 1].text == "-" and not self.doc[first - 1].whitespace_:
            first -= 2
        shade = self.doc[first - 1] if first else None
        if shade is not None and self._shades(shade):
            first -= 1
        if first == last:
            self.scene.bind((thing,), value.i)
        else:
            self.scene.attach((thing,), Value(first, last, kind_of(self.doc[first : last + 1].text)))

    def _owner(self, token: Token) -> Token | None:
        """Whose property a property noun is: "a cow with a glass texture", "the ball's colour", "the colour of
        the ball".
        """
        for child in token.children:
            if child.dep_ == "poss" and child.pos_ in _NOUNS:
                return child
            if child.dep_ == "prep" and child.lower_ == "of":
                return next((t for t in child.children if t.pos_ in _NOUNS), None)
        if token.dep_ == "pobj" and token.head.lower_ in ("with", "in", "of"):
            return self._governor(token.head)
        if token.dep_ == "dobj":
            return self._subject(token.head)
        return None

    def _made_from(self, token: Token) -> Token | None:
        """What the noun is the substance of: the table of "a table made of wood"."""
        if token.dep_ == "conj" and token.lower_ in lexicon().materials:
            return self._made_from(token.head)
        prep = token.head
        if token.dep_ != "pobj" or prep.lower_ not in ("of", "from") or any(c.dep_ == "det" for c in token.children):
            return None
        if prep.head.lower_ in MADE:
            return prep.head.head if prep.head.dep_ in ("acl", "relcl") else self._subject(prep.head)
        material = token.lower_ in lexicon().materials and prep.head.pos_ in _NOUNS and prep.lower_ == "of"
        return prep.head if material else None

    def _governor(self, prep: Token) -> Token | None:
        head = prep.head
        while head.dep_ in ("prep", "advmod", "pcomp"):
            head = head.head
        return head if head.pos_ in _NOUNS else self._subject(head)

    def _subject(self, verb: Token) -> Token | None:
        for child in verb.children:
            if child.dep_ in _SUBJECTS:
                return verb.head if child.tag_ in ("WDT", "WP") else child
        if verb.dep_ in ("acl", "relcl"):
            return verb.head
        return self._subject(verb.head) if verb.dep_ in ("conj", "xcomp", "advcl") and verb.head is not verb else None

    def _relate(self, prep: Token) -> None:
        governor = self._governor(prep)
        subject = self.things.get(governor.i) if governor is not None else None
        for child in prep.children:
            target = self.things.get(child.i)
            if child.dep_ == "pobj" and subject is not None and target is not None:
                self.scene.relate(subject, prep.i, target)
