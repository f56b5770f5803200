"""Until bound: pictures are drawn batch by batch until one has every attribute on its object."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from abe_rerank.drawing.strategies import Step, Tried
from abe_rerank.errors import UsageError
from abe_rerank.recipes import Recipe


@dataclass(frozen=True)
class UntilBound:
    """Up to ``n`` pictures, ``at_once`` at a time, until every pair of one has at least ``probability``.

    It also stops before a batch that would begin after ``max_seconds``.
    """

    n: int
    seed: int
    probability: float = 0.95
    max_seconds: float | None = None
    at_once: int = 4
    name: ClassVar[str] = "until-bound"

    def __post_init__(self) -> None:
        if not 0 < self.probability <= 1:
            raise UsageError(f"the probability must be above 0 and at most 1, got {self.probability}")
        if self.max_seconds is not None and not 0 < self.max_seconds < math.inf:
            raise UsageError(f"the seconds must be a number above 0, got {self.max_seconds}")
        if self.at_once < 1:
            raise UsageError(f"at least 1 picture is drawn at once, got {self.at_once}")

    def next(self, tried: Sequence[Tried], seconds: float) -> Step:
        """The next batch. Raises UsageError for scores without probabilities."""
        for one in tried:
            if is_bound(one, self.probability):
                return Step(why=f"every pair of seed {one.recipe.seed} has at least {self.probability:g}")
        if any(one.status == "nothing to bind" for one in tried):
            return Step(why="the prompt has nothing to bind")
        if len(tried) >= self.n:
            return Step(why=f"{self.n} pictures are drawn, and none has every pair at {self.probability:g}")
        if self.max_seconds is not None and seconds >= self.max_seconds:
            return Step(
                why=f"{self.max_seconds:g} seconds are over, and no picture has every pair at {self.probability:g}"
            )
        return Step(tuple(Recipe(self.seed + k) for k in range(len(tried), min(len(tried) + self.at_once, self.n))))


def is_bound(one: Tried, probability: float) -> bool:
    """Whether every pair of a picture has at least a probability. Raises UsageError for pairs that have none."""
    if one.status != "scored":
        return False
    found = one.probabilities
    if not found or None in found:
        raise UsageError(
            "until-bound needs probabilities, and this scorer has none for this backbone; take the scorer abe after "
            "abe-rerank tune, or leave until-bound out"
        )
    return all(value is not None and value >= probability for value in found)
