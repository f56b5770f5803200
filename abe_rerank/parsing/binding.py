"""Which attribute belongs to which object: one walk over noun phrases and the words between them."""

from __future__ import annotations

from abe_rerank.parsing import constructions
from abe_rerank.parsing.clauses import Item, items_of
from abe_rerank.parsing.lexicon import kind_of
from abe_rerank.parsing.phrases import Phrase
from abe_rerank.parsing.scene_words import LINKING, PAINTED, STATED
from abe_rerank.parsing.things import Scene, Thing
from abe_rerank.parsing.words import Word
from abe_rerank.types import Kind

_PLURAL_BE = frozenset({"are", "were", "'re"})
_PRONOUNS = frozenset({"it", "they", "he", "she"})
_ANAPHORS = frozenset({"one", "other", "another", "others", "both", "each", "two", "three", "all", "some"})
_INSTEAD = frozenset({"instead of", "rather than", "without", "unlike", "except"})
_NEAR = 12  # how far attributes and ellipses reach, in items; keeps the walk linear


class Binder:
    """Walks over a tagged prompt once, keeping the clause's subject, the last thing and the word that links to
    the next.
    """

    def __init__(self, words: list[Word]) -> None:
        self.words = words
        self.items: list[Item] = items_of(words)
        self.scene = Scene(words)
        self.subject: list[Thing] = []  # of the current clause
        self.topic: list[Thing] = []  # what "it" and "they" mean
        self.since_verb: list[Thing] = []  # things since the last finite verb: candidates for the next subject
        self.last: Thing | None = None
        self.link: Item | None = None  # the preposition, verb or participle before the next phrase
        self.copula: list[Thing] = []  # what a predicative adjective describes
        self.only_colours = False  # the copula is an ordinary verb ("shines green")
        self.verb_seen = False
        self.negate = False
        self.framed = False  # the prompt has named the picture ("a photo of")
        self.elliptic: list[Phrase] = []  # "a red" of "a red and a blue ball"
        self.fronted: tuple[int, Thing] | None = None  # "on the table" of "on the table is a cup"
        self.owner: Thing | None = None  # the woman of "a woman's dress"
        self.described: list[Thing] = []  # whose colour is of "its colour is red"
        self.property_of = False  # "the colour of" has been read
        self.coming: list[tuple[int, Kind]] = []  # values of "the soft texture of", for what comes
        self.substance: list[Thing] = []  # what "made of" speaks of, for "of wood and glass"
        self.predicates: list[int] = []  # adjectives of the last predicate, for "respectively"

    def run(self) -> Scene:
        """Visit every item in order and give what was collected."""
        at = 0
        while at < len(self.items):
            item = self.items[at]
            at = self._phrase(at, item.phrase) if item.phrase is not None else self._word(at, item)
        return self.scene

    def low(self, at: int) -> str:
        """The lower-case first word of the item at ``at``, "" beyond the ends."""
        return self.words[self.items[at].at].low if 0 <= at < len(self.items) else ""

    def tag(self, at: int) -> str:
        """The tag of the item at ``at``, "." beyond the ends."""
        return self.items[at].tag if 0 <= at < len(self.items) else "."

    def low_follows(self, at: int) -> str:
        """The lower-case word after the word (not the item) at ``at``."""
        return self.words[at + 1].low if at + 1 < len(self.words) else ""

    @property
    def link_low(self) -> str:
        """The linking word before the current phrase, "" if there is none."""
        return self.words[self.link.at].low if self.link is not None else ""

    # -- words between noun phrases -------------------------------------------------------------------------------

    def _word(self, at: int, item: Item) -> int:
        word, tag = self.words[item.at], item.tag
        if tag == ".":
            self._end_sentence()
        elif tag in "BH" or (tag in "VEG" and word.low in LINKING):
            self._verb(item, word, self.tag(at - 1) != "O" or word.low != "'s")
            self.copula = list(self.subject) if tag != "H" else []
            self.only_colours = False
        elif tag == "J" or (tag in "EG" and self._is_value(at, word)):
            self._bare(at, item)
        elif tag == "V":
            self._verb(item, word, True)
            self.copula = list(self.subject)
            self.only_colours = True
        elif tag in "EG":
            if word.low not in PAINTED:
                self.copula = []
            self.link = item
        elif tag == "I":
            self.link = item
            self.copula = []
        elif tag in "WOS":
            self._pronoun(at, word, tag)
        elif tag == "X":
            self.negate = True
        elif word.low == "respectively":
            self._respectively()
        elif tag in ",":
            self.link = None
            self.negate = self.negate and self.tag(at + 1) in "JR"
        return at + 1

    def _is_value(self, at: int, word: Word) -> bool:
        """Is a participle an attribute by itself ("rusted"), not the link to what follows ("carved from")?"""
        acts = word.tag == "G" and self.tag(at + 1) == "P"  # "a man peeling an orange"
        return kind_of(word.low) != "other" and word.low not in PAINTED and self.tag(at + 1) != "I" and not acts

    def _end_sentence(self) -> None:
        self.topic = self.subject or self.since_verb[:1] or self.topic
        self.subject, self.since_verb, self.copula, self.elliptic, self.described = [], [], [], [], []
        self.link, self.fronted = None, None
        self.negate = self.verb_seen = False

    def _verb(self, item: Item, word: Word, finds_subject: bool) -> None:
        """A finite verb: settle its subject from the things since the last one."""
        plural = word.low in _PLURAL_BE or (item.tag in "VH" and not word.low.endswith("s"))
        candidates = [thing for thing in self.since_verb if thing.role == "subject"]
        if self.described:
            self.subject, self.described = self.described, []
        elif candidates and finds_subject:
            self.subject = candidates if plural else candidates[-1:]
        elif self.since_verb and self.since_verb[-1].role == "joined":
            self.subject = self.since_verb[-1:]
        if item.tag != "G":
            self.since_verb = []
            self.verb_seen = True
        self.link = item
        self.predicates = []

    def _pronoun(self, at: int, word: Word, tag: str) -> None:
        if tag == "W" and self.last is not None and self.tag(at - 1) != "I":
            joined = self.low(at + 1) in _PLURAL_BE and len(self.since_verb) > 1 and self.last.role != "object"
            self.subject = list(self.since_verb) if joined else [self.last]
        elif tag == "O" and word.low in _PRONOUNS and (self.topic or self.subject) and self.tag(at - 1) not in "IVG":
            self.subject = list(self.subject if self.verb_seen and self.subject else self.topic or self.subject)
        elif tag == "S" and self.tag(at + 1) in "JR" and self.copula:  # "not red but blue"
            self.negate = False
            return
        elif tag == "S":
            self.topic = self.subject or self.topic
        if tag != "O" or self.tag(at - 1) != "I":  # "the bowl beside it is blue": the bowl is still the subject
            self.since_verb = []
        self.link = None

    def _bare(self, at: int, item: Item) -> None:
        """An adjective outside a noun phrase: predicative, after "painted" or "in", or after its noun."""
        word = self.words[item.at]
        targets = self._bare_targets(at, kind_of(word.low))
        if self.negate:
            self.scene.reasons[item.at] = "negated"
            self.negate = self.tag(at + 1) in "CJR,"  # "not white, but", "not very tall", not "not white in front of"
        elif self.low(at + 1) == "than":
            self.scene.reasons[item.at] = "comparison"
        elif word.tag == "E" and word.low in STATED:
            self.link = item
        else:
            self.scene.bind(targets, item.at)
            self.predicates.append(item.at)

    def _bare_targets(self, at: int, kind: str) -> list[Thing]:
        if self.copula and (kind == "colour" or not self.only_colours):
            return self.copula
        last = [self.last] if self.last is not None else []
        if self.link_low in PAINTED:
            return self.subject if self.subject and self.verb_seen and not self.since_verb else last
        if self.link_low in ("in", "of") and kind == "colour" and not self.framed_only:
            return last
        if self.link_low == "of" and kind == "material":  # "a jar made of ceramic"
            return last
        if kind == "other":
            return []
        k = at - 1
        while self.tag(k) in "RJ,C:" and k > max(at - _NEAR, 0):
            k -= 1
        return last if self.tag(k) == "P" else []

    @property
    def framed_only(self) -> bool:
        """True if the prompt has named the picture but nothing in it yet."""
        return self.framed and self.last is None

    def _respectively(self) -> None:
        """ "The cube and the ball are red and blue respectively": one adjective for each subject."""
        if len(self.predicates) == len(self.subject) > 1:
            for k, thing in enumerate(self.subject):
                others = set(self.predicates) - {self.predicates[k]}
                thing.attributes = [a for a in thing.attributes if a[1] not in others]

    # -- noun phrases ---------------------------------------------------------------------------------------------

    def _phrase(self, at: int, phrase: Phrase) -> int:
        if phrase.headless:
            self._headless(at, phrase)
        elif constructions.is_frame(self, at, phrase):
            self.framed = True
            self.link = None
        elif constructions.is_style_or_place(self, at, phrase):
            self.link = None
        elif not (
            constructions.shape_like(self, at, phrase)
            or constructions.property_phrase(self, at, phrase)
            or constructions.substance(self, at, phrase)
        ):
            self._place(at, phrase, self.scene.add(phrase))
        return at + 1

    def _headless(self, at: int, phrase: Phrase) -> None:
        """A phrase without a noun: a predicate ("is a deep blue"), an ellipsis, or a mention ("one", "the other")."""
        if self.copula and phrase.modifiers and phrase.number is None:
            for k in phrase.modifiers:
                self.scene.bind(self.copula, k)
            return
        if self.link_low in PAINTED and phrase.modifiers and self.last is not None:
            for k in phrase.modifiers:
                self.scene.bind([self.last], k)
            return
        if phrase.modifiers and self._noun_comes(at):
            self.elliptic.append(phrase)
            return
        if self.last is None:
            return
        whole = self.since_verb[0] if self.since_verb else self.last
        antecedent = whole if whole.count is not None else self.last
        for k in phrase.modifiers:
            if self.negate or self.link_low in _INSTEAD:  # "a red kite, not a blue one"
                self.scene.reasons[k] = "negated"
            self.scene.bind([antecedent], k)
        self.negate = False
        if self.words[phrase.end - 1].low in _ANAPHORS:
            self.subject, self.since_verb = [antecedent], []
            self.last = antecedent
            self.link = None

    def _noun_comes(self, start: int) -> bool:
        """Does "and" with a whole phrase end the list of phrases without a noun that starts here?"""
        for at in range(start, start + _NEAR, 2):
            if self.tag(at + 1) not in "C," or at + 2 >= len(self.items):
                return False
            phrase = self.items[at + 2].phrase
            if phrase is None:
                return False
            if not phrase.headless:
                opened = phrase.determiner is not None or phrase.number is not None
                return self.tag(at + 1) == "C" and opened and bool(phrase.modifiers)
        return False

    def _place(self, at: int, phrase: Phrase, thing: Thing) -> None:
        """Give the thing of a phrase its role, its relation to what stands before it, and make it the last one."""
        if phrase.possessive:
            self.owner = thing
            return
        self._share_noun(phrase)
        before = self.tag(at - 1)
        if self._is_whose(phrase):
            self.since_verb = []
        elif self.link is not None and before not in "C,":
            self._linked(thing)
        elif before in "C," and self.last is not None and at > 1:
            thing.role = "joined" if self.last.role in ("object", "joined") else "subject"
            if self.last.negated and self.low(at - 1) in ("or", "nor"):
                thing.negated = True
            self._between(thing)
        else:
            thing.role = "subject"
        if self.negate:  # "a sofa but not a chair"
            thing.negated = True
        if self.fronted is not None and thing is not self.fronted[1] and before in "BVP,":
            self.scene.relate(thing, *self.fronted)
            self.fronted = None
        for k, kind in self.coming:
            self.scene.bind([thing], k, kind)
        self.coming = []
        self.described = [thing] if self.property_of else self.described
        self.negate = self.property_of = False
        self.copula = []
        self.last = thing
        self.owner = None
        self.since_verb = [*self.since_verb[-_NEAR:], thing]
        self.link = None

    def _is_whose(self, phrase: Phrase) -> bool:
        return phrase.determiner is not None and self.words[phrase.determiner].low == "whose"

    def _linked(self, thing: Thing) -> None:
        assert self.link is not None
        known = thing in self.since_verb or thing in self.subject
        after_verb = self.verb_seen and bool(self.subject) and not self.since_verb
        governor = self.subject[0] if after_verb else self.last
        if self.link.tag in "IVGH":
            if governor is None or (self.link.tag == "I" and not self.since_verb and not after_verb):
                self.fronted = (self.link.at, thing) if self.link.tag == "I" else None
            else:
                self.scene.relate(governor, self.link.at, thing)
        if not known and not (self.link.tag == "B" and not self.subject):
            thing.role = "object"
        if self.link_low in ("without", "minus"):
            thing.negated = True

    def _between(self, thing: Thing) -> None:
        """ "between A and B" relates its subject to both."""
        if self.scene.relations:
            subject, word, target = self.scene.relations[-1]
            if target is self.last and self.words[word].low in ("between", "in between"):
                self.scene.relate(subject, word, thing)

    def _share_noun(self, phrase: Phrase) -> None:
        """ "a red and a blue ball": the phrases without a noun share this one's."""
        for extra in self.elliptic:
            twin = Thing(phrase.head, phrase.end, extra.start, count=extra.number)
            self.scene.things.insert(len(self.scene.things) - 1, twin)
            for k in extra.modifiers:
                self.scene.bind([twin], k)
        self.elliptic = []
