"""What is said of each row of a table: the columns of the result, typed, and a Score laid out in them."""

from __future__ import annotations

import math

import pyarrow as pa

from abe_rerank.types import PairScore, Score

PAIR = pa.struct(
    [
        ("attribute", pa.string()),
        ("object", pa.string()),
        ("verdict", pa.string()),
        ("probability", pa.float64()),
        ("margin", pa.float64()),
        ("box", pa.list_(pa.float64(), 4)),
    ]
)
"""One attribute on one object; ``box`` is (left, top, right, bottom) as fractions of the picture's width and height."""

FIELDS: dict[str, pa.DataType] = {
    "score": pa.float64(),
    "global_score": pa.float64(),
    "all_bound": pa.float64(),
    "status": pa.string(),
    "reason": pa.string(),
    "pairs": pa.list_(PAIR),
}
"""The columns of a result. ``score`` ranks the pictures of one prompt; ``all_bound`` is the probability that every pair
of the prompt is bound, as if the pairs were independent, null where the scorer gives none; ``reason`` says why a
row is unscored, and is null in all others."""

RESULT = pa.struct(list(FIELDS.items()))


def result_of(score: Score) -> dict[str, object]:
    """The cells of a row, by the names of :data:`FIELDS`."""
    return {
        "score": score.value,
        "global_score": score.global_score,
        "all_bound": _all_bound(score),
        "status": score.status,
        "reason": score.reason,
        "pairs": [_pair(pair) for pair in score.pairs],
    }


def unscored(reason: str) -> dict[str, object]:
    """The cells of a row that has no picture or no prompt."""
    return {**dict.fromkeys(FIELDS), "status": "unscored", "reason": reason, "pairs": []}


def _all_bound(score: Score) -> float | None:
    chances = [pair.probability for pair in score.pairs]
    if not chances or None in chances:
        return None
    return math.prod(chance for chance in chances if chance is not None)


def _pair(pair: PairScore) -> dict[str, object]:
    return {
        "attribute": pair.attribute.text,
        "object": pair.object.text,
        "verdict": pair.verdict,
        "probability": pair.probability,
        "margin": pair.margin,
        "box": list(pair.region.box),
    }
