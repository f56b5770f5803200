"""What ``abe-rerank evaluate`` says: what starts or continues, may surprise, was found."""

from __future__ import annotations

import shlex
import time
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from abe_rerank.cli.terminal import note, say, warn
from abe_rerank.errors import AbeRerankError, UsageError
from abe_rerank.files import readable, table

if TYPE_CHECKING:
    from abe_rerank.evaluation.layouts import Listing
    from abe_rerank.evaluation.plan import Block, Plan
    from abe_rerank.evaluation.summary_schema import Choices, Group
    from abe_rerank.evaluation.work import State
    from abe_rerank.evaluation.workload import Drawn, Found, Judges, Taken
    from abe_rerank.runs.evaluated import RunRecord
    from abe_rerank.suites import SuitePrompt


def greet(out: Path, plan: Plan, state: State, record: RunRecord, listing: Listing) -> None:
    """Say what is started or continued, and what may make its results differ."""
    known = plan.is_whole
    of, total = (f" of {len(plan.keys)}", f"{len(plan.keys)} images") if known else ("", "images as the scores ask for")
    if state.complete:
        note(f"{out} is complete already; nothing to do")
    elif state.done:
        note(f"continuing the run in {out}: {len(state.done)}{of} results are there")
    else:
        note(f"{total} of {len(plan.prompts)} prompts into {out}; processes: {record.processes}")
    changed = [name for name, version in record.versions.items() if state.begun.versions.get(name) != version]
    if changed and not state.complete:
        was = ", ".join(f"{name} {state.begun.versions.get(name)}" for name in changed)
        warn(f"the run was started with {was}; new results may differ from the old ones in their last digits")
    if state.gone:
        again = "scored" if record.text_to_image is None else "drawn"
        warn(f"images that are gone or changed, and are {again} again: {len(state.gone)}, the first {state.gone[0]}")
    if listing.left_out:
        warn(f"{len(listing.left_out)} files are left out, the first: {listing.left_out[0]}")


def warn_of_prompts(plan: Plan, source: Drawn | Found, measure: Judges) -> None:
    """One line each for what the models, the parser and the oracle cannot read in the prompts."""
    from abe_rerank.drawing.prompt_fit import prompt_warnings
    from abe_rerank.evaluation.workload import Drawn

    prompts = [prompt.prompt for prompt in plan.prompts]
    drawn = (source.pipeline, source.drawing) if isinstance(source, Drawn) else ()
    for line in prompt_warnings(prompts, measure.reranker.scorer.backbone, *drawn):
        warn(line)
    _warn_of_parses(plan.prompts)
    if measure.oracle is not None:
        _warn_of_first(prompts, _cannot_judge, "cannot be judged by the oracle")


def _warn_of_parses(prompts: Iterable[SuitePrompt]) -> None:
    """Name a prompt whose pairs are not those that its suite expects."""
    from abe_rerank.parsing import parse

    expected = {prompt.prompt: sorted(prompt.pairs) for prompt in prompts if prompt.pairs is not None}

    def other_pairs(prompt: str) -> str | None:
        found = sorted(parse(prompt).pairs)
        return None if found == expected[prompt] else ", ".join(map(" ".join, found)) or "nothing to bind"

    _warn_of_first(list(expected), other_pairs, "are parsed otherwise than their suite expects")


def _cannot_judge(prompt: str) -> str | None:
    """Why the oracle cannot judge images of a prompt; None if it can."""
    from abe_rerank.parsing import parse
    from abe_rerank.shapes.wishes import asked_of

    try:
        asked_of(parse(prompt))
    except UsageError as error:
        return str(error)
    return None


def _warn_of_first(prompts: list[str], problem: Callable[[str], str | None], what: str) -> None:
    """Count the prompts that have a problem, and show the first with what it is."""
    found = [(prompt, reason) for prompt in prompts if (reason := problem(prompt)) is not None]
    if found:
        prompt, reason = found[0]
        warn(f"{len(found)} of {len(prompts)} prompts {what}, the first: {prompt} ({reason})")


@dataclass
class TimedSource:
    """A source of images with how long it takes to draw or read them, and when it began."""

    source: Drawn | Found
    started: float = field(default_factory=time.perf_counter)
    taking: float = 0.0
    images: int = 0

    def take(self, block: Block, prompt: str, wanted: Collection[int]) -> list[Taken]:
        """What the source gives, see :class:`abe_rerank.evaluation.workload.Source`."""
        start = time.perf_counter()
        taken = self.source.take(block, prompt, wanted)
        self.taking += time.perf_counter() - start
        self.images += len(taken)
        return taken

    def note_seconds(self) -> None:
        """Say what an image took: drawing or reading it, and the rest, which is scoring and writing."""
        if self.images:
            rest = time.perf_counter() - self.started - self.taking
            each = f"{self.taking / self.images:.3f} s to draw or read, {rest / self.images:.3f} s to score"
            note(f"an image took {each}")


def conclude(out: Path, complete: bool = True) -> None:
    """Make the page of the run, if it has none of these results, and show its means and where it is.

    Of a run that is not ``complete`` the page says so, and prompts without all their images are left out; there is none
    where that leaves none. Raises AbeRerankError if an image of a complete run is unscored.
    """
    from abe_rerank.evaluation.numbers import read_numbers
    from abe_rerank.evaluation.summary import summary_of
    from abe_rerank.report.run_page import write_run_page
    from abe_rerank.runs.reading import open_run

    page, results = out / "report.html", out / ("results.jsonl" if complete else "results")
    numbers = read_numbers(open_run(out))
    if not numbers.prompts:
        return
    summary = summary_of(numbers)
    if not complete or not page.is_file() or page.stat().st_mtime_ns < results.stat().st_mtime_ns:
        write_run_page(out, numbers, summary)
    header = ["category", "prompts", "images", "nothing to bind", "unscored", "score", "pairs bound"]
    header += ["right"] if summary.all.oracle else []
    groups = summary.categories if len(summary.categories) > 1 else ()
    say(table(header, [_cells(group)[: len(header)] for group in (*groups, summary.all)]))
    if (tuning := numbers.run.record.backbone.tuning) is not None:
        say(f"\n{tuning}")
    say(f"\nmeans over prompts; intervals and more: abe-rerank summarize {shlex.quote(readable(out))}")
    say(f"{results}\n{page}")
    if complete and (counts := summary.all.counts.unscored):
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
