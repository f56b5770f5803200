"""Numbers that are none, as half precision gives them on overflow, are never a score."""

from __future__ import annotations

import math

from abe_rerank.types import Score


def finite(score: Score) -> Score:
    """The score itself, or an unscored one with the reason if one of its numbers is not finite."""
    numbers = [score.value, score.global_score, score.local, score.binding_difference]
    numbers += [number for pair in score.pairs for number in (pair.evidence, pair.margin, pair.probability)]
    if all(number is None or math.isfinite(number) for number in numbers):
        return score
    return Score(None, "unscored", score.scorer, reason="the backbone gave no finite numbers; try --dtype float32")
