"""One prompt, drawn and scored in a hidden folder as its strategy asks, from where a run before was stopped."""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from abe_rerank.drawing.strategies import Strategy, settings_of
from abe_rerank.evaluation.plan import Plan
from abe_rerank.evaluation.processes import World
from abe_rerank.evaluation.work import Asked, begin, check_strategy, prompts_file, record_of, work
from abe_rerank.evaluation.workload import Drawn, Judges
from abe_rerank.recipes import Course, Drawing
from abe_rerank.runs.evaluated import Result, RunRecord
from abe_rerank.runs.folders import is_held
from abe_rerank.runs.journal import batch_size_of, lock_of
from abe_rerank.runs.provenance import peak_mb
from abe_rerank.runs.reading import lines, open_run
from abe_rerank.runs.workplace import key_of, workplace
from abe_rerank.suites import SuitePrompt

if TYPE_CHECKING:
    from abe_rerank.backbones import Backbone
    from abe_rerank.drawing.pipelines import Pipeline
    from abe_rerank.drawing.sampling import Sampling
    from abe_rerank.reranker import Reranker


@dataclass(frozen=True)
class Order:
    """What is to be drawn: how, for which strategy, what it was asked with, where it waits, and its folder if named."""

    prompt: str
    sampling: Sampling
    strategy: Strategy
    asked: Asked
    offload: str = "none"
    out: Path | None = None


@dataclass(frozen=True)
class DrawnPrompt:
    """What was drawn: ``results`` in the order of drawing, whose images lie in ``folder``, and how."""

    results: tuple[Result, ...]
    folder: Path
    record: RunRecord
    plan: Plan
    asked: Drawing
    backbone: Backbone
    warnings: tuple[str, ...]
    peak_mb: Mapping[str, float]

    @property
    def missing(self) -> bool:
        """Whether something is to be drawn yet."""
        return not self.plan.is_whole or len(self.results) < len(self.plan.keys)

    @property
    def count(self) -> str:
        """How many images are there, "4 of 8" where it is known how many there will be."""
        return f"{len(self.results)} of {len(self.plan.keys)}" if self.plan.is_whole else str(len(self.results))

    @property
    def begun(self) -> datetime:
        """When the run was begun."""
        return datetime.fromisoformat(self.record.created)

    @property
    def ranked(self) -> tuple[Result, ...]:
        """The results that may be picked, best first, ties in the order of drawing: drafts only where nothing else was
        drawn."""
        choice = [result for result in self.results if result.steps is None] or self.results
        return tuple(sorted(choice, key=lambda result: (result.value is None, -(result.value or 0.0), result.key)))

    @property
    def best(self) -> Result:
        """The one that is picked, if it has a score."""
        return self.ranked[0]

    @property
    def drawing(self) -> Drawing:
        """How the images were drawn, in batches of the size that the best one was drawn in."""
        n = self.asked.n if self.course is None else len(self.ranked)
        return replace(self.asked, n=n, batch_size=self.plan.at_once(self.best.key))

    @property
    def course(self) -> Course | None:
        """How the strategy went; None for best of N, of which there is nothing to say."""
        strategy = self.plan.strategy
        if strategy is None or strategy.name == "best-of-n":
            return None
        drafts = sum(result.steps is not None for result in self.results)
        why = "it was stopped" if self.missing else self.plan.steps[0][-1].why
        return Course(strategy.name, settings_of(strategy), len(self.results) - drafts, drafts, None, why)


def draw_prompt(
    order: Order,
    pipeline: Pipeline,
    reranker: Reranker,
    world: World,
    stopped: Callable[[], bool] = lambda: False,
    warn: Callable[[str], None] = lambda line: None,
    note: Callable[[str], None] = lambda line: None,
) -> DrawnPrompt:
    """Draw and score what is not there yet, until it is ``stopped``; ``warn`` and ``note`` are told what to know.

    Nothing is left behind where nothing was drawn. Raises as :func:`abe_rerank.evaluation.work.begin` and
    :func:`abe_rerank.evaluation.work.work` do, and UsageError where the strategy cannot be followed.
    """
    from abe_rerank.backbones.devices import pick_device
    from abe_rerank.drawing.placement import offload
    from abe_rerank.drawing.prompt_fit import prompt_warnings
    from abe_rerank.drawing.sampling import settle

    sampling, measure = order.sampling, Judges(reranker, contrast=True)
    even = sampling.batch_size == "auto"
    first = Plan.following(order.strategy, [SuitePrompt("0", order.prompt)], 1, even)
    share = replace(sampling, n=math.ceil(first.counts[0] / world.processes))  # a batch for each process
    plan = replace(first, batch_size=settle(pipeline, share).batch_size)
    source = Drawn(pipeline, replace(sampling, batch_size=plan.batch_size), Path(), alone=True)
    record = record_of(order.asked, plan, source, measure)
    check_strategy(plan, measure)
    place = workplace(order.out, key_of(record, sampling.batch_size))
    offload(pipeline, order.offload, world.device or pick_device(None))
    warnings = prompt_warnings([order.prompt], reranker.scorer.backbone, pipeline, source.drawing)
    for line in warnings:
        warn(line)
    begun, plan, results = _drawn(replace(source, folder=place), plan, measure, record, world, stopped, note)
    backbone = reranker.scorer.backbone
    how = (source.drawing, backbone, tuple(warnings), peak_mb(backbone.device))
    return DrawnPrompt(results, place, begun, plan, *how)


def _drawn(
    source: Drawn,
    plan: Plan,
    measure: Judges,
    record: RunRecord,
    world: World,
    stopped: Callable[[], bool],
    note: Callable[[str], None],
) -> tuple[RunRecord, Plan, tuple[Result, ...]]:
    """The record of when the run was begun, all that was asked for, and what is there of it; nothing is left behind
    where nothing was drawn."""
    with _kept_if_begun(source.folder):
        begun, done = _to_the_end(source, plan, measure, record, world, stopped, note)
        return begun, done, _results(source.folder)


def _to_the_end(
    source: Drawn,
    plan: Plan,
    measure: Judges,
    record: RunRecord,
    world: World,
    stopped: Callable[[], bool],
    note: Callable[[str], None],
) -> tuple[RunRecord, Plan]:
    """The record of when the run was begun, and all that was asked for; where a batch does not fit, all is drawn anew
    in smaller ones."""
    from abe_rerank.drawing.components import encoding_once
    from abe_rerank.drawing.sampling import BatchSizeError

    while True:
        size = world.by_first(lambda: batch_size_of(source.folder)) or plan.batch_size  # noqa: B023 - at once
        source, plan = source.at(size), replace(plan, batch_size=size)
        begun = record.model_copy(update={"settings": {**record.settings, "batch_size": size}})
        state = world.by_first(partial(begin, source.folder, begun, prompts_file(plan), plan))
        if state.done:
            of = f" of {len(plan.keys)}" if plan.is_whole else ""
            note(f"going on with a run that was stopped: {len(state.done)}{of} images are there")
        try:
            with encoding_once(source.pipeline):
                done = work(source.folder, plan, source, measure, state, world, stopped, label=None)
        except BatchSizeError as error:
            if world.processes > 1:
                raise
            shutil.rmtree(source.folder)
            plan = replace(plan, batch_size=error.fits)
        else:
            world.any(stopped())
            return state.begun, done


def _results(place: Path) -> tuple[Result, ...]:
    found = [line.result for _, line in lines(open_run(place)) if line.result is not None]
    return tuple(sorted(found, key=lambda result: result.key))


@contextmanager
def _kept_if_begun(place: Path) -> Iterator[None]:
    """Within the block a run is drawn into a folder; it is removed again where nothing was, and nobody else does."""
    made = [parent for parent in place.parents if not parent.exists()]
    try:
        yield
    finally:
        files = place.glob("results/*.jsonl")
        if not any(file.stat().st_size or is_held(lock_of(file)) for file in files):
            shutil.rmtree(place, ignore_errors=True)
            for parent in made:
                with suppress(OSError):
                    parent.rmdir()
