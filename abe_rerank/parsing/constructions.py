"""Noun phrases that are no objects: the picture, its style, places in it, properties, shapes and substances of
other things.

Each function is asked about one phrase and gives the step that takes it, or None.
"""

from __future__ import annotations

from abe_rerank.parsing.edits import Attach, Bind, Edits, Ignore, Step, Things, View
from abe_rerank.parsing.lexicon import is_plural, kind_of, lemma, lexicon
from abe_rerank.parsing.phrases import Phrase
from abe_rerank.parsing.scene import Value
from abe_rerank.parsing.scene_words import (
    FRAME_OPENERS,
    FRAMES,
    MADE,
    PLACES,
    PROPERTY_KINDS,
    STYLE_WORDS,
    STYLES,
)
from abe_rerank.parsing.tags import ADVERB, COMMA, JOINING, MARK, PHRASE, PREPOSITION, STOP, VERB, tags
from abe_rerank.types import Kind

_PLACE_LINKS = frozenset(["in", "on", "at", "to", "from", "into", "near", "toward", "towards"])
_PICTURE_LINKS = frozenset(["in", "of", "within", "throughout", "across"])
_POSSESSIVES = frozenset(["its", "their", "his", "her"])
_IN_STYLE = frozenset(["in the style of", "in style of"])
_SHADES = frozenset(["shade", "shades", "tint", "tints"])
_AFTER_FRAME = tags("VBHGE.")


def frame(view: View, phrase: Phrase) -> Step | None:
    """ "A photo of", "The image shows", "in the picture": the picture itself."""
    base = lemma(view.words[phrase.end - 1].low)
    if base not in FRAMES or (base == "background" and phrase.modifiers):
        return None
    before, after = view.tag(-1), view.tag(1)
    framed = view.talk.framed
    opens = before in (STOP, MARK) or (before in JOINING and not view.clause.since_verb) or view.at == 0
    opens = opens or (before == COMMA and after in (STOP, COMMA))  # "..., digital painting, ..."
    opener = (view.low(1) or ".") in FRAME_OPENERS or after in _AFTER_FRAME
    inside = view.link_low in _PICTURE_LINKS and (framed or _definite(view, phrase))
    if not ((opens and opener) or inside or (framed and _definite(view, phrase))):
        return None
    ignore = Ignore(phrase.start, phrase.end, "the picture itself")
    return Step(view.clause._replace(link=None), view.talk._replace(framed=True), (ignore,))


def _definite(view: View, phrase: Phrase) -> bool:
    return phrase.determiner is not None and view.words[phrase.determiner].low in ("the", "this")


def style_or_place(view: View, phrase: Phrase) -> Step | None:
    """ "in the style of cubism", "soft lighting", "by Hokusai"; "on the left", "in the background"."""
    words = view.words
    head = words[phrase.end - 1].low
    link = view.link_low
    bare = phrase.determiner is None and not phrase.modifiers
    named = words[phrase.head].text[:1].isupper() and bare
    placed = not phrase.modifiers and link in _PLACE_LINKS and view.low(1) != "of"
    if head in STYLES or head in STYLE_WORDS or link in _IN_STYLE or (link == "by" and named):
        reason = "style"
    elif head in PLACES and placed:
        reason = "place"
    else:
        return None
    return Step(view.clause._replace(link=None), view.talk, (Ignore(phrase.start, phrase.end, reason),))


def shape_like(view: View, phrase: Phrase) -> Step | None:
    """ "shaped like a heart", "in the shape of a heart": the noun is the shape of the thing before it."""
    shaped = view.link_low in ("like", "as") and view.low(-2) == "shaped"
    form = view.low(-1) == "of" and view.tag(-2) == PHRASE and view.low(-3) == "in"
    if form:
        before = view.items[view.at - 2].phrase
        form = before is not None and not before.modifiers
        form = form and before is not None and lemma(view.words[before.end - 1].low) in ("shape", "form")
    targets = _described(view)
    if not targets or not (shaped or form):
        return None
    return Step(view.clause, view.talk, (Attach(targets, Value(phrase.head, phrase.end - 1, "shape")),))


def _described(view: View) -> Things:
    """What a phrase after "with", "of" or "made of" speaks of: the subject after a verb, else the last thing."""
    clause = view.clause
    if clause.verb_seen and clause.subject and not clause.since_verb:
        return clause.subject
    return view.talk.lasts


def property_phrase(view: View, phrase: Phrase) -> Step | None:
    """ "with a glass texture", "has a red colour", "its colour is red": the values go to the owner of the property."""
    words, clause = view.words, view.clause
    last = words[phrase.end - 1]
    kind = PROPERTY_KINDS.get(lemma(last.low))
    if kind is None or last.tag == VERB:
        return None
    if last.low in _SHADES and view.low(1) != "of":  # "a lamp with a red shade"
        return None
    nouns = (k for k in range(phrase.head, phrase.end - 1) if _names_value(view, k, kind))
    values = (*phrase.modifiers, *nouns)
    owners = _owners(view, phrase)
    talk = view.talk._replace(owner=None)
    if not values:
        opens = clause.link is None
        of = opens and view.low(1) == "of"
        clause = clause._replace(described=owners if opens and not of else ())
        return Step(clause, talk._replace(property_of=of), (Ignore(phrase.start, phrase.end, "property"),))
    pairs = tuple((k, _value_kind(words[k].low, kind)) for k in values)
    edits: Edits = ()
    if view.low(1) == "of" and view.tag(2) == PHRASE:  # "the soft texture of the cloth"
        talk = talk._replace(coming=pairs)
    elif not owners:
        return None
    else:
        edits = tuple(Bind(owners, k, value_kind) for k, value_kind in pairs)
    return Step(clause, talk, (*edits, Ignore(phrase.end - 1, phrase.end, "property")))


def _names_value(view: View, at: int, kind: Kind) -> bool:
    """Is a noun before the property its value: "glass texture", "heart shape", not "leaf shapes"?"""
    return kind_of(view.words[at].low) != "other" or (kind == "shape" and view.words[at + 1].low == "shape")


def _value_kind(low: str, kind: Kind) -> Kind:
    own = kind_of(low)
    return kind if own in ("other", "material") and kind in ("texture", "shape") else own


def _owners(view: View, phrase: Phrase) -> Things:
    """Whose property it is: the possessor, the subject of "has" and "is", else the last thing."""
    clause, talk = view.clause, view.talk
    if talk.owner is not None:
        return (talk.owner,)
    determiner = view.words[phrase.determiner].low if phrase.determiner is not None else ""
    if determiner in _POSSESSIVES:
        return clause.subject or talk.topic or talk.lasts
    if clause.link is None and determiner != "" and talk.topic and not clause.since_verb:
        return talk.topic
    return _described(view)


def substance(view: View, phrase: Phrase) -> Step | None:
    """ "made of dark wood and glass", "a vase of glass": the material, and its colours, go to the thing."""
    low = view.words[phrase.end - 1].low
    before, earlier = view.tag(-1), view.talk.substance
    by = -2
    while view.tag(by) in (ADVERB, PREPOSITION) and view.at + by > 0:
        by -= 1
    made = before == PREPOSITION and view.low(by) in MADE
    whole = phrase.end - phrase.head == 1 and phrase.number is None and phrase.determiner is None
    anything = made and (not is_plural(low) or not phrase.modifiers)  # "made of water", "made of bananas"
    joined = before in JOINING and bool(earlier)
    of = view.link_low == "of" and before == PREPOSITION
    if not whole or not (low in lexicon().materials or anything) or not (made or joined or of):
        return None
    targets = earlier if joined else _described(view)
    if not targets:
        return None
    values = tuple(Bind(targets, k) for k in phrase.modifiers)
    return Step(view.clause, view.talk._replace(substance=targets), (*values, Bind(targets, phrase.head, "material")))
