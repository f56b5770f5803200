"""Does picking help? Share of prompts whose image is right by the oracle: first, random, picked, best possible.

For each prompt N images are drawn; for each smaller N the first ones of them stand. The oracle judges and never picks.
"Random" is the expectation over the N images, not a draw. Prompts that the oracle cannot judge are named and left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from time import perf_counter
from typing import TYPE_CHECKING

import numpy as np

from abe_rerank.errors import UsageError
from abe_rerank.evaluation.statistics import Interval, bootstrap_mean, paired_difference
from abe_rerank.suites import SuitePrompt

if TYPE_CHECKING:
    from abe_rerank.drawing.pipelines import Pipeline
    from abe_rerank.drawing.sampling import Sampling
    from abe_rerank.reranker import Reranker
    from abe_rerank.shapes.oracle import Oracle


@dataclass(frozen=True)
class Outcome:
    """One judged prompt: ``values``, ``global_scores`` and ``right`` are [n], in the order of the seeds.

    Scores are -inf where an image could not be scored, so that it is never picked before one that could.
    """

    prompt: SuitePrompt
    seeds: tuple[int, ...]
    values: np.ndarray
    global_scores: np.ndarray
    right: np.ndarray
    parsed_as_expected: bool | None
    sampling_seconds: float
    scoring_seconds: float


@dataclass(frozen=True)
class NotJudged:
    """A prompt that the oracle cannot judge, and why."""

    prompt: SuitePrompt
    reason: str


@dataclass(frozen=True)
class Line:
    """Shares of right images at one N, over prompts, and the gain of picking; all with 95 % bootstrap intervals."""

    n: int
    first: Interval
    random: Interval
    picked: Interval
    picked_by_global_score: Interval
    best_possible: Interval
    picked_minus_first: Interval
    picked_minus_random: Interval
    picked_minus_global_score: Interval


def run(
    prompts: Sequence[SuitePrompt], pipeline: Pipeline, reranker: Reranker, oracle: Oracle, sampling: Sampling
) -> Iterator[Outcome | NotJudged]:
    """Draw, score and judge one prompt after the other; prompt k has the seeds from ``sampling.seed + k * n``."""
    for k, prompt in enumerate(prompts):
        yield _outcome(prompt, pipeline, reranker, oracle, replace(sampling, seed=sampling.seed + k * sampling.n))


def summarise(outcomes: Sequence[Outcome], ns: Iterable[int]) -> list[Line]:
    """The table over judged prompts for each N. Raises UsageError if there are none."""
    if not outcomes:
        raise UsageError("the oracle could judge none of the prompts; name shapes and colours of the shapes world")
    return [_line(outcomes, n) for n in ns]


def picked(values: np.ndarray) -> int:
    """The place of the highest score; ties go to the first."""
    return int(np.argmax(values))


def _outcome(
    prompt: SuitePrompt, pipeline: Pipeline, reranker: Reranker, oracle: Oracle, sampling: Sampling
) -> Outcome | NotJudged:
    from abe_rerank.drawing.sampling import draw, settle
    from abe_rerank.reranker import as_spec
    from abe_rerank.scoring.stream import score_stream
    from abe_rerank.shapes.oracle import is_right
    from abe_rerank.shapes.wishes import asked_of

    spec = as_spec(prompt.prompt)
    try:
        asked_of(spec)
    except UsageError as error:
        return NotJudged(prompt, str(error))
    start = perf_counter()
    drawing = settle(pipeline, sampling)
    samples = draw(pipeline, prompt.prompt, drawing).images
    drawn = perf_counter()
    scores = list(score_stream(reranker.scorer, ((s.picture, spec) for s in samples)))
    scored = perf_counter()
    right = [is_right(found, spec) for found in oracle.detect([s.image for s in samples])]
    return Outcome(
        prompt=prompt,
        seeds=tuple(drawing.seeds),
        values=np.array([_or_last(score.value) for score in scores]),
        global_scores=np.array([_or_last(score.global_score) for score in scores]),
        right=np.array(right, dtype=bool),
        parsed_as_expected=None if prompt.pairs is None else sorted(spec.pairs) == sorted(prompt.pairs),
        sampling_seconds=drawn - start,
        scoring_seconds=scored - drawn,
    )


def _line(outcomes: Sequence[Outcome], n: int) -> Line:
    right = np.stack([outcome.right[:n] for outcome in outcomes]).astype(np.float64)
    rows = np.arange(len(outcomes))
    chosen = right[rows, [picked(outcome.values[:n]) for outcome in outcomes]]
    by_global = right[rows, [picked(outcome.global_scores[:n]) for outcome in outcomes]]
    first, random = right[:, 0], right.mean(axis=1)
    return Line(
        n=n,
        first=bootstrap_mean(first),
        random=bootstrap_mean(random),
        picked=bootstrap_mean(chosen),
        picked_by_global_score=bootstrap_mean(by_global),
        best_possible=bootstrap_mean(right.max(axis=1)),
        picked_minus_first=paired_difference(chosen, first),
        picked_minus_random=paired_difference(chosen, random),
        picked_minus_global_score=paired_difference(chosen, by_global),
    )


def _or_last(value: float | None) -> float:
    return -np.inf if value is None else value
