"""``abe-rerank benchmark best-of-n``: run it, show its table or JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from abe_rerank.cli.loading import load_models
from abe_rerank.cli.terminal import say
from abe_rerank.text import printable, table

if TYPE_CHECKING:
    from abe_rerank.benchmarks.best_of_n import Line, NotJudged, Outcome
    from abe_rerank.drawing.sampling import Sampling


@dataclass(frozen=True)
class Models:
    """The models of a benchmark as the command line names them; None is the built-in one, or the default."""

    model: str | None = None
    backbone: str | None = None
    scorer: str = "abe"
    device: str | None = None
    dtype: str | None = None
    image_size: str | None = None


def best_of_n(suite: str, limit: int | None, sampling: Sampling, models: Models, as_json: bool) -> None:
    """Run the benchmark and print it. Raises UsageError for prompts that cannot be read or judged."""
    from tqdm import tqdm

    from abe_rerank.benchmarks.best_of_n import NotJudged, Outcome, run, summarise
    from abe_rerank.evaluation.measures import numbers_of_images
    from abe_rerank.suites import load_prompts

    prompts = load_prompts(suite)[:limit]
    pipeline, reranker = load_models(
        models.model, models.backbone, models.scorer, models.device, models.dtype, models.image_size
    )
    from abe_rerank.shapes.oracle import Oracle

    oracle = Oracle.load(reranker.scorer.backbone.device)
    results = list(
        tqdm(run(prompts, pipeline, reranker, oracle, sampling), total=len(prompts), unit="prompt", leave=False)
    )
    judged = [result for result in results if isinstance(result, Outcome)]
    left_out = [result for result in results if isinstance(result, NotJudged)]
    lines = summarise(judged, numbers_of_images(sampling.n))
    stamp = reranker.scorer.stamp
    say(_as_json(lines, judged, left_out, stamp, sampling) if as_json else _as_text(lines, judged, left_out, stamp))


def _as_text(lines: Sequence[Line], judged: Sequence[Outcome], left_out: Sequence[NotJudged], stamp: str) -> str:
    header = ["N", "first", "random", "picked", "picked by global score", "best possible"]
    shares = [
        [str(x.n), *map(str, (x.first, x.random, x.picked, x.picked_by_global_score, x.best_possible))] for x in lines
    ]
    gains = [
        [str(x.n), *map(str, (x.picked_minus_first, x.picked_minus_random, x.picked_minus_global_score))] for x in lines
    ]
    images = sum(len(outcome.seeds) for outcome in judged)
    sampling = sum(outcome.sampling_seconds for outcome in judged) / images
    scoring = sum(outcome.scoring_seconds for outcome in judged) / images
    misread = [outcome.prompt.prompt for outcome in judged if outcome.parsed_as_expected is False]
    notes = [
        f"{len(judged)} prompts; right by the oracle, means over prompts with 95 % bootstrap intervals",
        f"sampling {sampling:.2f} s and scoring {scoring:.3f} s for an image; scorer {stamp}",
        *(f"read otherwise than the suite expects: {printable(prompt)}" for prompt in misread),
        *(printable(f"not judged: {result.prompt.prompt}: {result.reason}") for result in left_out),
    ]
    differences = table(["N", "picked - first", "picked - random", "picked - picked by global score"], gains)
    return "\n\n".join([table(header, shares), differences, "\n".join(notes)])


def _as_json(
    lines: Sequence[Line], judged: Sequence[Outcome], left_out: Sequence[NotJudged], stamp: str, sampling: Sampling
) -> str:
    from abe_rerank.runs.provenance import versions

    rows = [
        {
            "id": outcome.prompt.id,
            "prompt": outcome.prompt.prompt,
            "seeds": outcome.seeds,
            "right": outcome.right.tolist(),
            "scores": [_finite(value) for value in outcome.values],
            "global_scores": [_finite(value) for value in outcome.global_scores],
            "parsed_as_expected": outcome.parsed_as_expected,
            "seconds": {"sampling": outcome.sampling_seconds, "scoring": outcome.scoring_seconds},
        }
        for outcome in judged
    ]
    report = {
        "schema_version": 1,
        "benchmark": "best-of-n",
        "scorer": stamp,
        "settings": {**asdict(sampling)},
        "versions": versions(),
        "lines": [asdict(line) for line in lines],
        "prompts": rows,
        "not_judged": [{"prompt": result.prompt.prompt, "reason": result.reason} for result in left_out],
    }
    return json.dumps(report, ensure_ascii=False)


def _finite(value: float) -> float | None:
    return float(value) if value > float("-inf") else None
