"""Clip art: flat shapes in plain colours on pale grounds, drawn with Pillow. For tests only, see the package."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

from abe_rerank.shapes.foreign.outlines import SHAPES, outline

SIDE, OVERSAMPLING = 256, 4

COLOURS: dict[str, tuple[int, int, int]] = {
    **{"red": (220, 20, 20), "green": (34, 139, 34), "blue": (30, 60, 225), "yellow": (255, 225, 25)},
    **{"purple": (128, 0, 128), "orange": (255, 140, 0), "cyan": (0, 215, 225), "white": (255, 255, 255)},
    **{"pink": (255, 150, 190), "brown": (139, 69, 19), "black": (15, 15, 15), "gray": (128, 128, 128)},
}
GROUNDS = (
    *((255, 255, 255), (255, 255, 255), (245, 240, 225), (215, 230, 250), (225, 245, 220)),
    *((250, 225, 230), (230, 230, 235), (60, 70, 90), (170, 190, 205)),
)
PATTERNS = ("plain", "striped", "dotted")
DIAMETERS = {"small": (0.15, 0.19), "medium": (0.24, 0.31), "large": (0.34, 0.42)}


@dataclass(frozen=True)
class FlatThing:
    """One object; ``x``, ``y`` and ``diameter`` are fractions of the image's side, ``angle`` is in radians."""

    colour: str
    shape: str
    pattern: str
    x: float
    y: float
    diameter: float
    angle: float

    @property
    def size(self) -> str:
        """small, medium or large."""
        return next(name for name, (_, most) in DIAMETERS.items() if self.diameter <= most + 0.02)


@dataclass(frozen=True)
class FlatScene:
    """Objects on a ground that runs from one colour at the top to another at the bottom.

    ``line``: the width of outlines in fractions of the side; 0 leaves them out, inner lines stay.
    """

    things: tuple[FlatThing, ...]
    ground: tuple[tuple[int, int, int], tuple[int, int, int]]
    line: float


def sample(rng: np.random.Generator, sizes: tuple[str, ...], patterns: tuple[str, ...] = ()) -> FlatScene:
    """A scene by lot with objects of these sizes; colours and shapes all differ. ``patterns`` () is plain."""
    n = len(sizes)
    colours = [str(c) for c in rng.permutation(list(COLOURS))[:n]]
    shapes = [str(s) for s in rng.permutation(SHAPES)[:n]]
    places = _places(rng, [float(rng.uniform(*DIAMETERS[size])) for size in sizes])
    things = tuple(
        FlatThing(colours[k], shapes[k], patterns[k] if patterns else "plain", *places[k], _angle(shapes[k], rng))
        for k in range(n)
    )
    grounds = [g for g in GROUNDS if all(_gap(g, COLOURS[c]) > 70 for c in colours)] or [(200, 210, 205)]
    top = grounds[int(rng.integers(len(grounds)))]
    bottom = tuple(int(0.82 * v) for v in top) if rng.random() < 0.3 else top
    line = float(rng.choice([0.0, 0.0, 0.006, 0.012]))
    return FlatScene(things, (top, bottom), line)  # type: ignore[arg-type]


def clear(scene: FlatScene) -> bool:
    """Whether every object stands out from the ground."""
    return all(_gap(tone, COLOURS[thing.colour]) > 60 for thing in scene.things for tone in scene.ground)


def draw(scene: FlatScene) -> tuple[Image.Image, np.ndarray]:
    """The picture, 256 x 256, and the masks [objects, 256, 256] of what is seen of each object."""
    side = SIDE * OVERSAMPLING
    rows = np.linspace(0, 1, side)[:, None, None]
    top, bottom = (np.array(tone, np.float64) for tone in scene.ground)
    canvas = Image.fromarray(np.broadcast_to(top * (1 - rows) + bottom * rows, (side, side, 3)).astype(np.uint8))
    masks: list[np.ndarray] = []
    for thing in scene.things:
        stencil = _stencil(thing, side)
        canvas.paste(_fill(thing, side), mask=stencil)
        _lines(canvas, thing, scene.line, side)
        cover = np.asarray(stencil.resize((SIDE, SIDE), Image.Resampling.BOX), np.float32) / 255
        masks = [mask * (1 - cover) for mask in masks] + [cover]
    return canvas.resize((SIDE, SIDE), Image.Resampling.BOX), np.stack(masks)


def _places(rng: np.random.Generator, diameters: list[float]) -> list[tuple[float, float, float]]:
    """(x, y, diameter) without overlaps; the largest that will go in these places may go in all of them."""
    reach = np.array(diameters)
    while True:
        for _ in range(200):
            at = rng.uniform(reach[:, None] / 2, 1 - reach[:, None] / 2, (len(reach), 2))
            gaps = np.linalg.norm(at[:, None] - at[None], axis=-1) + 9 * np.eye(len(reach))
            if np.all(gaps > (reach[:, None] + reach[None]) * 0.52):
                return [(float(x), float(y), float(d)) for (x, y), d in zip(at, reach, strict=True)]
        reach = reach * 0.96


def _angle(shape: str, rng: np.random.Generator) -> float:
    return float(rng.uniform(0, 2 * np.pi)) if shape == "arrow" else float(rng.normal(0, 0.08))


def _gap(a: tuple[int, int, int], b: tuple[int, int, int]) -> float:
    return float(np.linalg.norm(np.array(a, float) - b))


def _placed(points: list[tuple[float, float]], thing: FlatThing, side: int) -> list[tuple[float, float]]:
    c, s, r = np.cos(thing.angle), np.sin(thing.angle), thing.diameter / 2
    return [((thing.x + r * (c * u - s * v)) * side, (thing.y + r * (s * u + c * v)) * side) for u, v in points]


def _stencil(thing: FlatThing, side: int) -> Image.Image:
    stencil = Image.new("L", (side, side))
    pen = ImageDraw.Draw(stencil)
    filled, holes, _ = outline(thing.shape)
    for value, polygons in ((255, filled), (0, holes)):
        for polygon in polygons:
            pen.polygon(_placed(polygon, thing, side), fill=value)
    return stencil


def _fill(thing: FlatThing, side: int) -> Image.Image:
    colour = COLOURS[thing.colour]
    layer = Image.new("RGB", (side, side), colour)
    if thing.pattern == "plain":
        return layer
    pen, step = ImageDraw.Draw(layer), max(24, int(thing.diameter * side / 6))
    bright = sum(colour) > 380
    second = tuple(int(v * 0.45) if bright else int(255 - (255 - v) * 0.35) for v in colour)
    if thing.pattern == "striped":
        for x in range(-side, side, step):
            pen.line([(x, side), (x + side, 0)], fill=second, width=step // 3)
        return layer
    for row, y in enumerate(range(0, side, step)):
        for x in range((row % 2) * step // 2, side, step):
            pen.ellipse([x - step // 4, y - step // 4, x + step // 4, y + step // 4], fill=second)
    return layer


def _lines(canvas: Image.Image, thing: FlatThing, width: float, side: int) -> None:
    """Inner lines always, in a darker or paler tone; the outer edge too where the scene has outlines."""
    pen, colour = ImageDraw.Draw(canvas), COLOURS[thing.colour]
    tone = tuple(int(v * 0.55) if sum(colour) > 120 else 90 for v in colour)
    _, _, inner = outline(thing.shape)
    for line in inner:
        pen.line(_placed(line, thing, side), fill=tone, width=max(4, int(0.025 * thing.diameter * side)), joint="curve")
    if width:
        edges = _stencil(thing, side)
        ring = np.asarray(edges, bool)
        reach = max(1, int(width * side))
        shifted = [np.roll(ring, d, axis) for axis in (0, 1) for d in (-reach, reach)]
        canvas.paste(tone, mask=Image.fromarray((ring & ~np.logical_and.reduce(shifted)).astype(np.uint8) * 255))
