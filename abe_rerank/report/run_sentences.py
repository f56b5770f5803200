"""What the pages of evaluation runs say in words."""

from __future__ import annotations

from collections.abc import Mapping

from abe_rerank.evaluation.comparison import METRICS
from abe_rerank.evaluation.summary_schema import Comparison, RunSummary

NAMES = {
    "bound": "attributes in place",
    "oracle": "right by the oracle",
    "judge": "judge",
    "probability": "probability of a pair",
    "score": "score",
}
"""The numbers of a run in words, in the order in which they are shown."""

_OF = {"first": "first image", "mean": "mean of the images", "picked": "picked image"}


def found(summary: RunSummary) -> str:
    """The main finding of a run as a sentence: attributes in place, or else the score."""
    n = summary.run.images_per_prompt
    bound, score = summary.all.bound, summary.all.score
    if bound is not None:
        first = f"{bound.first.mean:.0%} of attributes are in place in the first image"
        return first if n == 1 else f"{first}, {bound.picked.mean:.0%} in the one picked of {n}"
    if score is not None:
        first = f"The first image scores {score.first.mean:+.3f}"
        return first if n == 1 else f"{first}, the one picked of {n} {score.picked.mean:+.3f}"
    return "No image of this run has a score with something to bind"


def difference_found(compared: Mapping[str, Comparison]) -> str:
    """The main finding of a comparison as a sentence, by the first of its numbers."""
    for name, comparison in compared.items():
        d = comparison.all.difference
        if d is not None:
            numbers = f"A {d.a:.3f}, B {d.b:.3f}, {p_value(d.p_value)}"
            if d.low <= 0 <= d.high:
                return f"No clear difference in {metric_name(name)} ({numbers})"
            return f"{'B' if d.difference > 0 else 'A'} is better in {metric_name(name)} ({numbers})"
    return "These runs have no number in common"


def metric_name(metric: str) -> str:
    """A metric of a comparison in words: "attributes in place, picked image"."""
    quantity, image = METRICS[metric]
    return f"{NAMES[quantity]}, {_OF[image]}"


def p_value(p: float) -> str:
    """A p-value as text."""
    return "p < 0.001" if p < 0.001 else f"p = {p:.3f}"
