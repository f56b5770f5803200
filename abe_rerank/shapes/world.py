"""Scenes of the shapes world: what there is, and how a scene is drawn by lot.

A scene is a plain value; :mod:`abe_rerank.shapes.render` turns it into pixels and masks, and
:mod:`abe_rerank.shapes.training.captions` into words. All lengths are fractions of the image's width.
"""

from __future__ import annotations

import colorsys
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

COLOURS = ("red", "green", "blue", "yellow", "purple", "orange", "cyan", "white", "pink", "brown", "black", "gray")
SHAPES = (
    *("cube", "sphere", "cylinder", "cone", "ring", "star"),
    *("heart", "cross", "triangle", "diamond", "crescent", "arrow"),
)
PATTERNS = ("plain", "striped", "dotted")
SIZES = ("small", "large")
BACKGROUNDS = ("plain", "gradient", "textured", "floor")

SMALL_BELOW = 0.20
"""A diameter below this is called small."""
LARGE_ABOVE = 0.32
"""A diameter above this is called large; between the two an object has no size word."""
PATTERN_FROM = 0.17
"""Objects with a smaller diameter are always plain: a pattern on them could not be seen."""

Split = Literal["train", "choose", "report"]
ReportSplit = Literal["choose", "report"]
_SPLIT_KEYS: dict[str, int] = {"train": 11, "choose": 22, "report": 33}

# Hue in degrees, saturation and value in [0, 1]: the ranges a colour's name covers, with gaps between the names.
_HSV = {
    "red": ((-8, 8), (0.74, 1.0), (0.62, 1.0)),
    "green": ((92, 145), (0.60, 1.0), (0.38, 0.88)),
    "blue": ((210, 242), (0.68, 1.0), (0.55, 1.0)),
    "yellow": ((49, 60), (0.72, 1.0), (0.88, 1.0)),
    "purple": ((266, 300), (0.55, 1.0), (0.42, 0.82)),
    "orange": ((21, 38), (0.85, 1.0), (0.90, 1.0)),
    "cyan": ((174, 188), (0.60, 1.0), (0.80, 1.0)),
    "white": ((0, 360), (0.0, 0.04), (0.94, 1.0)),
    "pink": ((322, 350), (0.24, 0.58), (0.93, 1.0)),
    "brown": ((14, 32), (0.55, 0.84), (0.30, 0.56)),
    "black": ((0, 360), (0.0, 0.20), (0.02, 0.13)),
    "gray": ((0, 360), (0.0, 0.06), (0.32, 0.62)),
}

RGB = tuple[float, float, float]


@dataclass(frozen=True)
class SceneObject:
    """One object: its attributes, where it stands, and how its surface is drawn.

    ``x`` and ``y`` are the centre, ``diameter`` the side of the square that holds it, ``angle`` its rotation in
    radians (a turn about the upright axis for the solids), ``tilt`` the camera's height over the solids in radians.
    ``depth`` says how much darker the sides away from the light are than they would be without it, ``girth`` is the
    width over the height of a cylinder or a cone, None for a tall cylinder and a cone of medium height. ``lamp`` is the
    light's height in radians: with it a solid looks as a camera sees a body under that light, else it is drawn simply.
    ``metal`` is how much the surface mirrors bright and dark bands of what surrounds it, 0 for none.
    """

    colour: str
    shape: str
    pattern: str
    x: float
    y: float
    diameter: float
    rgb: RGB
    angle: float = 0.0
    tilt: float = 0.5
    pattern_angle: float = 0.6
    pattern_scale: float = 5.0
    gloss: float = 0.0
    outline: float = 0.0
    depth: float = 0.0
    girth: float | None = None
    lamp: float | None = None
    metal: float = 0.0

    @property
    def size(self) -> str | None:
        """The size word that is true of the object, or None in between."""
        if self.diameter < SMALL_BELOW:
            return "small"
        return "large" if self.diameter > LARGE_ABOVE else None

    @property
    def box(self) -> tuple[float, float, float, float]:
        """(left, top, right, bottom), not clipped by other objects."""
        r = self.diameter / 2
        return (self.x - r, self.y - r, self.x + r, self.y + r)


@dataclass(frozen=True)
class Scene:
    """Objects from back to front, before a background, under a light."""

    objects: tuple[SceneObject, ...]
    background: str = "plain"
    background_rgb: tuple[RGB, RGB] = ((0.8, 0.8, 0.8), (0.6, 0.6, 0.6))
    horizon: float = 0.6
    light: float = 0.0
    shadow: float = 0.3
    noise: float = 0.0
    blur: float = 0.0
    texture_seed: int = 0


@dataclass(frozen=True)
class WorldSettings:
    """From which scenes to draw: number of objects with their odds, diameters, how varied the style is.

    ``twins`` is the share of scenes with two objects of one kind, ``cut`` the part of a radius by which an object may
    reach beyond the image, and ``style`` in [0, 1] scales how often backgrounds are busy and surfaces glossy,
    outlined, noisy or blurred. ``solids`` are scenes of solids alone, whose shapes recur, under light that leaves up to
    that ``depth`` of shade, slim and squat; ``margin`` is the part of the height above and below that stays free.
    ``bodies`` draws solids as a camera sees them, under lamps of any height, some of them of metal.
    """

    counts: tuple[tuple[int, float], ...] = ((1, 0.3), (2, 0.4), (3, 0.2), (4, 0.1))
    diameters: tuple[float, float] = (0.10, 0.50)
    patterned: float = 0.4
    twins: float = 0.06
    cut: float = 0.0
    style: float = 1.0
    solids: float | None = None
    margin: float = 0.0
    bodies: bool = False


SCENES = WorldSettings()
"""The world that everything is measured on."""
CLOSE_UPS = WorldSettings(counts=((0, 0.06), (1, 0.74), (2, 0.2)), diameters=(0.25, 0.95), twins=0.0, cut=0.25)
"""Small pictures of one object or two that fill much of them, as product pictures do, or of none."""
SOLIDS, SOLIDS_ODDS = SHAPES[:4], (0.28, 0.2, 0.34, 0.18)


def split_rng(split: Split, index: int) -> np.random.Generator:
    """The random generator of one scene; generators of different splits never meet."""
    return np.random.default_rng((_SPLIT_KEYS[split], index))


def sample_colour(name: str, rng: np.random.Generator) -> RGB:
    """A shade that the colour's name covers, as (red, green, blue) in [0, 1]."""
    hue, saturation, value = (rng.uniform(*bounds) for bounds in _HSV[name])
    return colorsys.hsv_to_rgb((hue % 360) / 360, saturation, value)


def sample_scene(
    rng: np.random.Generator, settings: WorldSettings = SCENES, *, count: int | None = None, **fixed: str
) -> Scene:
    """A scene by lot.

    ``count`` fixes the number of objects and ``fixed`` an attribute of all of them (``pattern="plain"``).
    No two objects share their shape, except for deliberate twins ("two red cubes") and among ``solids``.
    """
    numbers, odds = zip(*settings.counts, strict=True)
    n = count if count is not None else int(rng.choice(numbers, p=np.array(odds) / sum(odds)))
    kinds = [_sample_kind(rng, settings, shape) for shape in _sample_shapes(rng, settings, n)]
    if n > 1 and rng.random() < settings.twins:
        kinds[1] = kinds[0]
    kinds = [{**kind, **fixed} for kind in kinds]
    objects = [
        _sample_look(rng, settings, kind, x, y, d)
        for kind, (x, y, d) in zip(kinds, _sample_places(rng, settings, n), strict=True)
    ]
    objects = [_plain_if_tiny(o) for o in objects]
    return _sample_surroundings(rng, settings, tuple(objects))


def _sample_shapes(rng: np.random.Generator, settings: WorldSettings, n: int) -> list[str]:
    if settings.solids is None:
        return [str(shape) for shape in rng.permutation(SHAPES)[:n]]
    return [str(shape) for shape in rng.choice(SOLIDS, size=n, p=SOLIDS_ODDS)]


def _sample_kind(rng: np.random.Generator, settings: WorldSettings, shape: str) -> dict[str, str]:
    patterned = rng.random() < settings.patterned
    return {
        "colour": str(rng.choice(COLOURS)),
        "shape": str(shape),
        "pattern": str(rng.choice(PATTERNS[1:])) if patterned else "plain",
    }


def _sample_places(rng: np.random.Generator, settings: WorldSettings, n: int) -> list[tuple[float, float, float]]:
    """Centres and diameters inside the image with at most mild overlaps; all shrink together until they fit."""
    low, high = settings.diameters
    # More objects leave less room; a skew towards the middle sizes keeps the tiny ones a minority.
    top = min(high, {1: 1.0, 2: 0.46, 3: 0.40}.get(n, 0.34))
    diameters = low + (top - low) * rng.beta(1.6, 1.3, size=n)
    for attempt in range(400):
        if attempt % 40 == 39:
            diameters = np.maximum(low, diameters * 0.92)
        inner = diameters[:, None] / 2 * (1 - settings.cut) + np.array([0.0, settings.margin])
        centres = rng.uniform(inner, 1 - inner, size=(n, 2))
        gaps = np.linalg.norm(centres[:, None] - centres[None], axis=-1)
        reach = (diameters[:, None] + diameters[None]) / 2 * rng.uniform(0.92, 1.1)
        if np.all(gaps[np.triu_indices(n, 1)] >= reach[np.triu_indices(n, 1)]):
            break
    return [(float(x), float(y), float(d)) for (x, y), d in zip(centres, diameters, strict=True)]


def _sample_look(
    rng: np.random.Generator, settings: WorldSettings, kind: dict[str, str], x: float, y: float, diameter: float
) -> SceneObject:
    busy = settings.style
    thing = SceneObject(
        kind["colour"],
        kind["shape"],
        kind["pattern"],
        x=x,
        y=y,
        diameter=diameter,
        rgb=sample_colour(kind["colour"], rng),
        angle=_sample_angle(rng, kind["shape"]),
        tilt=float(rng.uniform(0.3, 0.75)),
        pattern_angle=float(rng.uniform(0, np.pi)),
        pattern_scale=float(rng.uniform(3.0, 5.0)) * min(1.0, 0.45 + 1.8 * diameter),
        gloss=float(rng.uniform(0.2, 0.9)) if rng.random() < 0.4 * busy else 0.0,
        outline=float(rng.uniform(0.3, 0.9)) if rng.random() < 0.2 * busy else 0.0,
        depth=0.0 if settings.solids is None else float(rng.uniform(-0.5, settings.solids)),
        girth=None if settings.solids is None else float(rng.uniform(0.6, 1.35)),
    )
    return _as_body(thing, rng) if settings.bodies else thing


def _as_body(thing: SceneObject, rng: np.random.Generator) -> SceneObject:
    """The solid as a distant camera sees it; cylinders and cones are 0.6 to 1.5 times as high as wide."""
    elevation, slimness = float(rng.uniform(0.25, 0.9)), float(rng.uniform(0.6, 1.5))
    return replace(
        thing,
        tilt=elevation,
        girth=1 / (slimness * float(np.cos(elevation)) + float(np.sin(elevation))),
        angle=float(rng.uniform(0.02, np.pi / 2 - 0.02)) if thing.shape == "cube" else thing.angle,
        lamp=float(rng.uniform(0.2, 1.4)),
        metal=float(rng.uniform(0.15, 0.5)) if rng.random() < 0.35 else 0.0,
    )


def _sample_angle(rng: np.random.Generator, shape: str) -> float:
    if shape == "cube":
        return float(rng.uniform(0.2, np.pi / 2 - 0.2))
    if shape == "arrow":
        return float(rng.uniform(0, 2 * np.pi))
    if shape in ("crescent", "star"):
        return float(rng.uniform(-0.7, 0.7)) + (np.pi if shape == "crescent" and rng.random() < 0.5 else 0.0)
    # A cross turned by 45 degrees or a triangle on its tip is still one, but is rarely drawn.
    return float(np.clip(rng.normal(0, 0.16), -0.35, 0.35))


def _plain_if_tiny(thing: SceneObject) -> SceneObject:
    return thing if thing.diameter >= PATTERN_FROM else replace(thing, pattern="plain")


def _sample_surroundings(rng: np.random.Generator, settings: WorldSettings, objects: tuple[SceneObject, ...]) -> Scene:
    busy = settings.style
    background = str(rng.choice(BACKGROUNDS, p=_mix([0.55, 0.2, 0.0, 0.25], [0.3, 0.25, 0.2, 0.25], busy)))
    return Scene(
        objects=objects,
        background=background,
        background_rgb=_sample_background(rng, objects),
        horizon=float(rng.uniform(0.35, 0.7)),
        light=float(rng.uniform(-1, 1)),
        shadow=float(rng.uniform(0.1, 0.45)) if rng.random() < 0.7 else 0.0,
        noise=float(rng.uniform(0.005, 0.03)) * float(rng.random() < 0.3 * busy),
        blur=float(rng.uniform(0.2, 0.8)) * float(rng.random() < 0.3 * busy),
        texture_seed=int(rng.integers(2**31)),
    )


def _mix(calm: list[float], busy: list[float], share: float) -> list[float]:
    return [(1 - share) * c + share * b for c, b in zip(calm, busy, strict=True)]


def _sample_background(rng: np.random.Generator, objects: tuple[SceneObject, ...]) -> tuple[RGB, RGB]:
    """Two pale or greyish tones from which every object stands out."""
    shades = np.array([o.rgb for o in objects] or [(0.0, 0.0, 0.0)])
    best, best_gap = None, -1.0
    for _ in range(12):
        hue, saturation, value = rng.random(), rng.uniform(0, 0.28), rng.uniform(0.08, 1.0) ** 0.6
        first = np.array(colorsys.hsv_to_rgb(hue, saturation, value))
        second = np.clip(first * rng.uniform(0.75, 1.2) + rng.uniform(-0.06, 0.06, 3), 0, 1)
        gap = min(float(np.linalg.norm(shades - tone, axis=1).min()) for tone in (first, second))
        if gap > best_gap:
            best, best_gap = (first, second), gap
        if gap > 0.36:
            break
    assert best is not None
    first, second = best
    return tuple(map(float, first)), tuple(map(float, second))  # type: ignore[return-value]
