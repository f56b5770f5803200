"""``abe-rerank generate``: draw N candidates, rank them, write the run folder, say which was picked."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from abe_rerank.cli.asked import BackboneOptions, DrawOptions, spread
from abe_rerank.cli.config_file import Config
from abe_rerank.cli.evaluate import run as run_many
from abe_rerank.cli.evaluate_request import EvaluateRequest
from abe_rerank.cli.generate_request import GenerateRequest, StrategyOptions
from abe_rerank.cli.launching import is_launched, run_in
from abe_rerank.cli.loading import load_models
from abe_rerank.cli.options import DRAW, OUTPUT, Assets, Count, Processes, Scorer
from abe_rerank.cli.stopping import finishing_first
from abe_rerank.cli.terminal import cosine, note, say, timed, warn
from abe_rerank.errors import AbeRerankError, UsageError
from abe_rerank.files import table

if TYPE_CHECKING:
    from abe_rerank.drawing.sampling import Sampling
    from abe_rerank.runs.generated import Report


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
    for GPUs and several machines see abe-rerank evaluate --help, whose commands hold here too.
    """
    if (prompt is None) == (prompts is None):
        raise UsageError('give a PROMPT, as in "a yellow cylinder and a red cube", or a file of --prompts')
    if prompt is not None:
        one = GenerateRequest(prompt, draw, backbone, n, scorer, out, assets, strategy)
        run_in(processes, one.whole_command, lambda: run(one))
    elif assets or strategy.max_seconds is not None:
        name = "--assets" if assets else "--max-seconds"
        raise UsageError(f"{name} is for a single PROMPT; leave it out with --prompts")
    else:
        asked = {"suite": prompts, "scorer": scorer, "oracle": False, "out": out, "n": n, "strategy": strategy}
        many = EvaluateRequest(draw, backbone, **asked)  # type: ignore[arg-type]
        run_in(processes, many.command, lambda: run_many(many))


def run(request: GenerateRequest) -> None:
    """Draw, score and rank, and print the table; each image is on the disk as it is drawn, and a run that was killed or
    stopped goes on.

    Raises UsageError for input that cannot be used, AbeRerankError if loading, drawing or scoring everything fails,
    InterruptedRunError if it was stopped.
    """
    from abe_rerank.evaluation.one_prompt import draw_prompt
    from abe_rerank.evaluation.processes import World
    from abe_rerank.report.views import write_drawn
    from abe_rerank.runs.workplace import folder_for

    order, seconds = request.order, dict[str, float]()
    _warn_of_waste(order.sampling)
    world = World.join(request.backbone.device)
    with finishing_first(world) as stop:
        with timed(seconds, "loading"):
            backbone = replace(request.backbone, device=world.device)
            models = load_models(request.draw, backbone, request.scorer, shown=world.is_first)
        if world.is_first and (is_launched() or world.processes > 1):
            note(f"processes: {world.processes}")
        with timed(seconds, "sampling and scoring"):
            said = (warn, note) if world.is_first else ()
            drawn = draw_prompt(order, *models, world, stop.asked, *said)
    world.leave(stop.asked())
    if not world.is_first:
        sys.exit(stop.code if stop.asked() else 0)
    if not drawn.results:
        raise stop.error("nothing was drawn yet")
    out = folder_for(request.out, order.prompt, drawn.begun, drawn.folder)
    facts = request.facts(drawn, out, seconds, world.processes)
    report = write_drawn(drawn, facts, out, linked=request.assets, warn=warn)
    said_last = [*_picked(report, out), *_spent(report)]
    say("\n".join([report_table(report), *said_last]))
    if drawn.missing:
        raise stop.error(f"{drawn.count} images are in {out}; the same command goes on")
    if report.picked is None:
        reason = report.candidates[0].score.reason
        raise AbeRerankError(f"no image could be scored ({reason}); the images are in {out}")


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


def _spent(report: Report) -> list[str]:
    """What a strategy cost and why it ended; nothing of best of N."""
    told = report.settings.get("strategy")
    if not isinstance(told, dict):
        return []
    drafts = f" and {told['drafts']} drafts" if told["drafts"] else ""
    took = f"{report.seconds['sampling and scoring']} s"
    return [f"{told['name']}: {told['pictures']} images{drafts} in {took}; ended as {told['ended']}"]
