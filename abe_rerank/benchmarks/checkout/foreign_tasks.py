"""The tasks of the binding benchmark on foreign scenes: a scene beside its twin with one swap or replacement.

A caption names some of a scene's objects, each by words that fit it alone; what the twin's caption says of the changed
ones fits nothing in the scene, and the other way round.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from PIL import Image

from abe_rerank.benchmarks.binding_scenes import caption
from abe_rerank.benchmarks.cases import Case, Seen, Target
from abe_rerank.benchmarks.verdicts import Question, Vocabulary, asked_of_scene
from abe_rerank.shapes.foreign import flat, outlines, raycast, solids
from abe_rerank.shapes.world import ReportSplit
from abe_rerank.types import Box

_SEEDS: dict[ReportSplit, int] = {"choose": 70_022, "report": 70_033}


@dataclass(frozen=True)
class ForeignTask:
    """``named`` of ``least`` to ``most`` objects are spoken of; ``fields`` of two of them are exchanged, or the one
    field of one of them gets a new value where ``replaces``. ``says`` lists the attributes beside the shape.
    """

    name: str
    named: int
    least: int
    most: int
    fields: tuple[str, ...] = ("colour",)
    says: tuple[str, ...] = ("colour",)
    replaces: bool = False


@dataclass(frozen=True)
class World:
    """A foreign world: how a random scene for a task is made, drawn and accepted; what it can show."""

    name: str
    tasks: tuple[ForeignTask, ...]
    sample: Callable[[np.random.Generator, ForeignTask], Any]
    draw: Callable[[Any], tuple[Image.Image, np.ndarray]]
    accepts: Callable[[Any], bool]
    values: dict[str, tuple[str, ...]]


def foreign_rng(split: ReportSplit, world: str, index: int) -> np.random.Generator:
    """The generator of one scene; no other part of the package draws from it."""
    return np.random.default_rng((_SEEDS[split], *world.encode(), index))


def box_of(mask: np.ndarray) -> Box:
    """(left, top, right, bottom) in fractions of the pixels that mostly show the object; ``mask`` [h, w] in [0, 1]."""
    rows, columns = np.nonzero(mask >= min(0.5, float(mask.max())))
    height, width = mask.shape
    return (
        float(columns.min() / width),
        float(rows.min() / height),
        float((columns.max() + 1) / width),
        float((rows.max() + 1) / height),
    )


def cases(world: World, task: ForeignTask, split: ReportSplit, count: int) -> Iterator[Case]:
    """``count`` scenes of a task beside their twins, the same ones every time."""
    for scenes, named in _twins(world, task, split, count):
        pictures = tuple(world.draw(scene)[0] for scene in scenes)
        yield Case(pictures, tuple(_says(scene, named, task) for scene in scenes))


def seen(world: World, task: ForeignTask, split: ReportSplit, count: int) -> Iterator[Seen]:
    """The same scenes without their twins, with where the named objects are."""
    for (scene, _), named in _twins(world, task, split, count):
        image, masks = world.draw(scene)
        things = [scene.things[k] for k in named]
        targets = tuple(
            Target(thing.colour, thing.shape, box_of(masks[k]), masks[k])
            for k, thing in zip(named, things, strict=True)
        )
        yield Seen(image, _says(scene, named, task), targets)


def _twins(
    world: World, task: ForeignTask, split: ReportSplit, count: int
) -> Iterator[tuple[tuple[Any, Any], list[int]]]:
    index = found = 0
    while found < count:
        rng = foreign_rng(split, f"{world.name}, {task.name}", index)
        index += 1
        scene = world.sample(rng, task)
        named = [int(k) for k in rng.permutation(len(scene.things))[: task.named]]
        twin = _changed(scene, named, task, world, rng)
        if world.accepts(twin) and _unmistakable(scene, twin, named, task):
            found += 1
            yield (scene, twin), named


def _changed(scene: Any, named: list[int], task: ForeignTask, world: World, rng: np.random.Generator) -> Any:
    things = list(scene.things)
    if task.replaces:
        (field,), k = task.fields, named[int(rng.integers(len(named)))]
        new = str(rng.choice([v for v in world.values[field] if v not in {getattr(t, field) for t in things}] or [""]))
        things[k] = replace(things[k], **{field: new or getattr(things[k], field)})
    else:
        i, j = named[:2]
        things[i] = replace(scene.things[i], **{f: getattr(scene.things[j], f) for f in task.fields})
        things[j] = replace(scene.things[j], **{f: getattr(scene.things[i], f) for f in task.fields})
    return replace(scene, things=tuple(things))


def _words(thing: Any, task: ForeignTask) -> tuple[str, ...]:
    return tuple(getattr(thing, said) for said in (*task.says, "shape"))


def _unmistakable(scene: Any, twin: Any, named: list[int], task: ForeignTask) -> bool:
    """Whether the nouns differ, and every caption's words fit one object each, the twin's changed ones none."""
    for own, other in ((scene, twin), (twin, scene)):
        here = [_words(thing, task) for thing in own.things]
        mine, theirs = [here[k] for k in named], [_words(other.things[k], task) for k in named]
        changed = [there for there, now in zip(theirs, mine, strict=True) if there != now]
        if len({words[-1] for words in mine}) < len(named) or any(here.count(words) != 1 for words in mine):
            return False
        if not changed or any(words in here for words in changed):
            return False
    return True


def _says(scene: Any, named: list[int], task: ForeignTask) -> str:
    return caption(tuple(scene.things[k] for k in named), task.says)


def _flat(rng: np.random.Generator, task: ForeignTask) -> flat.FlatScene:
    if "size" in task.says:
        return flat.sample(rng, ("small", "large"))
    sizes = tuple(str(rng.choice(list(flat.DIAMETERS))) for _ in range(task.most))
    return flat.sample(rng, sizes, ("striped", "dotted") if "pattern" in task.says else ())


def _solids(rng: np.random.Generator, task: ForeignTask) -> solids.SolidScene:
    return solids.sample(rng, int(rng.integers(task.least, task.most + 1)))


FLAT = World(
    "flat",
    (
        *(ForeignTask(f"colours swapped, {n}", n, n, n) for n in (2, 3, 4)),
        ForeignTask("patterns swapped, 2", 2, 2, 2, ("pattern",), ("pattern", "colour")),
        ForeignTask("sizes swapped, 2", 2, 2, 2, ("x", "y", "diameter"), ("size", "colour")),
        ForeignTask("shape replaced, 2", 2, 2, 2, ("shape",), replaces=True),
        ForeignTask("colour replaced, 2", 2, 2, 2, replaces=True),
    ),
    _flat,
    flat.draw,
    flat.clear,
    {"colour": tuple(flat.COLOURS), "shape": outlines.SHAPES},
)
SOLIDS = World(
    "solids",
    (
        *(ForeignTask(f"colours swapped, 2 of {a}-{b}", 2, a, b) for a, b in ((3, 4), (5, 7), (8, 10))),
        ForeignTask("colours swapped, 3 of 4-10", 3, 4, 10),
        ForeignTask("sizes swapped, 2 of 3-6", 2, 3, 6, ("size",), ("size", "colour")),
        ForeignTask("shape replaced, 2 of 3-6", 2, 3, 6, ("shape",), replaces=True),
        ForeignTask("colour replaced, 2 of 3-6", 2, 3, 6, replaces=True),
    ),
    _solids,
    solids.draw,
    solids.clear,
    {"colour": tuple(solids.COLOURS), "shape": raycast.SHAPES},
)
WORLDS = {world.name: world for world in (FLAT, SOLIDS)}


def flat_questions(split: ReportSplit, count: int) -> Iterator[Question]:
    """``count`` pictures of flat clip art, of two and three objects in turn, asked about all of them."""
    return _questions(FLAT, [ForeignTask("verdicts", n, n, n) for n in (2, 3)], split, count)


def solids_questions(split: ReportSplit, count: int) -> Iterator[Question]:
    """``count`` ray-cast groups of three to six solids, asked about two of them."""
    return _questions(SOLIDS, [ForeignTask("verdicts", 2, 3, 6)], split, count)


def flat_pictures(split: ReportSplit, count: int) -> Iterator[tuple[Image.Image, Sequence[Any]]]:
    """``count`` pictures of flat clip art, of two and three objects in turn, with their things."""
    index = found = 0
    while found < count:
        named = 2 + found % 2
        scene = _flat(foreign_rng(split, "flat, relations", index), ForeignTask("relations", named, named, named))
        index += 1
        if FLAT.accepts(scene):
            found += 1
            yield FLAT.draw(scene)[0], scene.things


def _questions(world: World, tasks: list[ForeignTask], split: ReportSplit, count: int) -> Iterator[Question]:
    words = Vocabulary(world.values["colour"])
    index = found = 0
    while found < count:
        task, rng = tasks[found % len(tasks)], foreign_rng(split, f"{world.name}, verdicts", index)
        index += 1
        scene = world.sample(rng, task)
        if world.accepts(scene) and (
            asked := list(asked_of_scene(world.draw(scene)[0], scene.things, task.named, rng, words))
        ):
            found += 1
            yield from asked
