"""A small ray caster: solids on a grey ground under one soft light, seen by a perspective camera. World z is up."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

Array = NDArray[Any]
WIDTH, HEIGHT, OVERSAMPLING = 480, 320, 2


@dataclass(frozen=True)
class Solid:
    """A body that stands on the ground at ``x``, ``y``: within ``radius`` of its axis and ``2 * radius`` high at most.

    ``turn`` is its rotation in radians, ``rgb`` in [0, 1], ``shiny`` a metal-like surface.
    """

    shape: str
    x: float
    y: float
    radius: float
    turn: float
    rgb: tuple[float, float, float]
    shiny: bool


@dataclass(frozen=True)
class View:
    """The camera's ``distance``, ``elevation`` and ``azimuth``, and the azimuth of the ``light``; angles in radians."""

    distance: float = 11.0
    elevation: float = 0.55
    azimuth: float = 0.0
    light: float = -0.8


@dataclass(frozen=True)
class _Camera:
    origin: Array
    forward: Array
    right: Array
    up: Array
    focal: float

    def rays(self, oversampling: int) -> Array:
        """Unit directions [h, w, 3] through the centres of all pixels of a picture that many times finer."""
        x = ((np.arange(WIDTH * oversampling) + 0.5) / oversampling - WIDTH / 2) / self.focal
        y = ((np.arange(HEIGHT * oversampling) + 0.5) / oversampling - HEIGHT / 2) / self.focal
        d = self.forward + x[None, :, None] * self.right - y[:, None, None] * self.up
        return np.asarray(d / np.linalg.norm(d, axis=-1, keepdims=True), np.float32)

    def project(self, points: Array) -> Array:
        """Pixel coordinates (column, row) [n, 2] of points [n, 3]."""
        seen = points - self.origin
        depth = seen @ self.forward
        x, y = seen @ self.right / depth, -(seen @ self.up) / depth
        return np.stack([x, y], axis=-1) * self.focal + np.array([WIDTH, HEIGHT]) / 2


def camera(view: View) -> _Camera:
    """The camera of a view: it looks at the middle of the ground."""
    e, a = view.elevation, view.azimuth
    back = np.array([np.sin(a) * np.cos(e), -np.cos(a) * np.cos(e), np.sin(e)])
    right = np.array([np.cos(a), np.sin(a), 0.0])
    return _Camera(back * view.distance, -back, right, np.cross(back, right), 1.38 * WIDTH)


def bounds(solid: Solid, view: View) -> tuple[float, float, float]:
    """(column, row, radius) in pixels of the finished picture of the ball around a solid."""
    eye = camera(view)
    middle = np.array([[solid.x, solid.y, solid.radius]])
    column, row = eye.project(middle)[0]
    reach = eye.focal * solid.radius / float(np.linalg.norm(middle[0] - eye.origin))
    return float(column), float(row), reach


def cast(solids: tuple[Solid, ...], view: View) -> tuple[Image.Image, Array]:
    """The picture, 480 x 320, and the masks [solids, 320, 480] in [0, 1] of what is seen of each."""
    eye = camera(view)
    height, width = HEIGHT * OVERSAMPLING, WIDTH * OVERSAMPLING
    directions = eye.rays(OVERSAMPLING)
    lamp = np.array([np.cos(0.95) * np.sin(view.light), -np.cos(0.95) * np.cos(view.light), np.sin(0.95)])
    colour = _ground(eye, solids, lamp).repeat(OVERSAMPLING, axis=0).repeat(OVERSAMPLING, axis=1)
    depth, owner = np.full((height, width), np.inf, np.float32), np.full((height, width), -1)
    for k, solid in enumerate(solids):
        rows, columns = _window(solid, view)
        seen = directions[rows, columns]
        distance, normal = _hit(solid, eye.origin, seen)
        here = distance < depth[rows, columns]
        shade = _surface(solid, normal, seen, lamp)
        colour[rows, columns] = np.where(here[..., None], shade, colour[rows, columns])
        depth[rows, columns] = np.where(here, distance, depth[rows, columns])
        owner[rows, columns] = np.where(here, k, owner[rows, columns])
    picture = Image.fromarray((np.clip(colour, 0, 1) * 255 + 0.5).astype(np.uint8))
    masks = [(owner == k).reshape(HEIGHT, OVERSAMPLING, WIDTH, OVERSAMPLING).mean((1, 3)) for k in range(len(solids))]
    return picture.resize((WIDTH, HEIGHT), Image.Resampling.BOX), np.stack(masks).astype(np.float32)


def _window(solid: Solid, view: View) -> tuple[slice, slice]:
    """The fine pixels that can show a solid: its corners stand out of the ball by less than three quarters."""
    column, row, reach = (v * OVERSAMPLING for v in bounds(solid, view))
    reach = reach * 1.75 + 2
    rows = slice(max(0, int(row - reach)), min(HEIGHT * OVERSAMPLING, int(row + reach)))
    return rows, slice(max(0, int(column - reach)), min(WIDTH * OVERSAMPLING, int(column + reach)))


def _ground(eye: _Camera, solids: tuple[Solid, ...], lamp: Array) -> Array:
    """The ground [HEIGHT, WIDTH, 3]: grey that falls off from the middle, with the soft shadows of the solids."""
    directions = eye.rays(1)
    distance = -eye.origin[2] / directions[..., 2]
    at = (eye.origin + distance[..., None] * directions).astype(np.float32)
    lit = np.ones(distance.shape, np.float32)
    towards = (lamp / np.linalg.norm(lamp)).astype(np.float32)
    for solid in solids:
        near = np.hypot(at[..., 0] - solid.x, at[..., 1] - solid.y) < 5 * solid.radius
        rows, columns = np.nonzero(near.any(1))[0], np.nonzero(near.any(0))[0]
        if not len(rows):
            continue
        part = (slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1))
        blocked, _ = _hit(solid, at[part], np.broadcast_to(towards, at[part].shape))
        lit[part] = np.where(np.isfinite(blocked), 0.0, lit[part])
    soft = Image.fromarray((lit * 255).astype(np.uint8)).filter(ImageFilter.GaussianBlur(2.5))
    shadow = np.asarray(soft, np.float32)[..., None] / 255
    falloff = 0.78 - 0.008 * (at[..., :1] ** 2 + (at[..., 1:2] - 0.5) ** 2)
    tone = np.clip(falloff, 0.3, 1) * (0.55 + 0.45 * shadow)
    return np.repeat(tone, 3, axis=-1).astype(np.float32)


def _surface(solid: Solid, normal: Array, seen: Array, lamp: Array) -> Array:
    base = np.array(solid.rgb, np.float32)
    towards = lamp / np.linalg.norm(lamp)
    facing = np.clip(normal @ towards, 0, 1)[..., None]
    mirrored = seen - 2 * (seen * normal).sum(-1, keepdims=True) * normal
    glint = np.clip(mirrored @ towards, 0, 1)[..., None]
    above = 0.5 + 0.5 * normal[..., 2:3]
    if not solid.shiny:
        return np.asarray(base * (0.32 + 0.2 * above + 0.6 * facing) + 0.06 * glint**8)
    sky = np.where(mirrored[..., 2:3] > 0, 0.55 + 0.4 * mirrored[..., 2:3], 0.35)
    tinted = base * (0.2 + 0.1 * above + 0.4 * facing) + (0.75 * base + 0.15) * sky * 0.55
    return np.asarray(tinted + 0.9 * glint**40)


def _hit(solid: Solid, origin: Array, directions: Array) -> tuple[Array, Array]:
    """(distance, inf where there is no hit; unit normal) along rays [h, w, 3] from one origin or one for each ray."""
    start = origin - np.array([solid.x, solid.y, 0.0], np.float32)
    with np.errstate(divide="ignore", invalid="ignore"):
        distance, normal = _SHAPES[solid.shape](solid, start, directions)
    missed = ~(distance > 1e-3)
    return np.where(missed, np.inf, distance).astype(np.float32), normal.astype(np.float32)


def _sphere(solid: Solid, start: Array, d: Array) -> tuple[Array, Array]:
    start = start - np.array([0, 0, solid.radius])
    b, c = (start * d).sum(-1), (start * start).sum(-1) - solid.radius**2
    t = -b - np.sqrt(b * b - c)
    return t, (start + t[..., None] * d) / solid.radius


def _cube(solid: Solid, start: Array, d: Array) -> tuple[Array, Array]:
    half = solid.radius * 0.74
    c, s = np.cos(solid.turn), np.sin(solid.turn)
    turn = np.array([[c, s, 0], [-s, c, 0], [0, 0, 1]])
    o, v = (start - np.array([0, 0, half])) @ turn.T, d @ turn.T
    first, second = (-half - o) / v, (half - o) / v
    near, far = np.minimum(first, second), np.maximum(first, second)
    axis = near.argmax(-1)
    t = near.max(-1)
    normal = np.eye(3)[axis] * -np.sign(np.take_along_axis(v, axis[..., None], -1))
    return np.where(t < far.min(-1), t, np.nan), normal @ turn


def _cylinder(solid: Solid, start: Array, d: Array) -> tuple[Array, Array]:
    r, top = solid.radius * 0.86, solid.radius * 1.6
    start = np.broadcast_to(start, d.shape)
    a = (d[..., :2] ** 2).sum(-1)
    b, c = (start[..., :2] * d[..., :2]).sum(-1), (start[..., :2] ** 2).sum(-1) - r * r
    side = (-b - np.sqrt(b * b - a * c)) / a
    z = start[..., 2] + side * d[..., 2]
    side = np.where((z >= 0) & (z <= top) & (side > 0), side, np.nan)
    lid = (top - start[..., 2]) / d[..., 2]
    across = start[..., :2] + lid[..., None] * d[..., :2]
    lid = np.where(((across**2).sum(-1) <= r * r) & (lid > 0), lid, np.nan)
    t = np.fmin(side, lid)
    wall = (start + t[..., None] * d) * np.array([1 / r, 1 / r, 0])
    return t, np.where((t == lid)[..., None], np.array([0.0, 0.0, 1.0]), wall)


_SHAPES = {"sphere": _sphere, "cube": _cube, "cylinder": _cylinder}
SHAPES = tuple(_SHAPES)
