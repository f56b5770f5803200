"""Search around the best: the zero-order search of Ma et al. (arXiv 2501.09732), with partly renewed noise."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from abe_rerank.drawing.strategies import Step, Tried
from abe_rerank.errors import UsageError
from abe_rerank.recipes import Recipe


@dataclass(frozen=True)
class NoiseSearch:
    """``n`` pictures, ``at_once`` in a round: the first with fresh noise, each later round around the best so far.

    A later noise is sqrt(1 - share^2) times the best one's plus ``share`` times fresh noise, so that it is as likely as
    any (the paper's neighbours within a radius, in our reading). Picture k has the seed or the renewal ``seed + k``.
    """

    n: int
    seed: int
    share: float = 0.5
    at_once: int = 4
    name: ClassVar[str] = "search"

    def __post_init__(self) -> None:
        if not 0 < self.share <= 1:
            raise UsageError(f"the share of renewed noise must be above 0 and at most 1, got {self.share}")
        if self.at_once < 1:
            raise UsageError(f"a round draws at least 1 picture, got {self.at_once}")

    def next(self, tried: Sequence[Tried], seconds: float) -> Step:
        """The next round; of equals the first that was drawn leads."""
        if len(tried) >= self.n:
            return Step(why=f"{self.n} pictures are drawn")
        fresh = range(self.seed + len(tried), self.seed + min(len(tried) + self.at_once, self.n))
        scored = [one for one in tried if one.value is not None]
        if not scored:
            return Step(tuple(Recipe(seed) for seed in fresh))
        best = max(scored, key=lambda one: one.value or 0.0).recipe
        return Step(tuple(Recipe(best.seed, renewed=(*best.renewed, (seed, self.share))) for seed in fresh))
