"""The twelve shapes as clip art: filled outlines and inner lines on the square [-1, 1], y downwards. No shading."""

from __future__ import annotations

from collections.abc import Callable
from math import cos, pi, sin

Point = tuple[float, float]
Line = list[Point]


def outline(shape: str) -> tuple[list[Line], list[Line], list[Line]]:
    """(filled polygons, polygons cut out of them, inner lines) of a shape."""
    return _SHAPES[shape]()


def _arc(x: float, y: float, a: float, b: float, start: float = 0.0, end: float = 2 * pi, steps: int = 48) -> Line:
    angles = [start + (end - start) * k / steps for k in range(steps + 1)]
    return [(x + a * cos(t), y + b * sin(t)) for t in angles]


def _cube() -> tuple[list[Line], list[Line], list[Line]]:
    """An oblique box: a front square, its lid and its right side."""
    hull = [(-0.9, -0.4), (-0.4, -0.9), (0.9, -0.9), (0.9, 0.4), (0.4, 0.9), (-0.9, 0.9)]
    return [hull], [], [[(-0.9, -0.4), (0.4, -0.4), (0.4, 0.9)], [(0.4, -0.4), (0.9, -0.9)]]


def _sphere() -> tuple[list[Line], list[Line], list[Line]]:
    return [_arc(0, 0, 0.9, 0.9)], [], [_arc(0, 0, 0.62, 0.62, 1.08 * pi, 1.4 * pi, 12)]


def _cylinder() -> tuple[list[Line], list[Line], list[Line]]:
    body = [*_arc(0, -0.7, 0.6, 0.22, pi, 2 * pi), *_arc(0, 0.7, 0.6, 0.22, 0, pi)]
    return [body], [], [_arc(0, -0.7, 0.6, 0.22, 0, pi)]


def _cone() -> tuple[list[Line], list[Line], list[Line]]:
    return [[(0, -0.95), *_arc(0, 0.65, 0.75, 0.25, 0, pi)]], [], [_arc(0, 0.65, 0.75, 0.25, pi, 2 * pi)]


def _ring() -> tuple[list[Line], list[Line], list[Line]]:
    return [_arc(0, 0, 0.92, 0.92)], [_arc(0, 0, 0.52, 0.52)], []


def _star() -> tuple[list[Line], list[Line], list[Line]]:
    corners = [(r * sin(k * pi / 5), -r * cos(k * pi / 5)) for k, r in enumerate((0.98, 0.39) * 5)]
    return [corners], [], []


def _heart() -> tuple[list[Line], list[Line], list[Line]]:
    lobes = [_arc(-0.43, -0.35, 0.46, 0.46), _arc(0.43, -0.35, 0.46, 0.46)]
    return [*lobes, [(-0.83, -0.13), (0.83, -0.13), (0, 0.9)], [(-0.43, -0.35), (0.43, -0.35), (0, 0.3)]], [], []


def _cross() -> tuple[list[Line], list[Line], list[Line]]:
    bar = [(-0.25, -0.88), (0.25, -0.88), (0.25, 0.88), (-0.25, 0.88)]
    return [bar, [(y, x) for x, y in bar]], [], []


def _triangle() -> tuple[list[Line], list[Line], list[Line]]:
    return [[(0, -0.85), (0.9, 0.75), (-0.9, 0.75)]], [], []


def _diamond() -> tuple[list[Line], list[Line], list[Line]]:
    return [[(0, -0.95), (0.7, 0), (0, 0.95), (-0.7, 0)]], [], []


def _crescent() -> tuple[list[Line], list[Line], list[Line]]:
    return [_arc(0, 0, 0.9, 0.9)], [_arc(0.45, -0.1, 0.72, 0.72)], []


def _arrow() -> tuple[list[Line], list[Line], list[Line]]:
    return [[(-0.95, -0.2), (0.2, -0.2), (0.2, -0.6), (0.95, 0), (0.2, 0.6), (0.2, 0.2), (-0.95, 0.2)]], [], []


_SHAPES: dict[str, Callable[[], tuple[list[Line], list[Line], list[Line]]]] = {
    **{"cube": _cube, "sphere": _sphere, "cylinder": _cylinder, "cone": _cone, "ring": _ring, "star": _star},
    **{"heart": _heart, "cross": _cross, "triangle": _triangle, "diamond": _diamond},
    **{"crescent": _crescent, "arrow": _arrow},
}
SHAPES = tuple(_SHAPES)
