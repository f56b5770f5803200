"""Drafts: all candidates are drawn in a few steps and scored; the best are drawn in full from the same noise."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from abe_rerank.drawing.strategies import Step
from abe_rerank.errors import UsageError
from abe_rerank.recipes import Recipe
from abe_rerank.types import Candidate


@dataclass(frozen=True)
class Drafts:
    """``n`` drafts of ``draft_steps`` steps each, of which the ``keep`` best are drawn with all steps.

    A sampler without noise of its own (DDIM, Euler, DPM++ 2M) takes a noise to nearly the same picture in few steps as
    in many: see ``benchmark strategies`` for what that is worth. A draft is no candidate to be picked.
    """

    n: int
    seed: int
    draft_steps: int = 2
    keep: int = 2
    name: ClassVar[str] = "drafts"

    def __post_init__(self) -> None:
        if self.draft_steps < 1:
            raise UsageError(f"drafts take at least 1 step, got {self.draft_steps}")
        if not 1 <= self.keep <= self.n:
            raise UsageError(f"of {self.n} drafts at least 1 and at most {self.n} can be kept, got {self.keep}")

    def next(self, tried: Sequence[Candidate], seconds: float) -> Step:
        """The drafts, then the best of them in full, ties in the order of the seeds."""
        if not tried:
            return Step(tuple(Recipe(self.seed + k, self.draft_steps) for k in range(self.n)))
        if any(candidate.recipe.steps is None for candidate in tried):
            return Step(why=f"the {self.keep} best of {self.n} drafts are drawn in full")
        scored = [candidate for candidate in tried if candidate.score.value is not None]
        best = sorted(scored, key=lambda candidate: -(candidate.score.value or 0.0))[: self.keep]
        if not best:
            return Step(why="no draft could be scored")
        return Step(tuple(Recipe(candidate.recipe.seed) for candidate in best))
