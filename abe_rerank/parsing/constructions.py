"""Noun phrases that are no objects: the picture, its style, places in it, properties, shapes and substances of
other things.

Each function is asked about one phrase at one place of the walk and says whether it took the phrase.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from abe_rerank.parsing.lexicon import is_plural, kind_of, lemma, lexicon
from abe_rerank.parsing.scene_words import FRAME_OPENERS, FRAMES, MADE, PLACES, PROPERTY_KINDS, STYLE_WORDS, STYLES
from abe_rerank.types import Kind

if TYPE_CHECKING:
    from abe_rerank.parsing.binding import Binder
    from abe_rerank.parsing.phrases import Phrase
    from abe_rerank.parsing.things import Thing

_PLACE_LINKS = frozenset(["in", "on", "at", "to", "from", "into", "near", "toward", "towards"])
_PICTURE_LINKS = frozenset(["in", "of", "within", "throughout", "across"])
_POSSESSIVES = frozenset(["its", "their", "his", "her"])


def is_frame(binder: Binder, at: int, phrase: Phrase) -> bool:
    """ "A photo of", "The image shows", "in the picture": the picture itself."""
    words = binder.words
    base = lemma(words[phrase.end - 1].low)
    if base not in FRAMES or (base == "background" and phrase.modifiers):
        return False
    opens = binder.tag(at - 1) in ".:" or (binder.tag(at - 1) in ",C" and not binder.since_verb) or at == 0
    opens = opens or (binder.tag(at - 1) == "," and binder.tag(at + 1) in ".,")  # "..., digital painting, ..."
    opener = (binder.low(at + 1) or ".") in FRAME_OPENERS or binder.tag(at + 1) in "VBHGE."
    inside = binder.link_low in _PICTURE_LINKS and (binder.framed or _definite(binder, phrase))
    if (opens and opener) or inside or (binder.framed and _definite(binder, phrase)):
        binder.scene.ignore(phrase.start, phrase.end, "the picture itself")
        return True
    return False


def _definite(binder: Binder, phrase: Phrase) -> bool:
    return phrase.determiner is not None and binder.words[phrase.determiner].low in ("the", "this")


def is_style_or_place(binder: Binder, at: int, phrase: Phrase) -> bool:
    """ "in the style of cubism", "soft lighting", "by Hokusai"; "on the left", "in the background"."""
    words = binder.words
    head = words[phrase.end - 1].low
    link = binder.link_low
    bare = phrase.determiner is None and not phrase.modifiers
    named = words[phrase.head].text[:1].isupper() and bare
    if head in STYLES or head in STYLE_WORDS or link in ("in the style of", "in style of") or (link == "by" and named):
        binder.scene.ignore(phrase.start, phrase.end, "style")
        return True
    placed = not phrase.modifiers and link in _PLACE_LINKS and binder.low(at + 1) != "of"
    if head in PLACES and placed:
        binder.scene.ignore(phrase.start, phrase.end, "place")
        return True
    return False


def shape_like(binder: Binder, at: int, phrase: Phrase) -> bool:
    """ "shaped like a heart", "in the shape of a heart": the noun is the shape of the thing before it."""
    shaped = binder.link_low in ("like", "as") and binder.low(at - 2) == "shaped"
    form = binder.low(at - 1) == "of" and binder.tag(at - 2) == "P" and binder.low(at - 3) == "in"
    if form:
        before = binder.items[at - 2].phrase
        form = (
            before is not None and lemma(binder.words[before.end - 1].low) in ("shape", "form") and not before.modifiers
        )
    targets = _described(binder)
    if not targets or not (shaped or form):
        return False
    for thing in targets:
        thing.add(phrase.head, phrase.end - 1, "shape")
    return True


def _described(binder: Binder) -> list[Thing]:
    """What a phrase after "with", "of" or "made of" speaks of: the subject after a verb, else the last thing."""
    if binder.verb_seen and binder.subject and not binder.since_verb:
        return binder.subject
    return [binder.last] if binder.last is not None else []


def property_phrase(binder: Binder, at: int, phrase: Phrase) -> bool:
    """ "with a glass texture", "has a red colour", "its colour is red": the values go to the owner of the property."""
    words = binder.words
    kind = PROPERTY_KINDS.get(lemma(words[phrase.end - 1].low))
    if kind is None or words[phrase.end - 1].tag == "V":
        return False
    if words[phrase.end - 1].low in ("shade", "shades", "tint", "tints") and binder.low(at + 1) != "of":
        return False  # "a lamp with a red shade"
    values = phrase.modifiers + [k for k in range(phrase.head, phrase.end - 1) if _names_value(binder, k, kind)]
    owners = _owners(binder, phrase)
    if not values:
        binder.scene.ignore(phrase.start, phrase.end, "property")
        binder.property_of = binder.link is None and binder.low(at + 1) == "of"
        binder.described = owners if binder.link is None and not binder.property_of else []
        binder.owner = None
        return True
    pairs = [(k, _value_kind(words[k].low, kind)) for k in values]
    if binder.low(at + 1) == "of" and binder.tag(at + 2) == "P":  # "the soft texture of the cloth"
        binder.coming = pairs
    elif not owners:
        return False
    else:
        for k, value_kind in pairs:
            binder.scene.bind(owners, k, value_kind)
    binder.scene.ignore(phrase.end - 1, phrase.end, "property")
    binder.owner = None
    return True


def _names_value(binder: Binder, at: int, kind: Kind) -> bool:
    """Is a noun before the property its value: "glass texture", "heart shape", not "leaf shapes"?"""
    return kind_of(binder.words[at].low) != "other" or (kind == "shape" and binder.low_follows(at) == "shape")


def _value_kind(low: str, kind: Kind) -> Kind:
    own = kind_of(low)
    return kind if own in ("other", "material") and kind in ("texture", "shape") else own


def _owners(binder: Binder, phrase: Phrase) -> list[Thing]:
    """Whose property it is: the possessor, the subject of "has" and "is", else the last thing."""
    if binder.owner is not None:
        return [binder.owner]
    determiner = binder.words[phrase.determiner].low if phrase.determiner is not None else ""
    if determiner in _POSSESSIVES:
        return binder.subject or binder.topic or ([binder.last] if binder.last is not None else [])
    if binder.link is None and determiner != "" and binder.topic and not binder.since_verb:
        return binder.topic
    return _described(binder)


def substance(binder: Binder, at: int, phrase: Phrase) -> bool:
    """ "made of dark wood and glass", "a vase of glass": the material, and its colours, go to the thing."""
    words = binder.words
    low = words[phrase.end - 1].low
    k = at - 2
    while binder.tag(k) in "RI" and k > 0:
        k -= 1
    made = binder.tag(at - 1) == "I" and binder.low(k) in MADE
    whole = phrase.end - phrase.head == 1 and phrase.number is None
    anything = made and (not is_plural(low) or not phrase.modifiers)  # "made of water", "made of bananas"
    if not whole or not (low in lexicon().materials or anything):
        binder.substance = []
        return False
    joined = binder.tag(at - 1) in "C," and bool(binder.substance)
    of = binder.link_low == "of" and binder.tag(at - 1) == "I" and phrase.determiner is None
    targets = binder.substance if joined else _described(binder)
    if not targets or phrase.determiner is not None or not (made or joined or of):
        binder.substance = []
        return False
    for at_word in (*phrase.modifiers, phrase.head):
        binder.scene.bind(targets, at_word, "material" if at_word == phrase.head else None)
    binder.substance = list(targets)
    return True
