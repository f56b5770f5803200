"""What every page has: the pictures with what was found in them, what picking gained, and how they were made."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import comb

from markupsafe import Markup

from abe_rerank.report.sections import Page, section
from abe_rerank.report.sentences import called, in_place
from abe_rerank.runs.generated import CandidateRecord


@section(place=10)
def candidates(page: Page) -> Markup:
    """One large with what was found in it, and all of them, best first.

    The lengths of bars are shares of the greatest value that any candidate has.
    """
    found = page.report.candidates
    pairs = [pair for candidate in found for pair in candidate.score.pairs]
    return page.fill(
        "candidates.html.jinja",
        best=max((c.score.value for c in found if c.score.value is not None), default=0.0),
        widest=max((abs(pair.margin) for pair in pairs), default=0.0) or 1.0,
        strongest=max((max(pair.evidence, pair.evidence - pair.margin) for pair in pairs), default=0.0) or 1.0,
        calibrated=all(pair.probability is not None for pair in pairs),
    )


@section(place=30)
def making(page: Page) -> Markup:
    """Models, settings, times, the commands that do it again, and what was read in the prompt."""
    return page.fill("making.html.jinja")


@section(place=20)
def picking(page: Page) -> Markup:
    """A table and a chart; nothing where there is nothing to choose from."""
    gain = gain_of(page.report.candidates)
    chart = None if gain is None else chart_of(gain)
    return Markup() if chart is None else page.fill("picking.html.jinja", gain=gain, chart=chart)


@dataclass(frozen=True)
class Standing:
    """A way to choose an image: the score it gives, and how many attributes are in place (None without verdicts)."""

    name: str
    score: float
    in_place: float | None


@dataclass(frozen=True)
class Gain:
    """First, random and picked of the scored candidates, and the expected best of k of them for k = 1, 2, ..."""

    first: Standing | None
    random: Standing
    picked: Standing
    pairs: int
    best_of: tuple[Standing, ...]


def gain_of(candidates: Sequence[CandidateRecord]) -> Gain | None:
    """The gain among ``candidates``, best first; None if none of them has a score.

    ``first`` is the candidate with the lowest seed, None where it has no score or none has a seed. Ties count in the
    order of the candidates.
    """
    scored = [(c, c.score.value) for c in candidates if c.score.value is not None]
    if not scored:
        return None
    values = [value for _, value in scored]
    pairs = max(len(c.score.pairs) for c, _ in scored)
    placed = [float(in_place(c.score)) for c, _ in scored] if pairs else None

    def best_of(k: int, name: str) -> Standing:
        return Standing(name, expected_pick(values, k), None if placed is None else expected_pick(placed, k))

    seeds = [c.seed for c in candidates if c.seed is not None]
    first = next((k for k, (c, _) in enumerate(scored) if seeds and c.seed == min(seeds)), None)
    return Gain(
        first=None
        if first is None
        else Standing(f"first (seed {min(seeds)})", values[first], None if placed is None else placed[first]),
        random=best_of(1, "random (mean of all)"),
        picked=best_of(len(values), f"picked ({called(scored[0][0])})"),
        pairs=pairs,
        best_of=tuple(best_of(k, f"best of {k}") for k in range(1, len(values) + 1)),
    )


def expected_pick(quantities: Sequence[float], k: int) -> float:
    """What is expected of the pick out of ``k`` candidates drawn without replacement from these n, best first.

    The candidate of rank r is the best of k with probability C(n - r, k - 1) / C(n, k): it is drawn, and the other
    k - 1 come from those behind it. ``quantities`` are the candidates' own, in the order of rank: their scores give the
    expected best score. Raises ValueError unless 1 <= k <= n.
    """
    n = len(quantities)
    if not 1 <= k <= n:
        raise ValueError(f"k must lie between 1 and {n}, got {k}")
    return sum(q * comb(n - r, k - 1) for r, q in enumerate(quantities, start=1)) / comb(n, k)


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
