"""``abe-rerank generate``: draw N candidates, rank them, write the run folder, say which was picked."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from abe_rerank.cli.asked import BackboneOptions, DrawOptions, spread
from abe_rerank.cli.loading import load_models
from abe_rerank.cli.options import OUTPUT, Assets, Config, Count, Part, Prompt, Scorer, command_line
from abe_rerank.cli.terminal import cosine, say, timed, warn
from abe_rerank.errors import AbeRerankError
from abe_rerank.files import table

if TYPE_CHECKING:
    from abe_rerank.drawing.sampling import Sampling
    from abe_rerank.runs.generated import Commands, Report
    from abe_rerank.types import Ranking


@spread
def generate(
    prompt: Prompt,
    *,
    n: Count = 8,
    draw: DrawOptions,
    backbone: BackboneOptions,
    scorer: Scorer = "abe",
    out: Annotated[
        Path | None,
        typer.Option(
            help="New or empty folder for the results.", show_default="runs/<time>-<words>", rich_help_panel=OUTPUT
        ),
    ] = None,
    assets: Assets = False,
    config: Config = None,
) -> None:
    """Draw N images of PROMPT, score each attribute on its object, pick the best-bound image and say why."""
    run(GenerateRequest(prompt, draw, backbone, n, scorer, out, assets))


@dataclass(frozen=True)
class GenerateRequest:
    """What the command line asks for."""

    prompt: str
    draw: DrawOptions
    backbone: BackboneOptions
    n: int = 8
    scorer: str = "abe"
    out: Path | None = None
    assets: bool = False


def run(request: GenerateRequest) -> None:
    """Draw, score and rank, and print the table; the run folder is written whole or not at all.

    Raises UsageError for input that cannot be used, AbeRerankError if loading, drawing or scoring everything fails.
    """
    from abe_rerank.drawing.prompt_fit import prompt_warnings
    from abe_rerank.drawing.sampling import draw, settle
    from abe_rerank.report.views import write_views
    from abe_rerank.reranker import as_spec
    from abe_rerank.runs.folders import default_folder, new_run_folder
    from abe_rerank.runs.generated import RunFacts, build_report, write_generated
    from abe_rerank.runs.provenance import backbone_record, pipeline_record
    from abe_rerank.scoring.stream import rank, rounding_warning

    started = datetime.now().astimezone()
    seconds: dict[str, float] = {}
    sampling = request.draw.sampling(request.n)
    _warn_of_waste(sampling)
    spec = as_spec(request.prompt)
    out = request.out or default_folder(request.prompt, started)
    with new_run_folder(out) as folder:
        with timed(seconds, "loading"):
            pipeline, reranker = load_models(request.draw, request.backbone, request.scorer)
        scorer = reranker.scorer
        drawing = settle(pipeline, sampling)
        warnings = prompt_warnings([spec.prompt], scorer.backbone, pipeline, drawing)
        _warn(warnings)
        with timed(seconds, "sampling and scoring"):
            samples = draw(pipeline, spec.prompt, drawing, progress=True)
            ranking = rank(scorer, spec, samples)
        close = rounding_warning([c.score.value for c in ranking.candidates], scorer.backbone)
        _warn([close] if close else [])
        facts = RunFacts(
            commands=_commands(request, ranking, out),
            backbone=backbone_record(scorer.backbone, request.backbone.name),
            text_to_image=pipeline_record(pipeline, request.draw.name),
            created=started,
            choices=request.draw.choices.settings,
            allow_pickle=request.backbone.allow_pickle,
            seconds=seconds,
            warnings=(*warnings, *([close] if close else [])),
        )
        report = build_report(ranking, facts)
        images = [candidate.image for candidate in ranking.candidates]
        write_generated(folder, report, images)
        write_views(folder, report, images, linked=request.assets)
    lines = [report_table(report), *_picked(report, out)]
    say("\n".join(lines))
    if report.picked is None:
        reason = report.candidates[0].score.reason
        raise AbeRerankError(f"no image could be scored ({reason}); the images are in {out}")


def _warn(warnings: Iterable[str]) -> None:
    for warning in warnings:
        warn(warning)


def _warn_of_waste(sampling: Sampling) -> None:
    """Say that a batch is larger than what is asked for. It is drawn whole all the same: images are equal to the bit at
    equal batch size alone, and the command that draws the winner again asks for one image of such a batch."""
    if sampling.batch_size != "auto" and sampling.batch_size > sampling.n:
        warn(
            f"--batch-size {sampling.batch_size} draws {sampling.batch_size} images at once, of which {sampling.n} are "
            f"kept; --batch-size {sampling.n} draws no more than these, which may differ in their last digits"
        )


def report_table(report: Report) -> str:
    """Rank, seed, score, and margin and verdict of each pair, as text."""
    pairs = [f"{attribute} {thing}" for attribute, thing in report.parse.pairs]
    rows = []
    for candidate in report.candidates:
        score = candidate.score
        cells = [f"{cosine(pair.margin)} {pair.verdict}" for pair in score.pairs] or ["-"] * len(pairs)
        value = cosine(score.value) if score.value is not None else "unscored"
        rows.append([str(candidate.rank), str(candidate.seed), value, *cells])
    return table(["rank", "seed", "score", *pairs], rows)


def _picked(report: Report, out: Path) -> list[str]:
    """Which image was picked and where it is; nothing if none was."""
    from abe_rerank.report.sentences import status_line

    if report.picked is None:
        return []
    best = report.candidates[report.picked - 1]
    return [f"picked seed {best.seed}: {status_line(best.score)}", str(out / "best.png"), str(out / "report.html")]


def _commands(request: GenerateRequest, ranking: Ranking, out: Path) -> Commands:
    """The command that was run, the one that draws the winner again (at the same batch size, to the bit), and one that
    scores the images again."""
    from abe_rerank.runs.generated import Commands

    best = ranking.candidates[0]
    redraw = None
    if best.score.value is not None and best.seed is not None:
        size = "auto" if ranking.settings.drawing is None else str(ranking.settings.drawing.batch_size)
        redraw = _draw_command(request, 1, replace(request.draw, seed=best.seed, batch_size=size))
    again = _draw_command(request, request.n, request.draw)
    rescore = [str(out / "candidates"), ("--prompt", request.prompt), *_scoring(request)]
    return Commands(run=again, redraw=redraw, rescore=command_line("score", rescore))


def _draw_command(request: GenerateRequest, n: int, draw: DrawOptions) -> str:
    parts: list[Part] = [("--n", n), ("--seed", draw.seed), *replace(draw, seed=0).parts]
    return command_line("generate", [*parts, *_scoring(request), request.prompt], joined=False)


def _scoring(request: GenerateRequest) -> list[Part]:
    return [("--scorer", None if request.scorer == "abe" else request.scorer), *request.backbone.parts]
