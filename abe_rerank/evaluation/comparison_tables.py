"""Comparisons as tables for people, and as rows for other programs."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence

from abe_rerank.evaluation.summary_schema import ComparedGroup, Comparison, PromptName
from abe_rerank.evaluation.summary_tables import label, scope
from abe_rerank.evaluation.tables import Block, Cell, Format, Number, as_csv, for_people

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
