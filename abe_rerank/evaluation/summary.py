"""A run in numbers: :class:`~abe_rerank.evaluation.summary_schema.RunSummary`, by category and over all prompts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from abe_rerank.errors import UsageError
from abe_rerank.evaluation.measures import CURVE, Mask, Measure, curve_of, measures_of
from abe_rerank.evaluation.numbers import NOTHING, SCORED, UNSCORED, RunNumbers, read_numbers
from abe_rerank.evaluation.soft_tifa import soft_tifa
from abe_rerank.evaluation.statistics import bootstrap_ratios, draws_for
from abe_rerank.evaluation.summary_schema import (
    Choices,
    Counts,
    CurvePoint,
    Estimate,
    Group,
    RunInfo,
    RunSummary,
    Summary,
    UnscoredImage,
)
from abe_rerank.files import readable
from abe_rerank.runs.reading import open_run

LEVEL = 0.95
SEED = 0


def summarize(folders: Sequence[Path]) -> Summary:
    """The runs in ``folders``. Raises UsageError and AbeRerankError, naming the file, for what cannot be read."""
    return summary_of_all([load(folder) for folder in folders])


def summary_of_all(runs: Sequence[RunNumbers]) -> Summary:
    """The summary of runs that are read already."""
    return Summary(level=LEVEL, seed=SEED, runs=tuple(map(summary_of, runs)))


def gone_note(numbers: RunNumbers) -> str | None:
    """A line on the images of a run that are there no more; None if all are."""
    if not numbers.gone:
        return None
    return (
        f"images of {readable(numbers.run.path)} that are gone: {len(numbers.gone)}, the first "
        f"{numbers.gone[0]}; its evaluate, started again, draws them again"
    )


def load(folder: Path) -> RunNumbers:
    """The numbers of the run in a folder. Raises UsageError if it has no finished prompt."""
    numbers = read_numbers(open_run(folder))
    if not numbers.prompts:
        raise UsageError(f"no prompt of the run {folder} is finished; start its abe-rerank evaluate again to finish it")
    return numbers


def summary_of(numbers: RunNumbers) -> RunSummary:
    """The summary of one run."""
    measures, curve = measures_of(numbers.images), curve_of(numbers)
    labels = np.array([prompt.category for prompt in numbers.prompts], dtype=object)
    everything = np.ones(len(labels), dtype=bool)
    return RunSummary(
        run=run_info(numbers),
        all=_group(None, everything, numbers, measures, curve),
        categories=tuple(
            _group(category, labels == category, numbers, measures, curve) for category in dict.fromkeys(labels)
        ),
        unscored=tuple(
            UnscoredImage(
                prompt_id=prompt.id, category=prompt.category, prompt=prompt.text, candidate=candidate, reason=reason
            )
            for prompt, candidate, reason in numbers.unscored
        ),
        soft_tifa=soft_tifa(numbers, LEVEL, SEED),
    )


def run_info(numbers: RunNumbers) -> RunInfo:
    """Which run it is."""
    record = numbers.run.record
    return RunInfo(
        folder=readable(numbers.run.path),
        suite=record.suite,
        created=record.created,
        text_to_image=None if record.text_to_image is None else record.text_to_image.name,
        scorer=record.scorer,
        backbone=record.backbone.name,
        tuning=record.backbone.tuning,
        judge=record.judge,
        images_per_prompt=record.n,
        complete=numbers.run.complete,
        prompts=len(numbers.prompts),
        unfinished=numbers.unfinished,
    )


def _group(
    category: str | None,
    rows: Mask,
    numbers: RunNumbers,
    measures: Mapping[str, Measure],
    curve: Mapping[int, Mapping[str, Measure]],
) -> Group:
    draws = draws_for(int(rows.sum()))
    wanted = dict(measures) | {f"{n}.{name}": m for n, point in curve.items() for name, m in point.items()}
    found = estimates(wanted, rows, draws)
    images = rows[numbers.images.prompt]
    return Group(
        category=category,
        counts=_counts(rows, images, numbers, measures["score.first"]),
        draws=draws,
        **{name: _choices(name, found) for name in ("score", "bound", "probability", "judge", "oracle")},
        curve=_curve(numbers, images, curve, found),
    )


def estimates(measures: Mapping[str, Measure], rows: Mask, draws: int) -> dict[str, Estimate]:
    """Each measure over the prompts of a mask, all resampled together; those that no prompt has are left out."""
    counted = {name: measure for name, measure in measures.items() if (measure.counts & rows).any()}
    if not counted:
        return {}
    top = np.stack([measure.numerator[rows] for measure in counted.values()], axis=1)
    bottom = np.stack([measure.denominator[rows] for measure in counted.values()], axis=1)
    intervals = bootstrap_ratios(top, bottom, LEVEL, draws, SEED)
    return {
        name: Estimate(mean=i.mean, low=i.low, high=i.high, prompts=int((measure.counts & rows).sum()))
        for (name, measure), i in zip(counted.items(), intervals, strict=True)
    }


def _counts(rows: Mask, images: Mask, numbers: RunNumbers, score: Measure) -> Counts:
    status = np.bincount(numbers.images.status[images], minlength=3)
    return Counts(
        prompts=int(rows.sum()),
        prompts_counted=int((score.counts & rows).sum()),
        images=int(images.sum()),
        scored=int(status[SCORED]),
        nothing_to_bind=int(status[NOTHING]),
        unscored=int(status[UNSCORED]),
    )


def _choices(name: str, found: Mapping[str, Estimate]) -> Choices | None:
    if f"{name}.first" not in found:
        return None
    return Choices(
        first=found[f"{name}.first"],
        mean=found[f"{name}.mean"],
        picked=found[f"{name}.picked"],
        best=found.get(f"{name}.best"),
        picked_by_global_score=found.get(f"{name}.picked_by_global_score"),
        picked_minus_first=found.get(f"{name}.picked_minus_first"),
        picked_minus_mean=found.get(f"{name}.picked_minus_mean"),
        picked_minus_global_score=found.get(f"{name}.picked_minus_global_score"),
    )


def _curve(
    numbers: RunNumbers, images: Mask, curve: Mapping[int, Mapping[str, Measure]], found: Mapping[str, Estimate]
) -> tuple[CurvePoint, ...]:
    counts = np.bincount(numbers.images.prompt[images], minlength=len(numbers.prompts))
    return tuple(
        CurvePoint(
            images=n,
            prompts=int((counts >= n).sum()),
            **{name: found.get(f"{n}.{name}") for name in CURVE},
        )
        for n in curve
        if (counts >= n).any()
    )
