"""Best of N: all pictures are drawn, the best is picked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from abe_rerank.drawing.strategies import Step, Tried
from abe_rerank.recipes import Recipe


@dataclass(frozen=True)
class BestOfN:
    """``n`` pictures with the seeds ``seed``, ``seed + 1``, ..."""

    n: int
    seed: int
    name: ClassVar[str] = "best-of-n"

    def next(self, tried: Sequence[Tried], seconds: float) -> Step:
        """All at once."""
        return Step(() if tried else tuple(Recipe(self.seed + k) for k in range(self.n)), "all pictures are drawn")
