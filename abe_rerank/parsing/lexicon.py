# ruff: noqa: SIM905 - word lists read best as text
"""What the parser knows about English words: kinds of attributes, fixed compounds, and parts of speech.

The curated lists lie in ``data/*.txt``. The possible parts of speech and the lemmas of all other words come from
lemminflect (the NIH SPECIALIST lexicon); which of several is the usual one from ``data/usual_tags.txt``.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, lru_cache
from importlib.resources import files

from abe_rerank.parsing.scene_words import CLOSED, IRREGULAR_PARTICIPLES
from abe_rerank.parsing.tags import ADJECTIVE, ADVERB, ING, NOUN, NUMBER, PARTICIPLE, VALUES, VERB, Tag
from abe_rerank.types import Kind

COUNTABLE_COLOURS = frozenset(
    """orange oranges rose roses peach peaches plum plums cherry cherries violet violets lime limes apricot apricots
    olive olives chestnut chestnuts salmon lemon lemons pearl pearls""".split()
)
"""Colour words that are also things one can count."""
_UNMARKED_PLURALS = frozenset(
    "sheep fish deer people cattle police jeans pants trousers shorts glasses scissors goggles".split()
)
_SHAPE_VALUES = frozenset("heart star diamond arrow ring cross crescent moon flower leaf cloud".split())
_CATEGORY = {"ADJ": ADJECTIVE, "NOUN": NOUN, "PROPN": NOUN, "VERB": VERB, "ADV": ADVERB}
MARKERS: dict[str, Kind] = {
    "shaped": "shape",
    "sized": "size",
    "textured": "texture",
    "patterned": "texture",
    "colored": "colour",
    "coloured": "colour",
    "color": "colour",
    "colour": "colour",
    "hued": "colour",
    "toned": "colour",
    "tinted": "colour",
}


Phrases = dict[str, dict[str, list[tuple[list[str], Tag]]]]
"""Entries of several words, each with the tag of the whole: by their first word and their second, longest first."""


@dataclass(frozen=True)
class Lexicon:
    """The word lists, all in lower case; multi-word entries are joined by single spaces."""

    kinds: dict[str, Kind]
    colours: frozenset[str]
    colour_modifiers: frozenset[str]
    shapes: frozenset[str]
    shape_nouns: frozenset[str]
    materials: frozenset[str]
    phrases: Phrases
    usual: dict[str, Tag]
    captions: dict[str, Tag]


def _entries(name: str) -> list[str]:
    text = files("abe_rerank.parsing").joinpath("data", name).read_text(encoding="utf-8")
    body = " ".join(line for line in text.splitlines() if not line.startswith("#"))
    return [entry for entry in (part.strip() for part in body.split(",")) if entry]


def _tag_list(name: str) -> dict[str, Tag]:
    text = files("abe_rerank.parsing").joinpath("data", name).read_text(encoding="utf-8")
    usual: dict[str, Tag] = {}
    tag = NOUN
    for line in text.splitlines():
        if line.startswith("["):
            tag = Tag(line[1])
        elif not line.startswith("#"):
            usual.update(dict.fromkeys(line.split(), tag))
    return usual


@cache
def lexicon() -> Lexicon:
    """The lexicon, read from the package's data files on first use."""
    kinds: dict[str, Kind] = {}
    lists: list[tuple[str, Kind]] = [
        ("textures.txt", "texture"),
        ("materials.txt", "material"),
        ("sizes.txt", "size"),
        ("shapes.txt", "shape"),
        ("shape_nouns.txt", "shape"),
        ("colours.txt", "colour"),
    ]
    for name, kind in lists:
        for entry in _entries(name):
            kinds[entry] = kind
            if entry.rpartition("-")[2] not in COUNTABLE_COLOURS:
                kinds[entry.replace("-", " ")] = kind
    captions = _tag_list("caption_tags.txt")
    return Lexicon(
        kinds=kinds,
        colours=frozenset(_entries("colours.txt")),
        colour_modifiers=frozenset(_entries("colour_modifiers.txt")),
        shapes=frozenset(_entries("shapes.txt")),
        shape_nouns=frozenset(_entries("shape_nouns.txt")),
        materials=frozenset(_entries("materials.txt")),
        phrases=_phrases(kinds),
        usual=_tag_list("usual_tags.txt") | captions,
        captions=captions,
    )


def _phrases(kinds: dict[str, Kind]) -> Phrases:
    entries: set[tuple[str, Tag]] = {(text, ADJECTIVE) for text in kinds}
    entries |= {(text, tag[0]) for text, tag in CLOSED.items()}
    for compound in _entries("compounds.txt"):
        entries |= {(compound, NOUN), (plural(compound), NOUN)}
    found: Phrases = {}
    for parts, tag in sorted((text.split(), tag) for text, tag in entries):
        if len(parts) > 1:
            found.setdefault(parts[0], {}).setdefault(parts[1], []).append((parts, tag))
    for following in found.values():
        for group in following.values():
            group.sort(key=lambda entry: -len(entry[0]))
    return found


def plural(noun: str) -> str:
    """The regular plural of a noun or compound."""
    if noun.endswith(("s", "x", "z", "ch", "sh", "tomato", "potato")):
        return noun + "es"
    if noun.endswith("y") and noun[-2:-1] not in "aeiou":
        return noun[:-1] + "ies"
    if noun.endswith(("leaf", "loaf", "calf", "half")):
        return noun[:-1] + "ves"
    return noun + "s"


def kind_of(text: str) -> Kind:
    """The kind of an attribute from its words: that of the whole, else of its last known part, else "other"."""
    kinds = lexicon().kinds
    low = text.lower()
    if low in kinds:
        return kinds[low]
    parts = low.replace("-", " ").split()
    if not parts:
        return "other"
    if len(parts) > 1 and parts[-1] in MARKERS:
        return MARKERS[parts[-1]]
    joined = " ".join(parts)
    if joined in kinds:
        return kinds[joined]
    for part in reversed(parts):
        if part in kinds:
            return kinds[part]
    return "other"


def kind_marker(low: str) -> tuple[str, Kind] | None:
    """("heart", "shape") for "heart-shaped": the value and the kind that the last part of a hyphenated word only
    names.

    None if the first part is no value of that kind by itself ("egg-shaped", "life-sized", "multi-coloured").
    """
    stem, _, last = low.replace(" ", "-").rpartition("-")
    kind = MARKERS.get(last)
    if not stem or kind is None:
        return None
    known = kind_of(stem)
    itself = known == kind or (kind == "shape" and stem in _SHAPE_VALUES) or (kind == "texture" and known == "material")
    return (stem, kind) if itself or (last in COLOURED and _names_colour(stem)) else None


COLOURED = frozenset(["colored", "coloured", "color", "colour", "hued"])


def _names_colour(stem: str) -> bool:
    """Is a word before "-coloured" a thing of that colour ("caramel"), not a word about colours ("light", "multi")?"""
    return "-" not in stem and stem not in _ABOUT_COLOUR and "NOUN" in _dictionary().get(stem, {})


_ABOUT_COLOUR = frozenset(
    "multi neutral natural earth light dark bright pale full single double solid same vivid plain off water".split()
)


@cache
def _dictionary() -> dict[str, dict[str, tuple[str, ...]]]:
    from lemminflect import Lemmatizer

    table: dict[str, dict[str, tuple[str, ...]]] = Lemmatizer()._getLemmaDict()
    return table


def is_word(low: str) -> bool:
    """Is a lower-case word in any of the lists?"""
    return low in CLOSED or low in lexicon().usual or low in lexicon().kinds or low in _dictionary()


@lru_cache(maxsize=65536)
def tags_of(low: str) -> tuple[Tag, ...]:
    """The possible tags of a lower-case word, the usual one first (see :mod:`abe_rerank.parsing.tagger`)."""
    if low in CLOSED:
        return CLOSED[low]
    lex = lexicon()
    entry = _dictionary().get(low, {})
    usual = lex.usual.get(low)
    options = dict.fromkeys([usual] if usual else [])
    if low in lex.kinds:
        options = dict.fromkeys((NOUN, ADJECTIVE) if _is_substance(low, usual) else (ADJECTIVE,))
    options |= dict.fromkeys(
        tag for tag in (NOUN, ADJECTIVE, VERB, ADVERB) if tag in {_CATEGORY.get(pos) for pos in entry}
    )
    return tuple(dict.fromkeys(_verb_form(low, tag) for tag in options)) or _guess(low)


def _is_substance(low: str, usual: Tag | None) -> bool:
    """Is a listed value first of all a noun: a material or a shape ("glass", "square")?"""
    lex = lexicon()
    if low in lex.shape_nouns:
        return low not in lex.shapes
    noun = usual == NOUN or "NOUN" in _dictionary().get(low, {"NOUN": ()})
    return low in lex.materials and usual != ADJECTIVE and noun


def _verb_form(low: str, tag: Tag) -> Tag:
    if tag != VERB:
        return tag
    if low.endswith("ing"):
        return ING
    return PARTICIPLE if low in IRREGULAR_PARTICIPLES or low.endswith("ed") else VERB


def _guess(low: str) -> tuple[Tag, ...]:
    """Tags of a word in no list, by its ending."""
    if "-" in low:
        return _guess_hyphenated(low)
    if low.endswith("ly"):
        return (ADVERB,)
    if low.endswith("ing"):
        return ING, NOUN
    if low.endswith("ed") and len(low) > 4:
        return PARTICIPLE, ADJECTIVE
    if low.endswith(("ish", "less", "ful", "ous", "like", "esque", "ical")) and len(low) > 5:
        return (ADJECTIVE,)
    if low.endswith(("ian", "ean", "ese", "ic", "ive", "able", "ible", "al", "ary", "ern")) and len(low) > 5:
        return ADJECTIVE, NOUN
    return (NOUN,)


def _guess_hyphenated(low: str) -> tuple[Tag, ...]:
    stem, _, last = low.rpartition("-")
    if last in MARKERS or last in ("like", "free", "style", "themed", "inspired", "looking"):
        return (ADJECTIVE,)
    if lexicon().kinds.get(last) == "colour" or last in ("old", "tall", "high", "long", "wide", "colored", "coloured"):
        return (ADJECTIVE,)
    if last and tags_of(last)[0] in VALUES:
        return (ADJECTIVE,)
    qualified = bool(stem) and tags_of(stem.split("-")[0])[0] in (ADJECTIVE, NUMBER)
    return (ADJECTIVE, NOUN) if qualified else (NOUN,)


@lru_cache(maxsize=65536)
def lemma(low: str, tag: str = "NOUN") -> str:
    """The lemma of a lower-case word or compound (its last word) as a noun ("NOUN"), adjective ("ADJ") or verb
    ("VERB").
    """
    first, space, last = low.rpartition(" ")
    forms = _dictionary().get(last, {}).get(tag)
    if forms and tag == "NOUN" and last in forms:
        return low
    if forms:
        return first + space + forms[0]
    if tag == "NOUN" and len(last) > 3 and last.endswith("s") and not last.endswith(("ss", "us")):
        return first + space + last[:-1] if not last.endswith("is") or last[:-1] in _dictionary() else low
    return low


def is_plural(low: str) -> bool:
    """Is a lower-case noun a plural ("dogs", "men"), or one that may be ("sheep")?"""
    return lemma(low) != low or low in _UNMARKED_PLURALS
