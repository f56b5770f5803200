"""The images of one prompt, drawn and scored in a hidden folder, from where a run before was stopped."""

from __future__ import annotations

import math
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from abe_rerank.cli.generate_request import GenerateRequest
from abe_rerank.cli.launching import is_launched
from abe_rerank.cli.loading import load_models
from abe_rerank.cli.terminal import note, timed, warn

if TYPE_CHECKING:
    from abe_rerank.backbones import Backbone
    from abe_rerank.cli.stopping import Stop
    from abe_rerank.drawing.sampling import Sampling
    from abe_rerank.evaluation.processes import World
    from abe_rerank.evaluation.work import State
    from abe_rerank.evaluation.workload import Drawn, Judges, Plan
    from abe_rerank.runs.evaluated import Result, RunRecord
    from abe_rerank.types import Drawing, Spec


@dataclass(frozen=True)
class DrawnRun:
    """What was drawn and scored: results in the order of the seeds, whose images lie in ``folder``; and how."""

    results: tuple[Result, ...]
    folder: Path
    record: RunRecord
    drawing: Drawing
    backbone: Backbone
    warnings: tuple[str, ...]
    seconds: Mapping[str, float]
    processes: int


def draw_run(request: GenerateRequest, spec: Spec, sampling: Sampling, world: World, stop: Stop) -> DrawnRun:
    """Draw and score what is not there yet, until it is asked to stop. Nothing is left behind where nothing was drawn.

    Raises as :func:`abe_rerank.cli.loading.load_models` and :func:`abe_rerank.evaluation.work.work` do.
    """
    from abe_rerank.backbones.devices import pick_device
    from abe_rerank.drawing.placement import offload
    from abe_rerank.drawing.prompt_fit import prompt_warnings
    from abe_rerank.drawing.sampling import settle
    from abe_rerank.evaluation.work import Asked, record_of
    from abe_rerank.evaluation.workload import Drawn, Judges, Plan
    from abe_rerank.runs.workplace import key_of, workplace
    from abe_rerank.suites import SuitePrompt

    seconds: dict[str, float] = {}
    with timed(seconds, "loading"):
        backbone = replace(request.backbone, device=world.device)
        pipeline, reranker = load_models(request.draw, backbone, request.scorer, shown=world.is_first)
    measure = Judges(reranker, contrast=True)
    share = replace(sampling, n=math.ceil(sampling.n / world.processes))
    size = settle(pipeline, share).batch_size  # such that there is a batch for each process
    source = Drawn(pipeline, replace(sampling, batch_size=size), Path(), alone=True)
    plan = Plan((SuitePrompt("0", spec.prompt),), (sampling.n,), source.drawing.batch_size)
    asked = Asked("", request.draw.name, backbone.name, request.command, request.draw.choices.settings)
    record = record_of(asked, plan, source, measure)
    offload(pipeline, request.draw.offload, world.device or pick_device(None))
    place = workplace(request.out, key_of(record, sampling.batch_size))
    warnings = prompt_warnings([spec.prompt], reranker.scorer.backbone, pipeline, source.drawing)
    for line in warnings if world.is_first else ():
        warn(line)
    if world.is_first and (is_launched() or world.processes > 1):
        note(f"processes: {world.processes}")
    with _kept_if_begun(place), timed(seconds, "sampling and scoring"):
        drawn = _all_drawn(replace(source, folder=place), plan, measure, record, world, stop)
        results = _results(place)
    return DrawnRun(results, place, *drawn, reranker.scorer.backbone, tuple(warnings), seconds, world.processes)


def _all_drawn(
    source: Drawn, plan: Plan, measure: Judges, record: RunRecord, world: World, stop: Stop
) -> tuple[RunRecord, Drawing]:
    """The record of when the run was begun, and how it is drawn: in batches that fit, all of one size."""
    from abe_rerank.drawing.sampling import BatchSizeError
    from abe_rerank.evaluation.work import begin, prompts_file, work
    from abe_rerank.runs.journal import batch_size_of

    while True:
        size = world.by_first(lambda: batch_size_of(source.folder)) or source.drawing.batch_size  # noqa: B023 - at once
        source, plan = source.at(size), replace(plan, batch_size=size)
        settings = {**record.settings, "batch_size": size}
        begun = record.model_copy(update={"settings": settings})
        state: State = world.by_first(partial(begin, source.folder, begun, prompts_file(plan), plan))
        if state.done and world.is_first:
            note(f"going on with a run that was stopped: {len(state.done)} of {len(plan.keys)} images are there")
        try:
            work(source.folder, plan, source, measure, state, world, stop.asked, label=None)
        except BatchSizeError as error:
            if world.processes > 1:
                raise
            shutil.rmtree(source.folder)
            source = source.at(error.fits)
        else:
            world.wait(stop.asked())
            return state.begun, source.drawing


def _results(place: Path) -> tuple[Result, ...]:
    from abe_rerank.runs.reading import lines, open_run

    found = [line.result for _, line in lines(open_run(place)) if line.result is not None]
    return tuple(sorted(found, key=lambda result: result.key))


@contextmanager
def _kept_if_begun(place: Path) -> Iterator[None]:
    """Within the block a run is drawn into a folder; it is removed again where nothing was, and nobody else does."""
    from abe_rerank.runs.folders import is_held
    from abe_rerank.runs.journal import lock_of

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
