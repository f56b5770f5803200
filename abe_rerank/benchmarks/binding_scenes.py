"""The tasks of the binding benchmark on the shapes world: pairs of scenes that differ in one swap or replacement."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
from PIL import Image

from abe_rerank.benchmarks.cases import Case
from abe_rerank.shapes.render import render
from abe_rerank.shapes.world import (
    COLOURS,
    LARGE_ABOVE,
    PATTERN_FROM,
    SHAPES,
    SMALL_BELOW,
    Scene,
    SceneObject,
    Split,
    sample_colour,
    sample_scene,
    split_rng,
)

IMAGE_SIZE = 128
FIRST = 2_000_000
"""Index of the first scene that this benchmark draws from a split; others draw elsewhere."""

Things = tuple[SceneObject, ...]
Change = Callable[[Things, np.random.Generator], Things]


@dataclass(frozen=True)
class Task:
    """A task: scenes of ``objects`` objects that ``fits`` accepts, each beside its changed twin; the name ends in
    their number.

    ``says`` lists the attributes that the captions name beside the shape, in their order.
    """

    name: str
    objects: int
    change: Change
    fits: Callable[[Things], bool]
    says: tuple[str, ...] = ("colour",)


@dataclass(frozen=True)
class Twins:
    """A scene and its changed twin, with what each shows in words."""

    scenes: tuple[Scene, Scene]
    captions: tuple[str, str]

    def case(self) -> Case:
        """Both pictures and both captions."""
        return Case(tuple(picture(scene) for scene in self.scenes), self.captions)


def picture(scene: Scene) -> Image.Image:
    """The scene, 128 x 128 pixels."""
    return Image.fromarray(render(scene, IMAGE_SIZE)[0])


def caption(things: Things, says: tuple[str, ...] = ("colour",)) -> str:
    """'a red cube, a blue ring and a green star': the objects in their order, with the attributes of ``says``."""
    words = [" ".join(str(getattr(t, attribute)) for attribute in (*says, "shape")) for t in things]
    parts = [f"{'an' if w[0] in 'aeiou' else 'a'} {w}" for w in words]
    return parts[0] if len(parts) == 1 else ", ".join(parts[:-1]) + f" and {parts[-1]}"


def _set(things: Things, changes: dict[int, dict[str, object]]) -> Things:
    return tuple(replace(t, **changes.get(k, {})) for k, t in enumerate(things))  # type: ignore[arg-type]


def _swap(things: Things, rng: np.random.Generator, fields: tuple[str, ...]) -> Things:
    """Two randomly drawn objects exchange their ``fields``."""
    i, j = (int(k) for k in rng.choice(len(things), size=2, replace=False))
    return _set(
        things,
        {i: {f: getattr(things[j], f) for f in fields}, j: {f: getattr(things[i], f) for f in fields}},
    )


def swap_colours(things: Things, rng: np.random.Generator) -> Things:
    """Two objects exchange their colours, shade and all."""
    return _swap(things, rng, ("colour", "rgb"))


def swap_patterns(things: Things, rng: np.random.Generator) -> Things:
    """Two objects exchange their surfaces."""
    return _swap(things, rng, ("pattern",))


def swap_sizes(things: Things, rng: np.random.Generator) -> Things:
    """Two objects exchange their diameters and places, so that overlaps stay as they are."""
    return _swap(things, rng, ("x", "y", "diameter"))


def replace_colour(things: Things, rng: np.random.Generator) -> Things:
    """One object gets a colour that no object has."""
    colour = str(rng.choice([c for c in COLOURS if c not in {t.colour for t in things}]))
    return _set(things, {int(rng.integers(len(things))): {"colour": colour, "rgb": sample_colour(colour, rng)}})


def replace_shape(things: Things, rng: np.random.Generator) -> Things:
    """One object becomes a shape that no object has."""
    shape = str(rng.choice([s for s in SHAPES if s not in {t.shape for t in things}]))
    return _set(things, {int(rng.integers(len(things))): {"shape": shape, "angle": 0.3 if shape == "cube" else 0.0}})


def _differ(things: Things, attribute: str) -> bool:
    return len({getattr(t, attribute) for t in things}) == len(things)


def _colours_differ(things: Things) -> bool:
    return _differ(things, "shape") and _differ(things, "colour")


def _patterns_differ(things: Things) -> bool:
    return _colours_differ(things) and {t.pattern for t in things} == {"striped", "dotted"}


def _sizes_differ(things: Things) -> bool:
    diameters = sorted(t.diameter for t in things)
    patterned_small = any(t.pattern != "plain" for t in things) and diameters[0] < PATTERN_FROM
    return (
        _colours_differ(things) and diameters[0] < SMALL_BELOW and diameters[-1] > LARGE_ABOVE and not patterned_small
    )


TASKS = (
    Task("colours swapped, 2", 2, swap_colours, _colours_differ),
    Task("colours swapped, 3", 3, swap_colours, _colours_differ),
    Task("colours swapped, 4", 4, swap_colours, _colours_differ),
    Task("patterns swapped, 2", 2, swap_patterns, _patterns_differ, ("pattern", "colour")),
    Task("sizes swapped, 2", 2, swap_sizes, _sizes_differ, ("size", "colour")),
    Task("shape replaced, 2", 2, replace_shape, _colours_differ),
    Task("colour replaced, 2", 2, replace_colour, _colours_differ),
)


def scenes(
    objects: int, split: Split, fits: Callable[[Things], bool] = _colours_differ, first: int | None = None
) -> Iterator[Scene]:
    """Endless scenes of a split with ``objects`` objects that ``fits`` accepts, the same ones every time.

    ``first`` is the index in the split at which to begin; None is this benchmark's own, where no other part draws.
    """
    index = FIRST + 1_000_000 * objects if first is None else first
    while True:
        scene = sample_scene(split_rng(split, index), count=objects)
        index += 1
        if fits(scene.objects):
            yield scene


def twins(task: Task, split: Split, count: int) -> Iterator[Twins]:
    """``count`` scenes of a task beside their changed twins, the same ones every time."""
    rng = np.random.default_rng((len(task.name), task.objects))
    for _, scene in zip(range(count), scenes(task.objects, split, task.fits), strict=False):
        changed = replace(scene, objects=task.change(scene.objects, rng))
        yield Twins((scene, changed), (caption(scene.objects, task.says), caption(changed.objects, task.says)))
