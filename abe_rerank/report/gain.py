"""What picking gained, from the candidates of one prompt alone: first, random and picked; and best of k for each k."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import comb

from abe_rerank.report.sentences import in_place
from abe_rerank.runs.generated import CandidateRecord


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
        picked=best_of(len(values), f"picked (seed {scored[0][0].seed})"),
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
