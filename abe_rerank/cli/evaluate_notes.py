"""What ``abe-rerank evaluate`` says: what it begins or continues, what may surprise, what is done."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from abe_rerank.cli.terminal import note, say
from abe_rerank.errors import AbeRerankError
from abe_rerank.text import table

if TYPE_CHECKING:
    from abe_rerank.evaluation.judging import Measure
    from abe_rerank.evaluation.listing import Listing
    from abe_rerank.evaluation.plan import Plan
    from abe_rerank.evaluation.sources import Drawn, Found
    from abe_rerank.evaluation.summary_schema import Choices, Group
    from abe_rerank.evaluation.work import State
    from abe_rerank.runs.evaluated import RunRecord


def greet(out: Path, plan: Plan, state: State, record: RunRecord, listing: Listing) -> None:
    """Say what is begun or continued, and what may make its results differ."""
    total = len(plan.keys)
    if state.complete:
        note(f"{out} is complete; nothing is done")
    elif state.done:
        note(f"going on in {out}: {len(state.done)} of {total} results are there")
    else:
        note(f"{total} images of {len(plan.prompts)} prompts into {out}")
    changed = [name for name, version in record.versions.items() if state.begun.versions.get(name) != version]
    if changed and not state.complete:
        was = ", ".join(f"{name} {state.begun.versions.get(name)}" for name in changed)
        note(f"warning: the run was begun with {was}; what comes now may differ in the last digits")
    if state.gone:
        note(f"warning: images that are gone and are drawn again: {len(state.gone)}, the first {state.gone[0]}")
    if listing.left_out:
        note(f"warning: {len(listing.left_out)} files are left out, the first: {listing.left_out[0]}")


def warn(plan: Plan, source: Drawn | Found, measure: Measure) -> None:
    """One line each for what the models cannot read in the prompts."""
    from abe_rerank.drawing.prompt_fit import prompt_warnings
    from abe_rerank.evaluation.sources import Drawn

    pipeline = source.pipeline if isinstance(source, Drawn) else None
    for line in prompt_warnings([p.prompt for p in plan.prompts], measure.reranker.scorer.backbone, pipeline):
        note(f"warning: {line}")


def conclude(out: Path) -> None:
    """Make the page of the complete run, if it has none of these results, and show its means and where it is.

    Raises AbeRerankError if an image is unscored.
    """
    from abe_rerank.evaluation.summary import load, summary_of
    from abe_rerank.report.run_page import write_run_page

    page, results = out / "report.html", out / "results.jsonl"
    numbers = load(out)
    summary = summary_of(numbers)
    if not page.is_file() or page.stat().st_mtime_ns < results.stat().st_mtime_ns:
        write_run_page(out, numbers, summary)
    header = ["category", "prompts", "images", "nothing to bind", "unscored", "score", "pairs bound"]
    header += ["right"] if summary.all.oracle else []
    groups = summary.categories if len(summary.categories) > 1 else ()
    say(table(header, [_cells(group)[: len(header)] for group in (*groups, summary.all)]))
    say(f"\nmeans over prompts; intervals and more: abe-rerank summarize {shlex.quote(str(out))}")
    say(f"{results}\n{page}")
    if counts := summary.all.counts.unscored:
        first = summary.unscored[0]
        raise AbeRerankError(
            f"{counts} of {summary.all.counts.images} images could not be scored; the first: prompt {first.prompt_id}, "
            f"image {first.candidate}: {first.reason}"
        )


def _cells(group: Group) -> list[str]:
    counts = group.counts
    numbers = (counts.prompts, counts.images, counts.nothing_to_bind, counts.unscored)
    name = "all" if group.category is None else group.category
    return [name, *map(str, numbers), *map(_mean, (group.score, group.bound, group.oracle))]


def _mean(choices: Choices | None) -> str:
    """The mean over the images of each prompt, then over prompts; a dash where nothing was measured."""
    return "-" if choices is None else f"{choices.mean.mean:.3f}"
