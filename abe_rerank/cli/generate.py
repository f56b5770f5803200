"""``abe-rerank generate``: draw N candidates, rank them, write the run folder, say which was picked."""

from __future__ import annotations

import shlex
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from abe_rerank.cli.loading import load_models
from abe_rerank.cli.terminal import cosine, note, say
from abe_rerank.errors import AbeRerankError
from abe_rerank.runs.folders import default_folder, new_run_folder
from abe_rerank.text import table

if TYPE_CHECKING:
    from abe_rerank.drawing.sampling import Sampling
    from abe_rerank.runs.generated import Commands, Report
    from abe_rerank.types import Ranking


@dataclass(frozen=True)
class Request:
    """What the command line asks for."""

    prompt: str
    sampling: Sampling
    model: str | None = None
    backbone: str | None = None
    scorer: str = "abe"
    out: Path | None = None
    device: str | None = None
    dtype: str | None = None
    image_size: str | None = None
    assets: bool = False


def generate(request: Request) -> None:
    """Run a request and print its table; the run folder is written whole or not at all.

    Raises UsageError for input that cannot be used, AbeRerankError if loading, drawing or scoring everything fails.
    """
    from abe_rerank.drawing.prompt_fit import prompt_warnings
    from abe_rerank.drawing.sampling import draw, settle
    from abe_rerank.report.views import write_views
    from abe_rerank.reranker import as_spec
    from abe_rerank.runs.generated import RunFacts, build_report
    from abe_rerank.runs.generated_folder import write_generated
    from abe_rerank.runs.provenance import backbone_record, pipeline_record
    from abe_rerank.scoring.ranking import rank, rounding_warning

    started = datetime.now().astimezone()
    seconds: dict[str, float] = {}
    spec = as_spec(request.prompt)
    out = request.out or default_folder(request.prompt, started)
    with new_run_folder(out) as folder:
        with _timed(seconds, "loading"):
            pipeline, reranker = load_models(
                request.model, request.backbone, request.scorer, request.device, request.dtype, request.image_size
            )
        scorer = reranker.scorer
        warnings = prompt_warnings([spec.prompt], scorer.backbone, pipeline)
        _warn(warnings)
        with _timed(seconds, "sampling and scoring"):
            samples = draw(pipeline, spec.prompt, settle(pipeline, request.sampling), progress=True)
            ranking = rank(scorer, spec, samples, progress=True)
        close = rounding_warning([c.score.value for c in ranking.candidates], scorer.backbone)
        _warn([close] if close else [])
        facts = RunFacts(
            commands=_commands(request, ranking, out),
            backbone=backbone_record(scorer.backbone, request.backbone or "built-in"),
            text_to_image=pipeline_record(pipeline, request.model or "built-in"),
            created=started,
            seconds=seconds,
            warnings=(*warnings, *([close] if close else [])),
        )
        report = build_report(ranking, facts)
        images = [candidate.image for candidate in ranking.candidates]
        write_generated(folder, report, images)
        write_views(folder, report, images, linked=request.assets)
    say(report_table(report))
    say(_verdict(report, out))


def _warn(warnings: Iterable[str]) -> None:
    for warning in warnings:
        note(f"warning: {warning}")


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


def _verdict(report: Report, out: Path) -> str:
    from abe_rerank.report.sentences import status_line

    best = report.candidates[0]
    if report.picked is None:
        raise AbeRerankError(f"no image could be scored ({best.score.reason}); the images are in {out}")
    return f"picked seed {best.seed}: {status_line(best.score)}\n{out / 'best.png'}\n{out / 'report.html'}"


def _commands(request: Request, ranking: Ranking, out: Path) -> Commands:
    """The command that was run, the one that draws the winner again (at the same batch size, to the bit), and one that
    scores the images again."""
    from abe_rerank.runs.generated import Commands

    best = ranking.candidates[0]
    redraw = None
    if best.score.value is not None and best.seed is not None:
        redraw = _command(request, n=1, seed=best.seed)
    run = _command(request, request.sampling.n, request.sampling.seed)
    return Commands(run=run, redraw=redraw, rescore=_rescore(request, out))


def _rescore(request: Request, out: Path) -> str:
    options = {
        "--prompt": request.prompt,
        "--backbone": request.backbone,
        "--scorer": None if request.scorer == "abe" else request.scorer,
        "--device": request.device,
        "--dtype": request.dtype,
        "--image-size": request.image_size,
    }
    given = [f"{name}={value}" for name, value in options.items() if value is not None]
    return shlex.join(["abe-rerank", "score", str(out / "candidates"), *given])


def _command(request: Request, n: int, seed: int) -> str:
    sampling = request.sampling
    options = {
        "--n": n,
        "--seed": seed,
        "--batch-size": sampling.batch_size,
        "--steps": sampling.steps,
        "--guidance": sampling.guidance,
        "--model": request.model,
        "--backbone": request.backbone,
        "--scorer": None if request.scorer == "abe" else request.scorer,
        "--device": request.device,
        "--dtype": request.dtype,
        "--image-size": request.image_size,
    }
    words = ["abe-rerank", "generate"]
    for name, value in options.items():
        words += [] if value is None else [name, str(value)]
    return shlex.join([*words, "--", request.prompt] if request.prompt.startswith("-") else [*words, request.prompt])


@contextmanager
def _timed(seconds: dict[str, float], what: str) -> Iterator[None]:
    start = time.perf_counter()
    yield
    seconds[what] = time.perf_counter() - start
