"""What a Spec asks for in terms of the shapes world: its nouns and attributes looked up in the world's vocabulary."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Protocol

from abe_rerank.errors import UsageError
from abe_rerank.shapes.world import COLOURS, LARGE_ABOVE, PATTERNS, SHAPES, SIZES, SMALL_BELOW
from abe_rerank.types import ObjectPhrase, Spec

Synonyms = Mapping[str, tuple[str, ...]]

SHAPE_SYNONYMS: Synonyms = {
    "cube": ("box", "block"),
    "sphere": ("ball",),
    "cylinder": ("can", "drum"),
    "ring": ("hoop",),
    "cross": ("plus",),
    "crescent": ("moon",),
}
COLOUR_SYNONYMS: Synonyms = {"gray": ("grey",), "purple": ("violet",), "cyan": ("turquoise",)}
PATTERN_SYNONYMS: Synonyms = {"striped": ("stripy",), "dotted": ("polka-dotted", "spotted")}
SIZE_SYNONYMS: Synonyms = {"small": ("little", "tiny"), "large": ("big", "huge")}
PATTERN_NOUNS = {"striped": "stripes", "dotted": "dots"}
ANYTHING = ("object", "thing", "shape")

GRACE = 1 / 128
"""How far a measured diameter may be beyond the limit of a size word: a pixel."""


class Thing(Protocol):
    """What can be compared with a wish: a detection or an object of a scene."""

    @property
    def colour(self) -> str:
        """The colour's name in the world."""

    @property
    def shape(self) -> str:
        """The shape's name in the world."""

    @property
    def pattern(self) -> str:
        """The pattern's name in the world."""

    @property
    def diameter(self) -> float:
        """As a fraction of the image's width."""


@dataclass(frozen=True)
class Wanted:
    """An object that a spec asks for: None stands for anything, ``most=None`` for any number."""

    shape: str | None
    colour: str | None = None
    pattern: str | None = None
    size: str | None = None
    least: int = 1
    most: int | None = 1

    def matches(self, thing: Thing) -> bool:
        """Whether the thing has all that is asked for; its size with a pixel's grace."""
        pairs = ((self.shape, thing.shape), (self.colour, thing.colour), (self.pattern, thing.pattern))
        if any(asked is not None and asked != seen for asked, seen in pairs):
            return False
        if self.size == "small":
            return thing.diameter < SMALL_BELOW + GRACE
        return self.size is None or thing.diameter > LARGE_ABOVE - GRACE


def asked_of(spec: Spec) -> tuple[Wanted, ...]:
    """The wishes of a spec.

    Raises UsageError if it has none, a word that the shapes world does not know, or a negated attribute ("not red"),
    which a spec names only among the ignored words.
    """
    for word in spec.ignored:
        if word.reason == "negated" and word.text.lower() in _ATTRIBUTE_WORDS:
            raise UsageError(f"the prompt {spec.prompt!r} denies {word.text!r} of something: say what it is instead")
    wanted: list[Wanted] = []
    for k, phrase in enumerate(spec.objects):
        pattern = _pattern_with(spec, k)
        if pattern is None:
            wanted.append(_wanted(phrase))
        else:
            wanted[-1] = replace(wanted[-1], pattern=pattern)
    if not any(w.most != 0 for w in wanted):
        raise UsageError(
            f"the prompt {spec.prompt!r} asks for no object: name one of the shapes world, such as 'a cube'"
        )
    return tuple(wanted)


def _pattern_with(spec: Spec, k: int) -> str | None:
    """The pattern that "a ring with dots" gives to the object before its k-th, "dots"; None for other objects."""
    phrase = spec.objects[k]
    kind, name = _ATTRIBUTE_WORDS.get(phrase.text.lower(), ("", ""))
    between = spec.prompt[spec.objects[k - 1].span[1] : phrase.phrase_span[0]] if k else ""
    is_with = between.strip().lower() == "with" and not phrase.attributes and not phrase.negated
    return name if kind == "pattern" and is_with else None


def _wanted(phrase: ObjectPhrase) -> Wanted:
    shape, plural = _shape_of(phrase.text)
    attributes: dict[str, str] = {}
    for attribute in phrase.attributes:
        kind, name = _attribute_of(attribute.text, phrase.text)
        if attributes.setdefault(kind, name) != name:
            raise UsageError(f"{phrase.text!r} is asked to be {attributes[kind]} and {name}: a shape has one {kind}")
    if phrase.negated:
        return Wanted(shape, **attributes, least=0, most=0)
    if phrase.count is not None:
        return Wanted(shape, **attributes, least=phrase.count.value, most=phrase.count.value)
    return Wanted(shape, **attributes, least=2 if plural else 1, most=None if plural else 1)


def _names(words: Iterable[str], synonyms: Mapping[str, tuple[str, ...]]) -> dict[str, str]:
    return {said: word for word in words for said in (word, *synonyms.get(word, ()))}


_SHAPE_WORDS: dict[str, str | None] = {**_names(SHAPES, SHAPE_SYNONYMS), **dict.fromkeys(ANYTHING)}
_ATTRIBUTE_WORDS = {
    **{said: ("colour", name) for said, name in _names(COLOURS, COLOUR_SYNONYMS).items()},
    **{said: ("size", name) for said, name in _names(SIZES, SIZE_SYNONYMS).items()},
    **{said: ("pattern", name) for said, name in _names(PATTERNS, PATTERN_SYNONYMS).items()},
    **{noun: ("pattern", name) for name, noun in PATTERN_NOUNS.items()},
}


def _attribute_of(text: str, noun: str) -> tuple[str, str]:
    said = "-".join(text.lower().split())
    if said not in _ATTRIBUTE_WORDS:
        known = ", ".join((*COLOURS, *PATTERNS, *SIZES))
        raise UsageError(f"{text!r} of {noun!r} is not of the shapes world, whose attributes are: {known}")
    return _ATTRIBUTE_WORDS[said]


def _shape_of(text: str) -> tuple[str | None, bool]:
    """The shape that a noun or compound ("heart shapes") names, None for any, and whether it is a plural."""
    words = re.findall(r"[a-z]+", text.lower())
    singular = [_singular(word) for word in words]
    shapes = {_SHAPE_WORDS[word] for word in singular if word in _SHAPE_WORDS}
    named = shapes - {None}
    if not words or any(word not in _SHAPE_WORDS for word in singular) or len(named) > 1:
        raise UsageError(f"{text!r} is not of the shapes world, whose shapes are: {', '.join(SHAPES)}")
    return (next(iter(named)) if named else None), singular[-1] != words[-1]


def _singular(word: str) -> str:
    endings = (word, word.removesuffix("es"), word.removesuffix("s"))
    return next((known for known in endings if known in _SHAPE_WORDS), word)
