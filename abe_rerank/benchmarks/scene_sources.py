"""Where the binding benchmark's scenes come from: the shapes world, or a foreign one that nothing was trained on."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING

from abe_rerank.benchmarks import in_checkout
from abe_rerank.errors import UsageError

if TYPE_CHECKING:
    from abe_rerank.benchmarks.cases import Case, Seen
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
    from PIL import Image

    from abe_rerank.benchmarks.binding_scenes import IMAGE_SIZE, caption
    from abe_rerank.benchmarks.cases import Seen, Target
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
