"""``abe-rerank evaluate``: draw or take the images of a suite, score each, and write lines that survive a kill."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from abe_rerank.cli import completing
from abe_rerank.cli.asked import BackboneOptions, DrawOptions, spread
from abe_rerank.cli.config_file import Config
from abe_rerank.cli.evaluate_request import SUITE, EvaluateRequest
from abe_rerank.cli.launching import run_in
from abe_rerank.cli.loading import check_scorer, load_models, load_reranker
from abe_rerank.cli.options import DRAW, OUTPUT, SCORE, Processes, Scorer
from abe_rerank.cli.stopping import Stop, finishing_first
from abe_rerank.errors import UsageError
from abe_rerank.evaluation import layouts
from abe_rerank.suites import formats

if TYPE_CHECKING:
    from abe_rerank.evaluation.layouts import Listing
    from abe_rerank.evaluation.plan import Plan
    from abe_rerank.evaluation.processes import World
    from abe_rerank.evaluation.workload import Drawn, Found, Judges
    from abe_rerank.reranker import Reranker
    from abe_rerank.runs.evaluated import Key


Suite = Annotated[
    str | None,
    typer.Option(
        "--suite",
        "--prompts",
        help=f"A suite's name, or a file of prompts: {formats.titles()}.",
        show_default="shapes, or the prompts that --images names",
        autocompletion=completing.suites,
        rich_help_panel=DRAW,
    ),
]
Images = Annotated[
    Path | None,
    typer.Option(help=f"Use these images and draw none: {layouts.titles()}.", rich_help_panel=DRAW),
]
Limit = Annotated[int | None, typer.Option(help="Use only the first prompts.", min=1, rich_help_panel=DRAW)]
Each = Annotated[
    int | None,
    typer.Option(
        "--n",
        "-n",
        "--count",
        min=1,
        help="How many images of each prompt.",
        show_default="4, or all that --images has",
        rich_help_panel=DRAW,
    ),
]
Judge = Annotated[
    str | None,
    typer.Option(
        metavar="SCORER[:BACKBONE]",
        help="A second scorer, which judges the picks.",
        autocompletion=completing.scorers,
        rich_help_panel=SCORE,
    ),
]
AskOracle = Annotated[
    bool | None,
    typer.Option(
        "--oracle/--no-oracle",
        help="Judge by the detector of the shapes world, too.",
        show_default="only for the suite shapes",
        rich_help_panel=SCORE,
    ),
]
Out = Annotated[
    Path | None,
    typer.Option(
        help="Folder for the run; if it holds an unfinished run of the same settings, that is continued.",
        show_default="runs/<suite>-<digest of the other options>",
        rich_help_panel=OUTPUT,
    ),
]


@spread
def evaluate(
    *,
    suite: Suite = None,
    images: Images = None,
    limit: Limit = None,
    n: Each = None,
    draw: DrawOptions,
    backbone: BackboneOptions,
    scorer: Scorer = "abe",
    judge: Judge = None,
    oracle: AskOracle = None,
    out: Out = None,
    processes: Processes = 1,
    config: Config = None,
) -> None:
    """Measure how well a text-to-image model binds attributes: draw N images for each prompt of a suite, or take images
    that exist already, and score them.

    Each result is on the disk as soon as it is there: after a kill, the same command continues where it was.

    \b
    Several processes share the batches, with the same images and scores as one
    (scores to some 3e-5 where their numbers of threads differ):
      two on the CPU:     abe-rerank evaluate ... --processes 2 --device cpu
      a machine's GPUs:   abe-rerank evaluate ... --processes 8
      several machines, with a folder that all have, the same on each:
        torchrun --nnodes 2 --nproc-per-node 8 --rdzv-backend c10d \\
          --rdzv-endpoint HOST:29500 -m abe_rerank evaluate ... --count 4 --out /shared/RUN
    (torchrun takes --n for its own: write --count, or -n.)
    """
    request = EvaluateRequest(draw, backbone, suite, images, limit, scorer, judge, oracle, out, n)
    run_in(processes, request.command, lambda: run(request))


def run(request: EvaluateRequest) -> None:
    """Do a run, or what is left of it, and say where its results are.

    Raises UsageError for input that cannot be used, AbeRerankError if some image could not be drawn, read or scored:
    the run is complete all the same, and the results name it. Raises InterruptedRunError if it was stopped.
    """
    from abe_rerank.cli.evaluate_notes import conclude
    from abe_rerank.evaluation.processes import World
    from abe_rerank.runs.journal import check_folder

    check_folder(request.folder)
    listing = _listing(request)
    plan = _plan(request, listing)
    world = World.join(request.backbone.device)
    with finishing_first(world) as stop:
        plan, missing = _complete(request, listing, plan, world, stop)
    world.leave(stop.asked())
    complete = plan.is_whole and not missing
    if world.is_first:
        conclude(request.folder, complete)
    if not complete:
        there = f"{len(plan.keys) - len(missing)} results are in {request.folder}"
        short = f"{len(missing)} of {len(plan.keys)} results are missing" if plan.is_whole else there
        raise stop.error(f"{short}; the same command goes on")


def _complete(
    request: EvaluateRequest, listing: Listing, plan: Plan, world: World, stop: Stop
) -> tuple[Plan, list[Key]]:
    """Do what is not done until it is asked to stop; gives all that was asked for, and the results that are missing."""
    from abe_rerank.backbones.devices import pick_device
    from abe_rerank.cli.evaluate_notes import TimedSource, greet, warn_of_prompts
    from abe_rerank.drawing.placement import offload
    from abe_rerank.evaluation.work import (
        Asked,
        begin,
        check_strategy,
        finish,
        grown,
        missing_of,
        prompts_file,
        record_of,
        work,
    )
    from abe_rerank.evaluation.workload import Drawn
    from abe_rerank.runs.journal import batch_size_of

    out = request.folder
    _check_judge(request)
    source, reranker = _source(request, listing, world)
    if isinstance(source, Drawn) and request.draw.batch_size == "auto":
        size = batch_size_of(out) or world.by_first(partial(source.batch_that_fits, plan.prompts[0].prompt))
        source, plan = source.at(size), replace(plan, batch_size=size)
    measure = _measure(request, reranker, world)
    names = (request.suite_name, request.draw.name, request.backbone.name)
    asked = Asked(*names, request.command, request.draw.choices.settings)
    record = record_of(asked, plan, source, measure, world.processes)
    check_strategy(plan, measure)
    if isinstance(source, Drawn):
        offload(source.pipeline, request.draw.offload, world.device or pick_device(None))
    state = world.by_first(lambda: begin(out, record, prompts_file(plan), plan))
    if world.is_first:
        greet(out, plan, state, record, listing)
    if not state.complete:
        if world.is_first:
            warn_of_prompts(plan, source, measure)
        timed_source = TimedSource(source)
        plan = work(out, plan, timed_source, measure, state, world, stop.asked)
        if world.is_first:
            timed_source.note_seconds()
        if not world.any(stop.asked()):
            world.by_first(lambda: finish(out, plan))
        elif not world.is_first:
            sys.exit(stop.code)
        elif (missing := missing_of(out, plan)) or not plan.is_whole:
            return plan, missing
        else:
            finish(out, plan)
    return grown(out, plan), []


def _listing(request: EvaluateRequest) -> Listing:
    """The prompts, with the files of their images if there are any. Raises UsageError for what does not go together."""
    from abe_rerank.evaluation.layouts import Listing, find_images
    from abe_rerank.suites import load_prompts

    if request.images is None:
        prompts = load_prompts(request.suite or SUITE)[: request.limit]
        return Listing(tuple(prompts), ((),) * len(prompts))
    if given := request.drawing_only:
        raise UsageError(f"{', '.join(given)}: nothing is drawn where --images gives the images; leave one of them out")
    suite = None if request.suite is None else load_prompts(request.suite)[: request.limit]
    return find_images(Path(os.path.abspath(request.images)), suite).first(request.limit)


def _plan(request: EvaluateRequest, listing: Listing) -> Plan:
    """The work; images that exist are read one by one. Raises UsageError for numbers that cannot be."""
    from abe_rerank.evaluation.plan import Plan

    plan = request.plan(listing.prompts)
    if request.images is None:
        return plan
    counts = tuple(request.n or max(1, len(files)) for files in listing.files)
    return Plan(listing.prompts, counts, plan.batch_size)


def _source(request: EvaluateRequest, listing: Listing, world: World) -> tuple[Drawn | Found, Reranker]:
    """Where the images come from, and what scores them."""
    from abe_rerank.evaluation.workload import Drawn, Found

    backbone = replace(request.backbone, device=world.device)
    if request.images is not None:
        reranker = load_reranker(backbone, request.scorer)
        return Found(Path(os.path.abspath(request.images)), listing.files), reranker
    pipeline, reranker = load_models(request.draw, backbone, request.scorer, shown=world.is_first)
    return Drawn(pipeline, request.sampling, request.folder), reranker


def _check_judge(request: EvaluateRequest) -> None:
    """Raises UsageError, before any model is loaded, for a judge whose model is not there."""
    if request.judge is not None:
        check_scorer(*_parted(request.judge), request.backbone.allow_pickle)


def _parted(judge: str) -> tuple[str, str]:
    """The scorer that a judge is, and the backbone of its own that it names, "" for none."""
    from abe_rerank.scoring.registry import takes

    name, _, backbone = judge.partition(":")
    return (judge, "") if takes(name) else (name, backbone)  # what stands behind the colon may be the scorer's own


def _measure(request: EvaluateRequest, reranker: Reranker, world: World) -> Judges:
    """The scorer with the judge and the oracle that are asked for. Raises UsageError for a judge that is the scorer."""
    from abe_rerank.evaluation.workload import Judges
    from abe_rerank.scoring import make_scorer

    judge, oracle = None, None
    if request.judge is not None:
        name, backbone = _parted(request.judge)
        if backbone in ("", request.backbone.backbone):
            judge = replace(reranker, scorer=make_scorer(name, reranker.scorer.backbone))
        else:
            other = replace(request.backbone, backbone=backbone, device=world.device, image_size=None)
            judge = load_reranker(other, name)
        if judge.scorer.stamp == reranker.scorer.stamp:
            raise UsageError(f"the judge {request.judge} is what picks; name another scorer or backbone")
    if request.asks_oracle:
        from abe_rerank.shapes.oracle import Oracle

        oracle = Oracle.load(reranker.scorer.backbone.device)
    return Judges(reranker, judge, oracle)
