"""From scores to a ranking: candidates of one prompt, best first."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from tqdm import tqdm

from abe_rerank.scoring.stream import score_stream
from abe_rerank.types import Candidate, NoPicture, Ranking, Samples, Score, Settings, Spec

if TYPE_CHECKING:
    from abe_rerank.backbones import Backbone
    from abe_rerank.images import ImageLike
    from abe_rerank.scoring.protocol import Scorer


def rank(scorer: Scorer, spec: Spec, samples: Samples, progress: bool = False) -> Ranking:
    """Drawn images as candidates, best first; those that the model's safety checker painted over are unscored."""
    scores = scores_of(scorer, spec, [sample.picture for sample in samples.images], progress)
    candidates = [Candidate(s.image, score, seed=s.seed) for s, score in zip(samples.images, scores, strict=True)]
    return ranking_of(spec, candidates, Settings(scorer.stamp, samples.drawing))


def scores_of(
    scorer: Scorer, spec: Spec, pictures: Sequence[ImageLike | NoPicture], progress: bool = False
) -> list[Score]:
    """The score of each picture for one prompt, with a bar if it is to be shown."""
    scores = score_stream(scorer, ((picture, spec) for picture in pictures))
    return list(tqdm(scores, "scoring", len(pictures), unit="image", disable=not progress, leave=False))


def ranking_of(spec: Spec, candidates: Iterable[Candidate], settings: Settings) -> Ranking:
    """Candidates sorted by score, best first, unscored ones last; ties keep their order."""
    ordered = sorted(candidates, key=lambda c: (c.score.value is None, -(c.score.value or 0.0)))
    return Ranking(spec.prompt, spec, tuple(ordered), settings)


def rounding_warning(values: Sequence[float | None], backbone: Backbone) -> str | None:
    """A line if the two best of ``values`` (best first) lie closer than half precision tells apart, else None.

    Measured on the built-in backbone, scores in bfloat16 and float16 stray from float32 by 0.6 of the type's epsilon
    (standard deviation); twice the epsilon is what we take as apart.
    """
    import torch

    kind = str(backbone.dtype).removeprefix("torch.")
    known = [value for value in values if value is not None][:2]
    if kind in ("float32", "float64") or len(known) < 2 or known[0] - known[1] >= 2 * torch.finfo(backbone.dtype).eps:
        return None
    return f"the two best scores differ by less than {kind} tells apart; --dtype float32 decides between them"
