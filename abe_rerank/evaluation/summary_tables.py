"""Summaries and comparisons as tables for people, and as rows for other programs."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from itertools import chain

from abe_rerank.evaluation.measures import CURVE
from abe_rerank.evaluation.soft_tifa import shown as _shown
from abe_rerank.evaluation.soft_tifa import soft_blocks, soft_rows
from abe_rerank.evaluation.summary_schema import (
    Choices,
    ComparedGroup,
    Comparison,
    Estimate,
    Group,
    PromptName,
    RunInfo,
    RunSummary,
    Summary,
)
from abe_rerank.evaluation.tables import Block, Cell, Format, Number, as_csv, for_people

EVERYTHING = "all prompts"
MEASURES = ("score", "bound", "probability", "judge", "oracle")


def show_summary(summary: Summary, form: Format) -> str:
    """A summary in one of :data:`abe_rerank.evaluation.tables.FORMATS`."""
    if form == "json":
        return summary.model_dump_json()
    if form == "csv":
        return as_csv(SUMMARY_COLUMNS, list(chain.from_iterable(_summary_rows(run) for run in summary.runs)))
    return for_people([block for run in summary.runs for block in _summary_blocks(run)], form)


def label(category: str | None) -> str:
    """A category as a row is called; None is all prompts."""
    return EVERYTHING if category is None else category or "(no category)"


def scope(category: str | None) -> str:
    """What a row of CSV is about, told apart from a category of any name."""
    return EVERYTHING if category is None else "category"


SUMMARY_COLUMNS = ("run", "scope", "category", "measure", "images", "prompts", "value", "low", "high")
"""Columns of the CSV of a summary: one row for each number; ``images`` is N where a number is the best of N's."""


def _summary_rows(run: RunSummary) -> Iterable[tuple[str | int | float | None, ...]]:
    for group in (run.all, *run.categories):
        start = (run.run.folder, scope(group.category), group.category)
        for name, count in group.counts.model_dump().items():
            yield (*start, f"count.{name}", None, group.counts.prompts, count, None, None)
        for name in MEASURES:
            choices: Choices | None = getattr(group, name)
            for key, estimate in dict(choices or ()).items():
                if estimate is not None:
                    yield (*start, f"{name}.{key}", None, *_numbers(estimate))
        for point in group.curve:
            for name in CURVE:
                if (estimate := getattr(point, name)) is not None:
                    yield (*start, f"best_of.{name}", point.images, *_numbers(estimate))
    for name, estimate in soft_rows(run.soft_tifa):
        yield (run.run.folder, EVERYTHING, None, name, None, *_numbers(estimate))


def _numbers(estimate: Estimate) -> tuple[int, float, float, float]:
    return estimate.prompts, estimate.mean, estimate.low, estimate.high


def _summary_blocks(run: RunSummary) -> list[Block]:
    groups = (*run.categories, run.all)
    info = run.run
    best = f"best of {info.images_per_prompt}" if info.text_to_image else "picked"
    blocks = [
        Block(f"Run {info.folder}", notes=_about(info)),
        _counts(groups),
        _choices(groups, "score", "Scores", {"first": "first", "mean": "mean", "picked": best, **_GAIN}),
        _choices(groups, "bound", "Share of pairs bound", {"first": "first", "mean": "mean", "picked": best, **_GAIN}),
        _choices(groups, "probability", "Mean probability that a pair is bound", _PLAIN | {"picked": best}),
        _choices(groups, "judge", "By the judge, who does not pick", _JUDGED),
        _choices(groups, "oracle", "Share right by the oracle, who does not pick", _JUDGED),
        _curve(run.all),
        *soft_blocks(run.soft_tifa),
    ]
    return [*(block for block in blocks if block.rows or block.notes), *_unscored(run)]


_PLAIN = {"first": "first", "mean": "random", "picked": "picked"}
_GAIN = {"picked_minus_first": "picked - first"}
_JUDGED = {
    **_PLAIN,
    "picked_by_global_score": "picked by global score",
    "best": "best possible",
    **_GAIN,
    "picked_minus_mean": "picked - random",
    "picked_minus_global_score": "picked - by global score",
}


def _about(info: RunInfo) -> list[str]:
    drawn = f"drawn by {info.text_to_image}" if info.text_to_image else "images that existed before"
    number = info.images_per_prompt if info.text_to_image else f"up to {info.images_per_prompt}"
    lines = [
        f"suite {info.suite or 'none, prompts of the images'}; {drawn}; {number} images for each prompt",
        f"scorer {info.scorer}",
        *([info.tuning] if info.tuning else []),
        f"judge {info.judge or 'none'}",
        "means over prompts with 95 % bootstrap intervals; picked is the highest score of the scorer",
    ]
    if not info.complete or info.unfinished:
        which = "the run is complete" if info.complete else "the run is not complete"
        lines.insert(0, f"{which}: {info.unfinished} prompts do not have all their images and are left out")
    return lines


def _counts(groups: Sequence[Group]) -> Block:
    header = ["category", "prompts", "images", "nothing to bind", "unscored"]
    rows: list[list[Cell]] = []
    for group in groups:
        c = group.counts
        numbers = (c.prompts, c.images, c.nothing_to_bind, c.unscored)
        rows.append([label(group.category), *(Number(str(number)) for number in numbers)])
    return Block("What there is", header, rows)


def _choices(groups: Sequence[Group], name: str, title: str, columns: dict[str, str]) -> Block:
    """One row for each category; no rows where nothing of it was measured."""
    found: list[tuple[Group, Choices | None]] = [(group, getattr(group, name)) for group in groups]
    if all(choices is None for _, choices in found):
        return Block(title)
    rows = [
        [
            label(group.category),
            Number(str(choices.first.prompts if choices else 0)),
            *(_estimate(choices, key) for key in columns),
        ]
        for group, choices in found
    ]
    return Block(title, ["category", "prompts", *columns.values()], rows)


def _curve(group: Group) -> Block:
    names = [name for name in CURVE if any(getattr(point, name) is not None for point in group.curve)]
    if len(group.curve) < 2 or not names:
        return Block("Best of N")
    rows = [
        [Number(str(p.images)), Number(str(p.prompts)), *(_shown(getattr(p, name)) for name in names)]
        for p in group.curve
    ]
    return Block("Best of N, all prompts", ["N", "prompts", *(name.replace("_", " ") for name in names)], rows)


def _unscored(run: RunSummary) -> list[Block]:
    if not run.unscored:
        return []
    lines = [f"prompt {image.prompt_id}, image {image.candidate}: {image.reason}" for image in run.unscored]
    return [Block(f"The first of {run.all.counts.unscored} images without a score", notes=lines)]


def _estimate(choices: Choices | None, key: str) -> Cell:
    return _shown(None if choices is None else getattr(choices, key))


NAMED = 5
"""How many prompts of a list, and images of a prompt, are named in a table; JSON has all."""


def show_comparison(comparison: Comparison, form: Format) -> str:
    """A comparison in one of :data:`abe_rerank.evaluation.tables.FORMATS`."""
    if form == "json":
        return comparison.model_dump_json()
    if form == "csv":
        return as_csv(COMPARISON_COLUMNS, list(_comparison_rows(comparison)))
    return for_people(_comparison_blocks(comparison), form)


COMPARISON_COLUMNS = (
    *("scope", "category", "prompt_id", "prompt", "metric", "prompts"),
    *("a", "b", "difference", "low", "high", "p_value", "images_a", "images_b"),
)
"""Columns of the CSV of a comparison: all prompts, each category, then the prompts that differ most."""


def _comparison_rows(comparison: Comparison) -> Iterable[tuple[str | int | float | None, ...]]:
    metric = comparison.metric
    for group in (comparison.all, *comparison.categories):
        start = (scope(group.category), group.category, None, None, metric)
        d = group.difference
        numbers = (0, *[None] * 6) if d is None else (d.prompts, d.a, d.b, d.difference, d.low, d.high, d.p_value)
        yield (*start, *numbers, None, None)
    for p in comparison.largest:
        paths = (json.dumps(images, ensure_ascii=False) for images in (p.images_a, p.images_b))
        yield ("prompt", p.category, p.prompt_id, p.prompt, metric, 1, p.a, p.b, p.difference, None, None, None, *paths)


def _comparison_blocks(comparison: Comparison) -> list[Block]:
    header = ["category", "prompts", "A", "B", "B - A", "p"]
    rows = [_compared(group) for group in (*comparison.categories, comparison.all)]
    notes = [
        f"A: {comparison.a.folder}",
        f"B: {comparison.b.folder}",
        "paired by prompt; 95 % bootstrap intervals; p by sign flips, two-sided, not corrected for the categories",
        *_warnings(comparison),
    ]
    blocks = [Block(f"By {comparison.metric}", header, rows, notes)]
    for k, p in enumerate(comparison.largest, start=1):
        numbers = f"A {p.a:.3f}, B {p.b:.3f}, B - A {p.difference:+.3f}"
        lines = [f"prompt {p.prompt_id}, {p.category or 'no category'}: {numbers}"]
        lines += [*_paths("A", p.images_a), *_paths("B", p.images_b)]
        blocks.append(Block(f"Difference {k}: {p.prompt}", notes=lines))
    return blocks


def _compared(group: ComparedGroup) -> list[Cell]:
    d = group.difference
    if d is None:
        return [label(group.category), Number("0"), *["-"] * 4]
    interval = (f"{d.low:+.3f}", f"{d.high:+.3f}")
    return [
        label(group.category),
        Number(str(d.prompts)),
        Number(f"{d.a:.3f}"),
        Number(f"{d.b:.3f}"),
        Number(f"{d.difference:+.3f}", interval),
        Number(f"{d.p_value:.4f}"),
    ]


def _warnings(comparison: Comparison) -> list[str]:
    a, b = comparison.a, comparison.b
    lines = [
        *_listed(f"prompts only in A ({a.folder})", comparison.only_in_a),
        *_listed(f"prompts only in B ({b.folder})", comparison.only_in_b),
        *_listed("prompts that have no such number in both", comparison.not_comparable),
    ]
    if comparison.metric.endswith("picked") and a.images_per_prompt != b.images_per_prompt:
        lines.append(f"picked of {a.images_per_prompt} images in A, of {b.images_per_prompt} in B: more give more")
    unfinished = [f"{name} is not complete" for name, run in (("A", a), ("B", b)) if not run.complete or run.unfinished]
    return lines + unfinished


def _paths(name: str, images: Sequence[str | None]) -> list[str]:
    """The first few images of a prompt in a run."""
    more = [f"{name}: {len(images) - NAMED} images more"] if len(images) > NAMED else []
    return [f"{name}: {image or 'no image'}" for image in images[:NAMED]] + more


def _listed(what: str, prompts: Sequence[PromptName]) -> list[str]:
    if not prompts:
        return []
    names = ", ".join(prompt.prompt_id for prompt in prompts[:NAMED])
    return [f"{what}: {len(prompts)} ({names}{', ...' if len(prompts) > NAMED else ''})"]
