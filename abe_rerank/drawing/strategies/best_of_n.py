"""Best of N: all pictures are drawn, the best is picked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from abe_rerank.drawing.strategies import Step
from abe_rerank.recipes import Recipe
from abe_rerank.types import Candidate


@dataclass(frozen=True)
class BestOfN:
    """``n`` pictures with the seeds ``seed``, ``seed + 1``, ..."""

    n: int
    seed: int
    name: ClassVar[str] = "best-of-n"

    def next(self, tried: Sequence[Candidate], seconds: float) -> Step:
        """All at once; then none."""
        if tried:
            return Step(why="all pictures are drawn")
        return Step(tuple(Recipe(self.seed + k) for k in range(self.n)))
