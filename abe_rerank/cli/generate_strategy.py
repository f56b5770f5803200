"""A run of ``generate`` that follows a strategy: drawn and scored in one go, and written when it has ended."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from abe_rerank.cli.generate_request import GenerateRequest
from abe_rerank.cli.loading import load_models
from abe_rerank.cli.stopping import Stop
from abe_rerank.cli.terminal import timed, warn

if TYPE_CHECKING:
    from abe_rerank.drawing.sampling import Sampling
    from abe_rerank.drawing.strategies import Strategy
    from abe_rerank.runs.generated import Commands, Report
    from abe_rerank.types import Ranking, Spec


def strategy_run(
    request: GenerateRequest, spec: Spec, sampling: Sampling, strategy: Strategy, stop: Stop
) -> tuple[Report, Path]:
    """Draw and score as the strategy asks until it ends or is asked to stop, and write the run folder, whole or not at
    all; what was drawn before a kill is lost.

    Raises UsageError where the strategy cannot be followed, and as
    :func:`abe_rerank.cli.loading.load_models` and :func:`abe_rerank.reranker.follow` do.
    """
    from abe_rerank.drawing.prompt_fit import prompt_warnings
    from abe_rerank.drawing.sampling import settle
    from abe_rerank.report.views import write_views
    from abe_rerank.reranker import follow
    from abe_rerank.runs.folders import default_folder, new_run_folder
    from abe_rerank.runs.generated import RunFacts, build_report, write_generated
    from abe_rerank.runs.provenance import backbone_record, peak_mb, pipeline_record
    from abe_rerank.scoring.stream import rounding_warning

    begun, seconds = datetime.now().astimezone(), dict[str, float]()
    out = request.out or default_folder(spec.prompt, begun)
    with new_run_folder(out) as folder:
        with timed(seconds, "loading"):
            pipeline, reranker = load_models(request.draw, request.backbone, request.scorer)
        scorer = reranker.scorer
        warnings = prompt_warnings([spec.prompt], scorer.backbone, pipeline, settle(pipeline, sampling))
        for line in warnings:
            warn(line)
        with timed(seconds, "sampling and scoring"):
            ranking = follow(
                strategy, scorer, pipeline, spec, sampling, progress=True, on_candidate=lambda _: not stop.asked()
            )
        close = rounding_warning([candidate.score.value for candidate in ranking.candidates], scorer.backbone)
        if close:
            warn(close)
        facts = RunFacts(
            commands=_commands(request, ranking, out),
            backbone=backbone_record(scorer, request.backbone.name),
            text_to_image=pipeline_record(pipeline, request.draw.name),
            created=begun,
            choices=request.draw.choices.settings,
            allow_pickle=request.backbone.allow_pickle,
            seconds=seconds,
            peak_mb=peak_mb(scorer.backbone.device),
            warnings=(*warnings, *([close] if close else [])),
        )
        report = build_report(ranking, facts)
        images = [candidate.image for candidate in ranking.candidates]
        write_generated(folder, report, images)
        write_views(folder, report, images, linked=request.assets)
    return report, out


def _commands(request: GenerateRequest, ranking: Ranking, out: Path) -> Commands:
    """Those of the request; a draft is drawn again in its own steps."""
    best, drawing = ranking.candidates[0], ranking.settings.drawing
    size = 1 if drawing is None else drawing.batch_size
    alone = request if best.steps is None else replace(request, draw=replace(request.draw, steps=best.steps))
    return request.commands(best, size, out).model_copy(update={"redraw": alone.commands(best, size, out).redraw})


def said_of(report: Report) -> str:
    """What the strategy cost and why it ended, in a line."""
    told = report.settings["strategy"]
    assert isinstance(told, dict)  # as it was followed
    drafts = f" and {told['drafts']} drafts" if told["drafts"] else ""
    return f"{told['name']}: {told['pictures']} images{drafts} in {told['seconds']} s; ended as {told['ended']}"
