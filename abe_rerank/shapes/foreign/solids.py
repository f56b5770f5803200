"""Scenes in the manner of CLEVR (arXiv 1612.06890): three to ten solids on a grey ground. For tests only."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image

from abe_rerank.shapes.foreign.raycast import HEIGHT, SHAPES, WIDTH, Solid, View, bounds, cast

COLOURS: dict[str, tuple[int, int, int]] = {
    **{"gray": (87, 87, 87), "red": (173, 35, 35), "blue": (42, 75, 215), "green": (29, 105, 20)},
    **{"brown": (129, 74, 25), "purple": (129, 38, 192), "cyan": (41, 208, 208), "yellow": (255, 238, 51)},
}
"""CLEVR's eight colours."""
RADII = {"small": 0.29, "large": 0.5}


@dataclass(frozen=True)
class SolidThing:
    """One object; ``x`` and ``y`` are its place on the ground, in the units of RADII."""

    colour: str
    shape: str
    size: str
    shiny: bool
    x: float
    y: float
    turn: float

    def solid(self, size: str | None = None) -> Solid:
        """What is cast, with another size if one is given."""
        red, green, blue = (v / 255 for v in COLOURS[self.colour])
        radius = RADII[size or self.size]
        return Solid(self.shape, self.x, self.y, radius, self.turn, (red, green, blue), self.shiny)


@dataclass(frozen=True)
class SolidScene:
    """Objects under a view."""

    things: tuple[SolidThing, ...]
    view: View


def sample(rng: np.random.Generator, count: int) -> SolidScene:
    """A scene by lot with ``count`` objects, of any colours and shapes; none hides much of another."""
    view = View(
        11.0 + float(rng.uniform(-0.5, 0.5)), 0.55 + float(rng.uniform(-0.06, 0.06)), 0.0, float(rng.normal(-0.8, 0.3))
    )
    while True:
        things: list[SolidThing] = []
        for _ in range(60 * count):
            thing = _thing(rng)
            if _fits(thing, things, view):
                things.append(thing)
            if len(things) == count:
                return SolidScene(tuple(things), view)


def draw(scene: SolidScene) -> tuple[Image.Image, np.ndarray]:
    """The picture, 480 x 320, and the masks [objects, 320, 480]."""
    return cast(tuple(thing.solid() for thing in scene.things), scene.view)


def _thing(rng: np.random.Generator) -> SolidThing:
    return SolidThing(
        colour=str(rng.choice(list(COLOURS))),
        shape=str(rng.choice(SHAPES)),
        size=str(rng.choice(list(RADII))),
        shiny=bool(rng.random() < 0.5),
        x=float(rng.uniform(-3.2, 3.2)),
        y=float(rng.uniform(-3.0, 3.2)),
        turn=float(rng.uniform(0, np.pi / 2)),
    )


def clear(scene: SolidScene) -> bool:
    """Whether no object of the scene hides much of another."""
    return all(_fits(thing, list(scene.things[:k]), scene.view) for k, thing in enumerate(scene.things))


def _fits(thing: SolidThing, others: list[SolidThing], view: View) -> bool:
    """Whether it lies inside the picture and keeps clear of the others, whatever their sizes."""
    column, row, reach = bounds(thing.solid("large"), view)
    if not (reach < column < WIDTH - reach and reach < row < HEIGHT - reach):
        return False
    for other in others:
        x, y, far = bounds(other.solid(), view)
        mine = bounds(thing.solid(), view)
        if np.hypot(mine[0] - x, mine[1] - y) < 0.95 * (mine[2] + far):
            return False
    return True
