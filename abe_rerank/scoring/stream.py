"""Many questions about the same images: each image is encoded once, each prompt read once."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import TYPE_CHECKING

from abe_rerank.types import Score, Spec

if TYPE_CHECKING:
    from PIL.Image import Image

    from abe_rerank.scoring import Scorer


def explain_asked(scorer: Scorer, images: Sequence[Image], asked: Sequence[tuple[int, Spec]]) -> list[Score]:
    """The score of each (place in ``images``, prompt) that is asked, in their order; all images are held at once."""
    if not asked:
        return []
    features = scorer.encode(images)
    by_prompt: dict[str, list[int]] = defaultdict(list)
    for k, (_, spec) in enumerate(asked):
        by_prompt[spec.prompt].append(k)
    found: dict[int, Score] = {}
    for rows in by_prompt.values():
        scores = scorer.explain_features(features.take([asked[k][0] for k in rows]), asked[rows[0]][1])
        found |= zip(rows, scores, strict=True)
    return [found[k] for k in range(len(asked))]
