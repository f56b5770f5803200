"""The line of expected scores against the number of candidates, as coordinates for an inline SVG."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from abe_rerank.report.gain import Gain

WIDTH, HEIGHT = 480.0, 200.0
LEFT, RIGHT, TOP, BOTTOM = 56.0, 14.0, 16.0, 30.0


@dataclass(frozen=True)
class Mark:
    """A point of a chart in pixels with its label; ``value`` is what it stands for."""

    x: float
    y: float
    label: str
    value: float


@dataclass(frozen=True)
class Chart:
    """A line with its points, ticks of both axes, and single marks beside the line. Pixels from the top left."""

    points: tuple[Mark, ...]
    first: Mark | None
    x_ticks: tuple[Mark, ...]
    y_ticks: tuple[Mark, ...]
    width: float = WIDTH
    height: float = HEIGHT

    @property
    def path(self) -> str:
        """The line as an SVG ``points`` attribute."""
        return " ".join(f"{p.x:.1f},{p.y:.1f}" for p in self.points)


def chart_of(gain: Gain) -> Chart | None:
    """The chart of a gain; None where fewer than two candidates have scores."""
    values = [s.score for s in gain.best_of]
    if len(values) < 2:
        return None
    shown = [*values, *([gain.first.score] if gain.first else [])]
    low, high = min(shown), max(shown)
    room = (high - low) or 1.0
    low, high = low - 0.08 * room, high + 0.08 * room
    across = (WIDTH - LEFT - RIGHT) / (len(values) - 1)

    def place(k: int, value: float, label: str) -> Mark:
        y = TOP + (HEIGHT - TOP - BOTTOM) * (high - value) / (high - low)
        return Mark(LEFT + across * (k - 1), y, label, value)

    return Chart(
        points=tuple(place(k, v, f"best of {k}: {v:+.3f}") for k, v in enumerate(values, start=1)),
        first=place(1, gain.first.score, f"first: {gain.first.score:+.3f}") if gain.first else None,
        x_ticks=tuple(place(k, low, str(k)) for k in _ticks(len(values))),
        y_ticks=tuple(place(1, v, f"{v:+.3f}") for v in (values[0], (values[0] + values[-1]) / 2, values[-1])),
    )


def _ticks(n: int) -> Sequence[int]:
    """At most nine whole numbers from 1 to ``n``, both among them."""
    if n <= 9:
        return range(1, n + 1)
    step = -(-(n - 1) // 8)
    inner = [k for k in range(1, n, step) if n - k >= step / 2]
    return [*inner, n]
