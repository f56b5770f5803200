"""Captions of scenes: complete ones, and web-like ones that leave things unsaid.

Terse captions are mostly a noun. Web captions name an object without its colour, or not at all, or list colours apart
from objects. A contrastive model trained on them learns which words occur in an image but not which belongs to
which: as public CLIPs do. No caption is ever wrong and there are no hard negatives.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

import numpy as np

from abe_rerank.shapes.wishes import (
    ANYTHING,
    COLOUR_SYNONYMS,
    PATTERN_NOUNS,
    PATTERN_SYNONYMS,
    SHAPE_SYNONYMS,
    SIZE_SYNONYMS,
    Synonyms,
)
from abe_rerank.shapes.world import COLOURS, PATTERNS, SHAPES, SIZES, Scene, SceneObject

Style = Literal["full", "web", "terse"]

EMPTY = ("an empty background", "a background", "nothing", "an empty image", "a plain background")
"""Captions of pictures that show no object."""

_OPENINGS = ("a photo of", "a picture of", "an image of", "a drawing of", "a rendering of", "there is", "this is")
_JOINTS = ("and", "and", "and", "next to", "beside", "near", "with", ",")
_PLACES = {
    "left": ("to the left of", "left of", "on the left of"),
    "right": ("to the right of", "right of", "on the right of"),
    "above": ("above", "over"),
    "below": ("below", "under", "beneath"),
}
_NUMBERS = {2: "two", 3: "three", 4: "four"}


@dataclass(frozen=True)
class Wording:
    """How often a caption leaves a thing unsaid or says it otherwise; all are probabilities."""

    drop_object: float = 0.0
    drop_colour: float = 0.0
    drop_shape: float = 0.0
    drop_pattern: float = 0.0
    drop_size: float = 0.5
    apart: float = 0.0
    synonym: float = 0.1
    opening: float = 0.15
    place: float = 0.2
    shuffle: bool = True


WORDINGS: dict[Style, Wording] = {
    "full": Wording(),
    "web": Wording(
        drop_object=0.4, drop_colour=0.4, drop_shape=0.12, drop_pattern=0.35, drop_size=0.5, apart=0.15, place=0.05
    ),
    "terse": Wording(
        drop_object=0.4, drop_colour=0.7, drop_shape=0.06, drop_pattern=0.45, drop_size=1.0, place=0.02, opening=0.05
    ),
}


def caption(scene: Scene, rng: np.random.Generator, style: Style | Wording = "full") -> str:
    """A caption of the scene, by lot; the same generator state gives the same words."""
    if not scene.objects:
        return str(rng.choice(EMPTY))
    wording = style if isinstance(style, Wording) else WORDINGS[style]
    things = _spoken_of(scene.objects, rng, wording)
    if len(things) > 1 and rng.random() < wording.apart:
        text = _apart(things, rng)
    elif len(things) == 2 and not _same(*things) and rng.random() < wording.place:
        first, second = things
        place = str(rng.choice(_PLACES[_where(first, second)]))
        text = f"{_phrase(first, rng, wording)} {place} {_phrase(second, rng, wording)}"
    else:
        text = _joined(things, rng, wording)
    if rng.random() < wording.opening:
        text = f"{rng.choice(_OPENINGS)} {text}"
    return text


def vocabulary() -> tuple[str, ...]:
    """Every word that a caption can hold, sorted."""
    tables = (SHAPE_SYNONYMS, COLOUR_SYNONYMS, PATTERN_SYNONYMS, SIZE_SYNONYMS)
    texts = [*COLOURS, *SHAPES, *PATTERNS, *SIZES, *ANYTHING, *PATTERN_NOUNS.values(), *_OPENINGS, *_JOINTS, *EMPTY]
    texts += [word for table in tables for words in table.values() for word in words]
    texts += [text for places in _PLACES.values() for text in places]
    texts += [*_NUMBERS.values(), *(_plural(s) for s in (*SHAPES, *ANYTHING)), "a an that is the ,"]
    texts += [_plural(word) for words in SHAPE_SYNONYMS.values() for word in words]
    return tuple(sorted({word for text in texts for word in words_of(text)}))


def content_words() -> tuple[str, ...]:
    """The words of the vocabulary that name an object or an attribute, sorted."""
    tables = (SHAPE_SYNONYMS, COLOUR_SYNONYMS, PATTERN_SYNONYMS, SIZE_SYNONYMS)
    words = {*COLOURS, *SHAPES, *PATTERNS[1:], *SIZES, *PATTERN_NOUNS.values(), "background", "nothing", "empty"}
    words |= {word for table in tables for others in table.values() for word in others}
    return tuple(sorted(words | {_plural(noun) for noun in (*SHAPES, *sum(SHAPE_SYNONYMS.values(), ()))}))


def words_of(text: str) -> list[str]:
    """Lower-case words and commas, as the built-in models' word-level tokenizers split a prompt."""
    return re.findall(r"[a-z]+(?:-[a-z]+)*|,", text.lower())


def _spoken_of(objects: tuple[SceneObject, ...], rng: np.random.Generator, wording: Wording) -> list[SceneObject]:
    things = list(objects)
    if wording.shuffle:
        things = [things[k] for k in rng.permutation(len(things))]
    if len(things) > 1 and rng.random() < wording.drop_object:
        things = things[: int(rng.integers(1, len(things)))]
    return things


def _joined(things: list[SceneObject], rng: np.random.Generator, wording: Wording) -> str:
    groups: list[list[SceneObject]] = []
    for thing in things:
        twin = next((g for g in groups if _same(g[0], thing)), None)
        if twin is None:
            groups.append([thing])
        else:
            twin.append(thing)
    parts = [_phrase(g[0], rng, wording, count=len(g)) for g in groups]
    if len(parts) > 2 and rng.random() < 0.7:
        return ", ".join(parts[:-1]) + f" and {parts[-1]}"
    text = parts[0]
    for part in parts[1:]:
        joint = str(rng.choice(_JOINTS))
        text += f", {part}" if joint == "," else f" {joint} {part}"
    return text


def _apart(things: list[SceneObject], rng: np.random.Generator) -> str:
    """Colours and shapes each in a list of its own, as tags are: nothing says which belongs to which."""
    colours = list(dict.fromkeys(t.colour for t in things))
    shapes = list(dict.fromkeys(t.shape for t in things))
    rng.shuffle(colours)
    rng.shuffle(shapes)
    form = int(rng.integers(3))
    if form == 0:
        return ", ".join([*colours, *shapes])
    listed = " and ".join(f"a {shape}" for shape in shapes)
    return (
        f"{listed}, {' and '.join(colours)}"
        if form == 1
        else f"{' and '.join(colours)} {rng.choice(('shapes', 'objects'))}"
    )


def _phrase(thing: SceneObject, rng: np.random.Generator, wording: Wording, count: int = 1) -> str:
    says_colour = rng.random() >= wording.drop_colour
    says_shape = rng.random() >= wording.drop_shape
    says_pattern = thing.pattern != "plain" and rng.random() >= wording.drop_pattern
    says_size = thing.size is not None and count == 1 and rng.random() >= wording.drop_size
    says_colour = says_colour or not (says_shape or says_pattern)
    noun = _word(thing.shape, SHAPE_SYNONYMS, rng, wording) if says_shape else str(rng.choice(ANYTHING))
    noun = noun if count == 1 else _plural(noun)
    colour = [_word(thing.colour, COLOUR_SYNONYMS, rng, wording)] if says_colour else []
    pattern = [_word(thing.pattern, PATTERN_SYNONYMS, rng, wording)] if says_pattern else []
    size = [_word(thing.size, SIZE_SYNONYMS, rng, wording)] if says_size and thing.size else []
    tail = ""
    form = rng.random()
    if pattern and form < 0.15:
        pattern, tail = [], f" with {PATTERN_NOUNS[thing.pattern]}"
    elif colour and count == 1 and 0.15 <= form < 0.25:
        tail, colour = f" that is {colour[0]}", []
    inner = [*pattern, *colour] if rng.random() < 0.7 else [*colour, *pattern]
    words = " ".join([*size, *inner, noun]) + tail
    if count > 1:
        return f"{_NUMBERS[count]} {words}"
    return f"{'an' if words[0] in 'aeiou' else 'a'} {words}"


def _word(word: str, synonyms: Synonyms, rng: np.random.Generator, wording: Wording) -> str:
    others = synonyms.get(word, ())
    return str(rng.choice(others)) if others and rng.random() < wording.synonym else word


def _plural(noun: str) -> str:
    return noun + ("es" if noun.endswith(("s", "x")) else "s")


def _same(a: SceneObject, b: SceneObject) -> bool:
    return (a.colour, a.shape, a.pattern) == (b.colour, b.shape, b.pattern)


def _where(a: SceneObject, b: SceneObject) -> str:
    dx, dy = b.x - a.x, b.y - a.y
    if abs(dx) >= abs(dy):
        return "left" if dx > 0 else "right"
    return "above" if dy > 0 else "below"
