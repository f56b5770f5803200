"""Drafts: all candidates are drawn in a few steps and scored; the best are drawn in full from the same noise."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from abe_rerank.drawing.strategies import Step, Tried
from abe_rerank.errors import UsageError
from abe_rerank.recipes import MOST_STEPS, Recipe


@dataclass(frozen=True)
class Drafts:
    """``n`` drafts of ``draft_steps`` steps each, of which the ``keep`` best are drawn with all steps.

    A sampler without noise of its own (DDIM, Euler, DPM++ 2M) takes a noise to nearly the same picture in few steps as
    in many: see ``benchmarks/README.md`` for what that is worth, and why drafts are not drawn on from where they stood.
    A draft is no candidate to be picked, unless the run was stopped before any picture was drawn in full.
    """

    n: int
    seed: int
    draft_steps: int = 4
    keep: int = 1
    name: ClassVar[str] = "drafts"

    def __post_init__(self) -> None:
        if not 1 <= self.draft_steps <= MOST_STEPS:
            raise UsageError(f"drafts take at least 1 and at most {MOST_STEPS} steps, got {self.draft_steps}")
        if not 1 <= self.keep <= self.n:
            raise UsageError(f"of {self.n} drafts at least 1 and at most {self.n} can be kept, got {self.keep}")

    def next(self, tried: Sequence[Tried], seconds: float) -> Step:
        """The drafts, then the best of them in full, ties in the order of the seeds."""
        if not tried:
            return Step(tuple(Recipe(self.seed + k, self.draft_steps) for k in range(self.n)))
        scored = [one for one in tried if one.value is not None and one.recipe.steps is not None]
        best = sorted(scored, key=lambda one: -(one.value or 0.0))[: self.keep]
        if not best:
            return Step(why="no draft could be scored")
        why = f"the {len(best)} best of {self.n} drafts are drawn in full"
        drawn = any(one.recipe.steps is None for one in tried)
        return Step(() if drawn else tuple(Recipe(one.recipe.seed) for one in best), why)
