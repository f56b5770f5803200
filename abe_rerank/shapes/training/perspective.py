"""Small shaded solids on a ground, seen in perspective: drawn by throwing points of their surfaces at the picture.

Every surface is a cloud of points with normals; each point that faces the camera is projected, and the nearest one in a
pixel colours it. Neither the distance fields of :mod:`abe_rerank.shapes.surfaces` nor a ray is involved, so that what
is learned from these pictures is no one renderer's habit. World z is up, the ground is z = 0, lengths are in units of
the scene, which is about six wide.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from abe_rerank.shapes.world import COLOURS, SOLIDS, SOLIDS_ODDS, Scene, SceneObject, sample_colour

Array = NDArray[Any]
OVERSAMPLING, DENSITY = 2, 8.0
"""Fine pixels along a side of a pixel, and points thrown at each fine pixel that a solid covers."""


@dataclass(frozen=True)
class Table:
    """Pictures to draw: how many solids with which odds, their radii, and how much wider than high they are before they
    are squeezed to a square. ``filled`` draws one solid as large as that share of the picture's side, None a group.
    """

    counts: tuple[tuple[int, float], ...] = ((1, 0.1), (2, 0.2), (3, 0.25), (4, 0.2), (6, 0.15), (8, 0.1))
    radii: tuple[float, float] = (0.26, 0.62)
    aspects: tuple[float, ...] = (1.0, 1.5)
    filled: tuple[float, float] | None = None


@dataclass(frozen=True)
class _Body:
    shape: str
    colour: str
    rgb: tuple[float, float, float]
    x: float
    y: float
    radius: float
    height: float
    turn: float
    mirror: float


@dataclass(frozen=True)
class _Eye:
    """A camera at ``origin`` with its axes as rows (right, up, forward) and focal lengths in widths and heights."""

    origin: Array
    axes: Array
    focal: tuple[float, float]

    def project(self, points: Array) -> Array:
        """(x, y, depth) [n, 3] of points [n, 3]: fractions of the picture, and the distance along the view."""
        right, up, depth = ((points - self.origin) @ self.axes.T).T
        return np.stack([0.5 + self.focal[0] * right / depth, 0.5 - self.focal[1] * up / depth, depth], axis=1)


def draw(rng: np.random.Generator, table: Table, size: int) -> tuple[Scene, NDArray[np.uint8]]:
    """A scene by lot as captions see it (places and diameters as they appear), and its picture [size, size, 3]."""
    eye = _eye(rng, table)
    bodies = _bodies(rng, table, eye)
    picture = _picture(rng, bodies, eye, size)
    return Scene(tuple(_as_seen(body, eye) for body in bodies)), picture


def _eye(rng: np.random.Generator, table: Table) -> _Eye:
    elevation, distance = float(rng.uniform(0.3, 0.85)), float(rng.uniform(8, 14))
    back = np.array([0.0, -np.cos(elevation), np.sin(elevation)])
    axes = np.array([[1.0, 0.0, 0.0], [0.0, np.sin(elevation), np.cos(elevation)], -back])
    aspect = float(rng.choice(table.aspects))
    focal = distance / float(rng.uniform(6.5, 8.5))
    return _Eye(back * distance + [0, 0, 0.3], axes, (focal, focal * aspect))


def _bodies(rng: np.random.Generator, table: Table, eye: _Eye) -> list[_Body]:
    numbers, odds = zip(*table.counts, strict=True)
    wanted = 1 if table.filled else int(rng.choice(numbers, p=np.array(odds) / sum(odds)))
    bodies: list[_Body] = []
    for _ in range(60 * wanted):
        x, y = (float(v) for v in rng.uniform(-3.2, 3.2, 2))
        radius = float(rng.uniform(*table.radii))
        if table.filled:
            x, y = 0.0, 0.0
            radius = float(rng.uniform(*table.filled)) / 2 / max(eye.focal) * float(np.linalg.norm(eye.origin))
        body = _body(rng, x, y, radius)
        seen = _as_seen(body, eye)
        inside = all(seen.diameter / 2 < at < 1 - seen.diameter / 2 for at in (seen.x, seen.y))
        if table.filled or (inside and all(_apart(seen, _as_seen(other, eye)) for other in bodies)):
            bodies.append(body)
        if len(bodies) == wanted:
            break
    return bodies


def _body(rng: np.random.Generator, x: float, y: float, radius: float) -> _Body:
    colour, shape = str(rng.choice(COLOURS)), str(rng.choice(SOLIDS, p=SOLIDS_ODDS))
    height = radius * float(rng.uniform(1.2, 2.3))
    mirror = float(rng.uniform(0.3, 0.8)) if rng.random() < 0.4 else 0.0
    turn = float(rng.uniform(0, np.pi / 2))
    return _Body(shape, colour, sample_colour(colour, rng), x, y, radius, height, turn, mirror)


def _as_seen(body: _Body, eye: _Eye) -> SceneObject:
    middle = np.array([[body.x, body.y, _tall(body) / 2]])
    x, y, depth = (float(v) for v in eye.project(middle)[0])
    diameter = 2 * body.radius * max(eye.focal) / depth
    return SceneObject(body.colour, body.shape, "plain", x=x, y=y, diameter=diameter, rgb=body.rgb)


def _apart(a: SceneObject, b: SceneObject) -> bool:
    return bool(np.hypot(a.x - b.x, a.y - b.y) > 0.46 * (a.diameter + b.diameter))


def _tall(body: _Body) -> float:
    return {"sphere": 2 * body.radius, "cube": 1.42 * body.radius}.get(body.shape, body.height)


def _cloud(body: _Body, count: int, rng: np.random.Generator) -> tuple[Array, Array]:
    """``count`` points [n, 3] spread over the surface of a body that stands on the ground, and their normals [n, 3]."""
    turn, high = rng.uniform(0, 2 * np.pi, count), rng.random(count)
    round_about = np.stack([np.cos(turn), np.sin(turn), np.zeros(count)], axis=1)
    r, tall = body.radius, _tall(body)
    if body.shape == "sphere":
        z = 2 * high - 1
        normals = round_about * np.sqrt(1 - z**2)[:, None] + np.array([0, 0, 1]) * z[:, None]
        points = normals * r + [0, 0, r]
    elif body.shape == "cube":
        axis, side = rng.integers(3, size=count), rng.choice((-1.0, 1.0), count)
        normals = np.eye(3)[axis] * side[:, None]
        points = np.where(normals != 0, normals, rng.uniform(-1, 1, (count, 3))) * (tall / 2) + [0, 0, tall / 2]
        c, s = np.cos(body.turn), np.sin(body.turn)
        turned = np.array([[c, s, 0], [-s, c, 0], [0, 0, 1]])
        points, normals = points @ turned, normals @ turned
    else:
        slant = 0.0 if body.shape == "cylinder" else r / tall
        lid = rng.random(count) < (0.25 if body.shape == "cylinder" else 0.0)
        width = r * (np.ones(count) if body.shape == "cylinder" else np.sqrt(high))
        z = np.where(body.shape == "cylinder", high, 1 - np.sqrt(high)) * tall
        width, z = np.where(lid, r * np.sqrt(high), width), np.where(lid, tall, z)
        points = round_about * width[:, None] + np.array([0, 0, 1]) * z[:, None]
        normals = (round_about + np.array([0, 0, slant])) / np.hypot(1, slant)
        normals = np.where(lid[:, None], np.array([0.0, 0.0, 1.0]), normals)
    return points + np.array([body.x, body.y, 0.0]), normals


def _picture(rng: np.random.Generator, bodies: list[_Body], eye: _Eye, size: int) -> NDArray[np.uint8]:
    side = size * OVERSAMPLING
    azimuth, high = float(rng.uniform(-np.pi, np.pi)), float(rng.uniform(0.5, 1.4))
    lamp = np.array([np.cos(azimuth) * np.cos(high), np.sin(azimuth) * np.cos(high), np.sin(high)])
    bands, phase, dark = rng.normal(0, 2.0, 3), float(rng.uniform(0, 6)), float(rng.uniform(0.2, 0.5))
    clouds = []
    for body in bodies:
        covered = np.pi * (_as_seen(body, eye).diameter / 2 * side) ** 2
        clouds.append((body, *_cloud(body, int(DENSITY * 3 * covered) + 50, rng)))
    colour = _ground(rng, [points for _, points, _ in clouds], eye, lamp, side)
    depth = np.full(side * side, np.inf)
    flat = colour.reshape(-1, 3)
    for body, points, normals in clouds:
        sight = points - eye.origin
        sight /= np.linalg.norm(sight, axis=1, keepdims=True)
        facing = (sight * normals).sum(1) < 0
        points, normals, sight = points[facing], normals[facing], sight[facing]
        x, y, far = eye.project(points).T
        column, row = (x * side).astype(int), (y * side).astype(int)
        kept = (x >= 0) & (y >= 0) & (column < side) & (row < side)
        order = np.flatnonzero(kept)[np.argsort(-far[kept], kind="stable")]
        order = order[far[order] < depth[(row * side + column)[order]]]
        pixel = row[order] * side + column[order]
        depth[pixel] = far[order]
        flat[pixel] = _shade(body, normals[order], sight[order], lamp, dark, bands, phase)
    fine = Image.fromarray((np.clip(colour, 0, 1) * 255 + 0.5).astype(np.uint8))
    return np.asarray(fine.resize((size, size), Image.Resampling.BOX))


def _shade(body: _Body, normals: Array, sight: Array, lamp: Array, dark: float, bands: Array, phase: float) -> Array:
    """The colours [n, 3] of surface points: diffuse light, a glint, and bright and dark bands where it mirrors."""
    base = np.array(body.rgb)
    lit = dark + 0.15 * normals[:, 2:] + (0.95 - dark) * np.clip(normals @ lamp, 0, 1)[:, None]
    mirrored = sight - 2 * (sight * normals).sum(1, keepdims=True) * normals
    glint = np.clip(mirrored @ lamp, 0, 1)[:, None]
    around = 0.6 + 0.3 * np.sin(mirrored @ bands + phase)[:, None] + 0.15 * (mirrored[:, 2:] > 0)
    matt = base * lit + 0.08 * glint**10
    metal = base * (0.25 + 0.35 * lit) + (0.7 * base + 0.15) * around * 0.55 + 0.8 * glint**40
    return np.asarray((1 - body.mirror) * matt + body.mirror * metal)


def _ground(rng: np.random.Generator, clouds: list[Array], eye: _Eye, lamp: Array, side: int) -> Array:
    """The ground [side, side, 3]: a pale or greyish tone that falls off with distance, under soft shadows."""
    lit = np.zeros((side, side), np.uint8)
    for points in clouds:
        fallen = points - lamp * (points[:, 2:] / lamp[2])
        x, y, _ = eye.project(fallen).T
        column, row = (x * side).astype(int), (y * side).astype(int)
        kept = (x >= 0) & (y >= 0) & (column < side) & (row < side)
        lit[row[kept], column[kept]] = 255
    blurred = Image.fromarray(lit).filter(ImageFilter.GaussianBlur(side / 128 * float(rng.uniform(0.6, 2.0))))
    shadow = np.asarray(blurred, float)[..., None] / 255 * float(rng.uniform(0.2, 0.6))
    tone = np.clip(rng.uniform(0.3, 0.95) + rng.normal(0, 0.03, 3), 0, 1)
    across, down = np.meshgrid(np.linspace(-1, 1, side), np.linspace(-1, 1, side))
    fall = 1 - float(rng.uniform(0, 0.35)) * (across**2 + (down - float(rng.uniform(-0.5, 0.8))) ** 2)[..., None] / 2
    return np.asarray(tone * fall * (1 - shadow))
