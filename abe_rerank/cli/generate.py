"""``abe-rerank generate``: draw N candidates, rank them, write the run folder, say which was picked."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from abe_rerank.cli.asked import BackboneOptions, DrawOptions, spread
from abe_rerank.cli.config_file import Config
from abe_rerank.cli.evaluate import run as run_many
from abe_rerank.cli.evaluate_request import EvaluateRequest
from abe_rerank.cli.generate_request import GenerateRequest
from abe_rerank.cli.generate_run import DrawnRun, draw_run
from abe_rerank.cli.launching import run_in
from abe_rerank.cli.options import DRAW, OUTPUT, Assets, Count, Processes, Scorer
from abe_rerank.cli.stopping import finishing_first
from abe_rerank.cli.strategy_options import StrategyOptions
from abe_rerank.cli.terminal import cosine, say, warn
from abe_rerank.errors import AbeRerankError, UsageError
from abe_rerank.files import table

if TYPE_CHECKING:
    from abe_rerank.drawing.sampling import Sampling
    from abe_rerank.drawing.strategies import Strategy
    from abe_rerank.evaluation.processes import World
    from abe_rerank.runs.generated import Report
    from abe_rerank.types import Spec


@spread
def generate(
    prompt: Annotated[
        str | None, typer.Argument(metavar="PROMPT", help="What the image should show.", show_default=False)
    ] = None,
    *,
    prompts: Annotated[
        str | None,
        typer.Option(
            help="A file of prompts, or a suite, in place of PROMPT: a run as that of evaluate.",
            show_default="none",
            rich_help_panel=DRAW,
        ),
    ] = None,
    n: Count = 8,
    draw: DrawOptions,
    backbone: BackboneOptions,
    scorer: Scorer = "abe",
    strategy: StrategyOptions,
    out: Annotated[
        Path | None,
        typer.Option(
            help="New or empty folder for the results.", show_default="runs/<time>-<words>", rich_help_panel=OUTPUT
        ),
    ] = None,
    assets: Assets = False,
    processes: Processes = 1,
    config: Config = None,
) -> None:
    """Draw N images of PROMPT, score each attribute on its object, pick the best-bound image and say why.

    Each image is on the disk as soon as it is drawn: after a kill, the same command goes on where it was. Ctrl-C (or
    SIGTERM) finishes what is at hand and reports what is there; once more stops at once. --processes 2 shares the work;
    for GPUs and several machines see abe-rerank evaluate --help, whose commands hold here too. A run with --draft-steps
    or --until-bound is of one process, written when it ends, and begins anew after a kill.
    """
    if (prompt is None) == (prompts is None):
        raise UsageError('give a PROMPT, as in "a yellow cylinder and a red cube", or a file of --prompts')
    if strategy.parts and (prompt is None or processes > 1):
        raise UsageError("--draft-steps and --until-bound are for a single PROMPT in one process; leave them out")
    if prompt is not None:
        one = GenerateRequest(prompt, draw, backbone, n, scorer, out, assets, strategy)
        run_in(processes, one.whole_command, lambda: run(one))
    elif assets:
        raise UsageError("--assets is for a single PROMPT; leave it out with --prompts")
    else:
        many = EvaluateRequest(draw, backbone, suite=prompts, scorer=scorer, oracle=False, out=out, n=n)
        run_in(processes, many.command, lambda: run_many(many))


def run(request: GenerateRequest) -> None:
    """Draw, score and rank, and print the table; each image is on the disk as it is drawn, and a run that was killed or
    stopped goes on.

    Raises UsageError for input that cannot be used, AbeRerankError if loading, drawing or scoring everything fails,
    InterruptedRunError if it was stopped.
    """
    from abe_rerank.evaluation.processes import World
    from abe_rerank.reranker import as_spec
    from abe_rerank.runs.workplace import check_out

    sampling, spec = request.draw.sampling(request.n), as_spec(request.prompt)
    strategy = request.strategy.strategy(sampling.n, sampling.seed)
    _warn_of_waste(sampling)
    if request.out is not None:
        check_out(request.out)
    world = World.join(request.backbone.device)
    if strategy is not None:
        if world.processes > 1:
            raise UsageError("--draft-steps and --until-bound run in one process; start one, or leave them out")
        _follow(request, spec, sampling, strategy, world)
        return
    with finishing_first(world) as stop:
        drawn = draw_run(request, spec, sampling, world, stop)
    world.leave(stop.asked())
    if not world.is_first:
        sys.exit(stop.code if stop.asked() else 0)
    if not drawn.results:
        raise stop.error("nothing was drawn yet")
    report, out = _write(request, spec, drawn)
    say("\n".join([report_table(report), *_picked(report, out)]))
    if report.interrupted:
        raise stop.error(f"{len(report.candidates)} of {request.n} images are in {out}; the same command goes on")
    _check_picked(report, out)


def _follow(request: GenerateRequest, spec: Spec, sampling: Sampling, strategy: Strategy, world: World) -> None:
    """A run that follows a strategy; raises as :func:`run` does."""
    from abe_rerank.cli.generate_strategy import said_of, strategy_run
    from abe_rerank.runs.folders import check_free

    if request.out is not None:
        check_free(request.out)
    with finishing_first(world) as stop:
        report, out = strategy_run(request, spec, sampling, strategy, stop)
    say("\n".join([report_table(report), *_picked(report, out), said_of(report)]))
    if stop.asked():
        raise stop.error(f"what was drawn until then is in {out}")
    _check_picked(report, out)


def _check_picked(report: Report, out: Path) -> None:
    if report.picked is None:
        reason = report.candidates[0].score.reason
        raise AbeRerankError(f"no image could be scored ({reason}); the images are in {out}")


def _write(request: GenerateRequest, spec: Spec, drawn: DrawnRun) -> tuple[Report, Path]:
    """Write the run folder, whole or not at all; what was drawn is removed when all of it is in there."""
    from abe_rerank.report.views import write_views
    from abe_rerank.runs.folders import new_run_folder
    from abe_rerank.runs.generated import RunFacts, report_of, write_generated
    from abe_rerank.runs.provenance import peak_mb
    from abe_rerank.runs.workplace import Pictures, folder_for, ranked
    from abe_rerank.scoring.stream import rounding_warning
    from abe_rerank.types import Settings

    interrupted = len(drawn.results) < request.n
    begun = datetime.fromisoformat(drawn.record.created)
    candidates, files = ranked(drawn.results, drawn.folder)
    images = Pictures(files)
    close = rounding_warning([candidate.score.value for candidate in candidates], drawn.backbone)
    _warn([close] if close else [])
    model = drawn.record.text_to_image
    assert model is not None  # as images were drawn
    missing = f"interrupted: {len(candidates)} of {request.n} images were drawn; the same command goes on"
    out = folder_for(request.out, spec.prompt, begun, drawn.folder)
    facts = RunFacts(
        commands=request.commands(candidates[0], drawn.drawing.batch_size, out),
        backbone=drawn.record.backbone,
        text_to_image=model,
        created=begun,
        choices=request.draw.choices.settings,
        allow_pickle=request.backbone.allow_pickle,
        seconds=drawn.seconds,
        peak_mb=peak_mb(drawn.backbone.device),
        processes=drawn.processes,
        interrupted=interrupted,
        warnings=(*drawn.warnings, *([close] if close else []), *([missing] if interrupted else [])),
    )
    report = report_of(spec, Settings(drawn.record.scorer, drawn.drawing), candidates, facts)
    with new_run_folder(out) as folder:
        write_generated(folder, report, images)
        write_views(folder, report, images, linked=request.assets or len(images) > EMBEDDED)
    if not interrupted:
        shutil.rmtree(drawn.folder, ignore_errors=True)
    return report, out


EMBEDDED = 64
"""The most images that a page holds itself; of more it names the files."""


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
