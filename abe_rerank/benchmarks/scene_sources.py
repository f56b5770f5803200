"""Where the binding benchmark's scenes come from: the shapes world, or a foreign one that nothing was trained on."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Literal

from PIL import Image

from abe_rerank.benchmarks.cases import Case
from abe_rerank.benchmarks.targets import Seen, Target
from abe_rerank.errors import UsageError

if TYPE_CHECKING:
    from abe_rerank.shapes.world import Scene

ReportSplit = Literal["choose", "report"]
Draw = Callable[[ReportSplit, int], Iterator[Case]]


@dataclass(frozen=True)
class SceneSource:
    """Tasks by name, each giving so many cases of a split, and pictures whose objects' places are known.

    ``pointing`` says which pictures those are. ``own`` is the world that calibrations are made on.
    """

    tasks: Mapping[str, Draw]
    seen: Callable[[ReportSplit, int], Iterator[Seen]]
    pointing: str
    own: bool = False


def scene_source(name: str) -> SceneSource:
    """``shapes``, ``flat`` or ``solids``. Raises UsageError for another name."""
    if name not in _SOURCES:
        raise UsageError(f"unknown scenes {name!r}; choose from {', '.join(_SOURCES)}")
    return _SOURCES[name]()


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
    from abe_rerank.shapes.foreign import tasks

    world = {"flat": tasks.FLAT, "solids": tasks.SOLIDS}[name]
    first = world.tasks[0]
    draws = {task.name: partial(tasks.cases, world, task) for task in world.tasks}
    return SceneSource(draws, partial(tasks.seen, world, first), first.name.split(", ")[1] + " objects")


_SOURCES: dict[str, Callable[[], SceneSource]] = {
    "shapes": _shapes,
    "flat": partial(_foreign, "flat"),
    "solids": partial(_foreign, "solids"),
}
