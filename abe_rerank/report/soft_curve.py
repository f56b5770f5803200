"""The curve of Soft-TIFA by the number of atoms of a prompt, as points of a drawing."""

from __future__ import annotations

from dataclasses import dataclass

from abe_rerank.evaluation.soft_tables import MEANS
from abe_rerank.evaluation.summary_schema import SoftTifa

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 480.0, 200.0, 40.0, 14.0, 12.0, 30.0


@dataclass(frozen=True)
class SoftPoint:
    """A mean at a number of atoms, with the ends of its interval; pixels from the top left."""

    x: float
    y: float
    top: float
    bottom: float
    atoms: int
    label: str


@dataclass(frozen=True)
class SoftCurve:
    """One of the two means over the numbers of atoms."""

    name: str
    title: str
    points: tuple[SoftPoint, ...]

    @property
    def path(self) -> str:
        """The line as an SVG ``points`` attribute."""
        return " ".join(f"{point.x:.1f},{point.y:.1f}" for point in self.points)


def soft_curves(soft: SoftTifa) -> list[SoftCurve]:
    """A curve for each mean; none where all prompts have equally many atoms."""
    counts = [at.atoms for at in soft.by_count]
    if len(counts) < 2:
        return []

    def across(atoms: int) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * (atoms - counts[0]) / (counts[-1] - counts[0])

    def down(value: float) -> float:
        return TOP + (HEIGHT - TOP - BOTTOM) * (1 - value)

    curves = []
    for name, title in MEANS.items():
        points = []
        for at in soft.by_count:
            found = getattr(at, name)
            label = f"{title}, {at.atoms} atoms: {found.mean:.3f}"
            points.append(
                SoftPoint(across(at.atoms), down(found.mean), down(found.high), down(found.low), at.atoms, label)
            )
        curves.append(SoftCurve(name, title, tuple(points)))
    return curves
