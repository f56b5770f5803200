"""Where the binding benchmark's scenes come from: the shapes world, or a foreign one that nothing was trained on."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import islice, tee
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from abe_rerank.benchmarks import in_checkout
from abe_rerank.errors import UsageError
from abe_rerank.parsing import parse
from abe_rerank.scoring.abe import AbeScorer
from abe_rerank.scoring.stream import score_stream
from abe_rerank.scoring.terms import peak
from abe_rerank.types import Box, Region

if TYPE_CHECKING:
    from abe_rerank.benchmarks.cases import Case, Seen, Target
    from abe_rerank.shapes.world import ReportSplit, Scene


Draw = Callable[["ReportSplit", int], "Iterator[Case]"]

OWN = "shapes"
FOREIGN = {"flat": "clip art", "solids": "ray-cast, 3-D"}
"""The foreign worlds and what their pictures are; only a checkout has their renderers."""


@dataclass(frozen=True)
class SceneSource:
    """Tasks by name, each giving so many cases of a split, and pictures whose objects' places are known.

    ``pointing`` says which pictures those are. ``own`` is the world that calibrations are made on.
    """

    tasks: Mapping[str, Draw]
    seen: Callable[[ReportSplit, int], Iterator[Seen]]
    pointing: str
    own: bool = False


def offered() -> dict[str, str]:
    """The sources that can be taken here, with what they are in words."""
    own = {OWN: "the built-in models' own world"}
    return own | FOREIGN if in_checkout() else own


def scene_source(name: str) -> SceneSource:
    """The source called ``name``. Raises UsageError for one that is unknown, or that only a checkout can draw."""
    if name in FOREIGN and not in_checkout():
        raise UsageError(f"the renderer of the scenes {name!r} is not installed: run it in a checkout of the sources")
    if name not in offered():
        raise UsageError(f"unknown scenes {name!r}; choose from {', '.join(offered())}")
    return _shapes() if name == OWN else _foreign(name)


def shown(scene: Scene) -> Seen:
    """A scene of the shapes world with its caption and where its objects are."""

    from abe_rerank.benchmarks.binding_scenes import IMAGE_SIZE, caption
    from abe_rerank.shapes.render import render

    image, masks = render(scene, IMAGE_SIZE)
    targets = tuple(Target(o.colour, o.shape, o.box, mask) for o, mask in zip(scene.objects, masks, strict=True))
    return Seen(Image.fromarray(image), caption(scene.objects), targets)


def _shapes() -> SceneSource:
    from abe_rerank.benchmarks.binding_scenes import TASKS, Task, scenes, twins

    def draw(task: Task, split: ReportSplit, count: int) -> Iterator[Case]:
        return (pair.case() for pair in twins(task, split, count))

    def seen(split: ReportSplit, count: int) -> Iterator[Seen]:
        return map(shown, islice(scenes(2, split), count))

    return SceneSource({task.name: partial(draw, task) for task in TASKS}, seen, "2 objects", own=True)


def _foreign(name: str) -> SceneSource:
    """A foreign world; objects are located in the scenes of its first task."""
    from abe_rerank.benchmarks.checkout.foreign_tasks import WORLDS, cases, seen

    world = WORLDS[name]
    first = world.tasks[0]
    draws = {task.name: partial(cases, world, task) for task in world.tasks}
    return SceneSource(draws, partial(seen, world, first), first.name.split(", ")[1] + " objects")


@dataclass(frozen=True)
class Localisation:
    """Per object: ``pointing``, 1 if the centre of its heaviest patch lies in its box; ``heat``, the share of the
    region's weight on the object's mask; ``chance``, the share of the image that the mask covers.
    """

    pointing: np.ndarray
    heat: np.ndarray
    chance: np.ndarray


def localise(scorer: AbeScorer, pictures: Iterable[Seen]) -> Localisation:
    """Where the scorer finds the objects that each picture's caption names, asked with that caption."""
    rows = []
    seen, asked = tee(pictures)
    scores = score_stream(scorer, ((picture.image, parse(picture.caption)) for picture in asked))
    for picture, score in zip(seen, scores, strict=True):
        regions = {(pair.attribute.text, pair.object.text): pair.region for pair in score.pairs}
        for target in picture.targets:
            if (target.colour, target.shape) in regions:
                region = regions[target.colour, target.shape]
                rows.append((pointed_at(region, target.box), heat_on(region, target.mask), float(target.mask.mean())))
    pointing, heat, chance = np.array(rows, dtype=np.float64).reshape(-1, 3).T
    return Localisation(pointing, heat, chance)


def pointed_at(region: Region, box: Box) -> float:
    """1.0 if the centre of the heaviest patch lies in the box (fractions of the image), else 0.0."""
    rows, columns = region.weights.shape
    row, column = peak(region.weights)
    left, top, right, bottom = region.window
    x, y = left + (right - left) * (column + 0.5) / columns, top + (bottom - top) * (row + 0.5) / rows
    return float(box[0] <= x <= box[2] and box[1] <= y <= box[3])


def heat_on(region: Region, mask: np.ndarray) -> float:
    """The share of the region's weight on ``mask`` [h, w] in [0, 1], each weight spread evenly over its patch."""
    rows, columns = region.weights.shape
    left, top, right, bottom = region.window
    row, inside_rows = _cells(mask.shape[0], rows, top, bottom)
    column, inside_columns = _cells(mask.shape[1], columns, left, right)
    spread = region.weights[row[:, None], column[None, :]] * inside_rows[:, None] * inside_columns[None, :]
    return float((spread * mask).sum() / spread.sum())


def _cells(pixels: int, cells: int, start: float, end: float) -> tuple[np.ndarray, np.ndarray]:
    """The grid cell of each pixel along one axis, and whether the grid covers the pixel."""
    place = ((np.arange(pixels) + 0.5) / pixels - start) / (end - start)
    return np.clip((place * cells).astype(int), 0, cells - 1), (place >= 0) & (place < 1)
