"""The twelve shapes as signed distance fields on local coordinates: u to the right, v down, the object within [-1, 1].

Solids are seen from above by ``tilt`` and shaded face by face.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from abe_rerank.shapes.world import SceneObject

Field = NDArray[Any]
"""An array of floats over pixels."""

Surface = tuple[Field, Field, Field, Field]
"""Distance (negative inside), brightness factor, and two surface coordinates that a pattern follows."""


def _lit(thing: SceneObject, light: float, x: Any, y: Any, z: Any) -> Any:
    """The brightness of surfaces with unit normals (x to the right, y towards the camera, z up) under the lamp.

    ``light`` turns the lamp from the right of the camera (-1) to its left (1); the object's ``depth`` is how dark it is
    where the lamp does not reach.
    """
    lamp = thing.lamp or 0.0
    across, up = np.cos(lamp), np.sin(lamp)
    facing = np.clip(-x * np.sin(1.2 * light) * across + y * np.cos(1.2 * light) * across + z * up, 0, 1)
    dark = 0.6 - 0.2 * thing.depth
    return dark + 0.08 * z + (1.05 - dark) * facing


def _sphere(thing: SceneObject, light: float, u: Field, v: Field) -> Surface:
    r = np.sqrt(u * u + v * v)
    height = np.sqrt(np.clip(1 - r * r, 0, 1))
    lit = 0.62 + 0.45 * np.clip(-0.45 * light * u - 0.55 * v + 0.7 * height, 0, 1)
    if thing.lamp is not None:
        c, s = np.cos(thing.tilt), np.sin(thing.tilt)
        lit = _lit(thing, light, u + 0 * v, v * s + height * c, height * s - v * c)
    return r - 0.98, lit, np.broadcast_to(u, r.shape), np.broadcast_to(v, r.shape)


def _cube(thing: SceneObject, light: float, u: Field, v: Field) -> Surface:
    c, s, lift = np.cos(thing.angle), np.sin(thing.angle), np.sin(thing.tilt)
    upright = np.cos(thing.tilt)
    scale = 0.98 / max(c + s, (c + s) * lift + upright)
    right, left = np.array([c, s * lift]) * scale, np.array([-s, c * lift]) * scale
    up = np.array([0, -upright]) * scale
    # Axes of the three visible faces: corner, first edge, second edge; brightness from the side of the light.
    near = right + left - up
    brightness_of = (0.82 + 0.14 * light, 0.82 - 0.14 * light, 1.06)
    if thing.lamp is not None:
        brightness_of = tuple(_lit(thing, light, *n) for n in ((-s, c, 0.0), (c, s, 0.0), (0.0, 0.0, 1.0)))
    faces = (
        (near, -2 * right, 2 * up, brightness_of[0]),
        (near, -2 * left, 2 * up, brightness_of[1]),
        (near + 2 * up, -2 * right, -2 * left, brightness_of[2]),
    )
    shape = np.broadcast_shapes(u.shape, v.shape)
    distance, shade = np.full(shape, np.inf, np.float32), np.ones(shape, np.float32)
    a, b = np.zeros(shape, np.float32), np.zeros(shape, np.float32)
    for corner, first, second, brightness in faces:
        det = first[0] * second[1] - first[1] * second[0]
        x, y = u - corner[0] / 1.0, v - corner[1] / 1.0
        s1, s2 = (x * second[1] - y * second[0]) / det, (y * first[0] - x * first[1]) / det
        field = np.maximum(
            np.maximum(-s1, s1 - 1) * abs(det) / np.hypot(*second),
            np.maximum(-s2, s2 - 1) * abs(det) / np.hypot(*first),
        )
        here = field < distance
        distance = np.where(here, field, distance)
        shade = np.where(here, brightness, shade)
        a, b = np.where(here, s1 * 1.6, a), np.where(here, s2 * 1.6, b)
    return distance, shade, a, b


def _cylinder(thing: SceneObject, light: float, u: Field, v: Field) -> Surface:
    lean, u, v = _turned(thing, u, v)
    width, half = (0.66, 0.96) if thing.girth is None else _fitted(thing.girth)
    lift = np.sin(thing.tilt) * (0.6 if thing.lamp is None else 1.0)
    top, bottom = -half + lift * width, half - lift * width
    lid = _ellipse(u, v - top, width, lift * width)
    body = np.maximum(np.abs(u) - width, np.maximum(top - v, v - bottom))
    distance = np.minimum(np.minimum(body, _ellipse(u, v - bottom, width, lift * width)), lid)
    across = np.clip(u / width, -1, 1)
    side = 0.66 + 0.36 * np.clip(np.sqrt(1 - across**2) * 0.8 - 0.5 * light * across, 0, 1)
    on_lid, top_side = lid < 0, 1.06
    if thing.lamp is not None:
        side = _lit(thing, light, across, np.sqrt(1 - across**2), 0.0)
        top_side = _lit(thing, light, 0.0, 0.0, 1.0)
    a = np.where(on_lid, u, np.arcsin(across) * width)
    return distance, np.where(on_lid, top_side, side + 0 * lean), a, np.broadcast_to(v, a.shape)


def _cone(thing: SceneObject, light: float, u: Field, v: Field) -> Surface:
    _, u, v = _turned(thing, u, v)
    width, tip = (0.8, 0.96) if thing.girth is None else _fitted(thing.girth)
    lift = np.sin(thing.tilt) * (0.45 if thing.lamp is None else 1.0)
    bottom = tip - lift * width
    rise = (bottom + tip) / np.hypot(bottom + tip, width)
    half = width * (v + tip) / (bottom + tip)
    body = np.maximum((np.abs(u) - half) * rise, v - bottom)
    distance = np.minimum(body, _ellipse(u, v - bottom, width, lift * width))
    across = np.clip(u / np.maximum(half, 0.05), -1, 1)
    shade = 0.66 + 0.4 * np.clip(np.sqrt(1 - across**2) * 0.8 - 0.5 * light * across, 0, 1)
    if thing.lamp is not None:
        shade = _lit(thing, light, 0.9 * across, 0.9 * np.sqrt(1 - across**2), 0.43)
    return distance, shade, np.broadcast_to(u, distance.shape), np.broadcast_to(v, distance.shape)


def _fitted(girth: float) -> tuple[float, float]:
    """Half the width and half the height of a solid that just fits into its square."""
    return min(0.96, 0.96 * girth), min(0.96, 0.96 / girth)


def _ellipse(u: Field, v: Field, a: float, b: float) -> Field:
    """Distance to an ellipse to first order: exact on the edge, which is where anti-aliasing looks."""
    k = np.sqrt((u / a) ** 2 + (v / b) ** 2)
    slope = np.sqrt((u / a**2) ** 2 + (v / b**2) ** 2)
    return np.where(k < 1e-3, -min(a, b), (k - 1) * k / np.maximum(slope, 1e-6)).astype(np.float32)


def _turned(thing: SceneObject, u: Field, v: Field) -> tuple[Field, Field, Field]:
    c, s = np.float32(np.cos(thing.angle)), np.float32(np.sin(thing.angle))
    turned_u, turned_v = u * c + v * s, v * c - u * s
    return np.zeros_like(turned_u), turned_u, turned_v


def _flat(field: Callable[[Field, Field], Field]) -> Callable[[SceneObject, float, Field, Field], Surface]:
    """A flat shape from its distance field, under light that falls off gently to one side."""

    def surface(thing: SceneObject, light: float, u: Field, v: Field) -> Surface:
        _, u, v = _turned(thing, u, v)
        return field(u, v), 0.97 - 0.07 * light * u - 0.05 * v, u, v

    return surface


def _ring(u: Field, v: Field) -> Field:
    distance: Field = np.abs(np.sqrt(u * u + v * v) - 0.72) - 0.24
    return distance


def _crescent(u: Field, v: Field) -> Field:
    disc, bite = np.sqrt((u - 0.1) ** 2 + v * v) - 0.96, 0.8 - np.sqrt((u - 0.5) ** 2 + v * v)
    distance: Field = np.maximum(disc, bite)
    return distance


def _polygon(corners: tuple[tuple[float, float], ...]) -> Callable[[Field, Field], Field]:
    """The exact signed distance to a simple polygon (winding by edge crossings)."""

    def field(u: Field, v: Field) -> Field:
        square = np.full(u.shape, np.inf, np.float32)
        inside = np.zeros(u.shape, bool)
        for (x0, y0), (x1, y1) in zip(corners, (*corners[1:], corners[0]), strict=True):
            ex, ey = x1 - x0, y1 - y0
            wx, wy = u - np.float32(x0), v - np.float32(y0)
            along = np.clip((wx * ex + wy * ey) / (ex * ex + ey * ey), 0, 1)
            square = np.minimum(square, (wx - along * ex) ** 2 + (wy - along * ey) ** 2)
            if y0 != y1:
                inside ^= ((v >= y0) != (v >= y1)) & (wx < wy * (ex / ey))
        return np.where(inside, -1, 1) * np.sqrt(square)

    return field


@lru_cache(maxsize=1)
def _star_corners() -> tuple[tuple[float, float], ...]:
    radii = (1.0, 0.42) * 5
    return tuple((r * np.sin(k * np.pi / 5), 0.04 - r * np.cos(k * np.pi / 5)) for k, r in enumerate(radii))


@lru_cache(maxsize=1)
def _heart_corners() -> tuple[tuple[float, float], ...]:
    t = np.linspace(0, 2 * np.pi, 33)[:-1]
    x = 16 * np.sin(t) ** 3
    y = 13 * np.cos(t) - 5 * np.cos(2 * t) - 2 * np.cos(3 * t) - np.cos(4 * t)
    return tuple((float(a) / 17, float(-b) / 17 - 0.14) for a, b in zip(x, y, strict=True))


_CROSS = tuple(
    (x, y)
    for x, y in (
        *((-0.3, -0.95), (0.3, -0.95), (0.3, -0.3), (0.95, -0.3), (0.95, 0.3), (0.3, 0.3)),
        *((0.3, 0.95), (-0.3, 0.95), (-0.3, 0.3), (-0.95, 0.3), (-0.95, -0.3), (-0.3, -0.3)),
    )
)
_TRIANGLE = ((0.0, -0.92), (0.97, 0.78), (-0.97, 0.78))
_DIAMOND = ((0.0, -0.98), (0.66, 0.0), (0.0, 0.98), (-0.66, 0.0))
_ARROW = ((-0.96, -0.24), (0.1, -0.24), (0.1, -0.68), (0.97, 0.0), (0.1, 0.68), (0.1, 0.24), (-0.96, 0.24))

SURFACES: dict[str, Callable[[SceneObject, float, Field, Field], Surface]] = {
    "cube": _cube,
    "sphere": _sphere,
    "cylinder": _cylinder,
    "cone": _cone,
    "ring": _flat(_ring),
    "star": _flat(_polygon(_star_corners())),
    "heart": _flat(_polygon(_heart_corners())),
    "cross": _flat(_polygon(_CROSS)),
    "triangle": _flat(_polygon(_TRIANGLE)),
    "diamond": _flat(_polygon(_DIAMOND)),
    "crescent": _flat(_crescent),
    "arrow": _flat(_polygon(_ARROW)),
}
