"""The images of a block -> their results: scored, judged, compared with what the oracle finds."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from abe_rerank.errors import UsageError
from abe_rerank.evaluation.plan import Block
from abe_rerank.evaluation.sources import Taken
from abe_rerank.runs.evaluated import JudgeResult, OracleResult, Result, terms_of
from abe_rerank.runs.provenance import pixels_sha256
from abe_rerank.types import NoPicture, Score

if TYPE_CHECKING:
    from abe_rerank.reranker import Reranker
    from abe_rerank.shapes.oracle import Oracle
    from abe_rerank.suites import SuitePrompt
    from abe_rerank.types import Spec


@dataclass(frozen=True)
class Measure:
    """What says how well an image shows its prompt: the scorer, and if asked for another one and the oracle."""

    reranker: Reranker
    judge: Reranker | None = None
    oracle: Oracle | None = None

    def results(self, block: Block, prompt: SuitePrompt, taken: Sequence[Taken]) -> list[Result]:
        """The result of each image of the block; it depends on the block alone."""
        from abe_rerank.reranker import as_spec
        from abe_rerank.scoring.stream import score_stream

        spec = as_spec(prompt.prompt)
        items = [(one.picture, spec) for one in taken]
        scores = list(score_stream(self.reranker.scorer, items))
        judged = [None] * len(taken) if self.judge is None else _judged(score_stream(self.judge.scorer, items))
        seen = [None] * len(taken) if self.oracle is None else _seen(self.oracle, taken, spec)
        columns = zip(block.candidates, taken, scores, judged, seen, strict=True)
        return [
            Result.model_validate(
                {
                    "index": block.index,
                    "candidate": candidate,
                    "prompt_id": prompt.id,
                    "category": prompt.category,
                    "prompt": prompt.prompt,
                    "seed": one.seed,
                    "image": one.path,
                    "pixels_sha256": None if isinstance(one.picture, NoPicture) else pixels_sha256(one.picture),
                    "judge": judgement,
                    "oracle": right,
                    **terms_of(score),
                }
            )
            for candidate, one, score, judgement, right in columns
        ]


def _judged(scores: Iterable[Score]) -> list[JudgeResult]:
    return [JudgeResult(value=score.value, status=score.status, reason=score.reason) for score in scores]


def _seen(oracle: Oracle, taken: Sequence[Taken], spec: Spec) -> list[OracleResult]:
    """What the oracle says of each image; nothing, with the reason, of prompts that it cannot judge."""
    from abe_rerank.shapes.oracle import is_right
    from abe_rerank.shapes.wishes import asked_of

    try:
        asked_of(spec)
    except UsageError as error:
        return [OracleResult(right=None, reason=str(error)) for _ in taken]
    whole = [one.picture for one in taken if not isinstance(one.picture, NoPicture)]
    found = iter(oracle.detect(whole) if whole else ())
    return [
        OracleResult(right=None, reason=one.picture.reason)
        if isinstance(one.picture, NoPicture)
        else OracleResult(right=is_right(next(found), spec))
        for one in taken
    ]
