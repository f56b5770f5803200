"""``abe-rerank generate``: draw N candidates, rank them, write the run folder, say which was picked."""

from __future__ import annotations

import shlex
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from abe_rerank.cli.loading import load_models
from abe_rerank.cli.terminal import cosine, note, say
from abe_rerank.errors import AbeRerankError
from abe_rerank.runs.new_folder import default_folder, new_run_folder
from abe_rerank.text import table

if TYPE_CHECKING:
    from abe_rerank.drawing.pipelines import Pipeline
    from abe_rerank.drawing.sampling import Sampling
    from abe_rerank.reranker import Reranker
    from abe_rerank.runs.report_record import Commands, Report
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
    allow_pickle: bool = False


@dataclass(frozen=True)
class _Run:
    """A request with what carried it out; ``seconds`` fills up as it goes on."""

    request: Request
    out: Path
    started: datetime
    pipeline: Pipeline
    reranker: Reranker
    warnings: tuple[str, ...]
    seconds: dict[str, float]


def generate(request: Request) -> None:
    """Run a request and print its table; the run folder is written whole or not at all.

    Raises UsageError for input that cannot be used, AbeRerankError if loading, drawing or scoring everything fails.
    """
    from abe_rerank.report.folder import write_run
    from abe_rerank.reranker import as_spec, prompt_warnings, rounding_warning

    started = datetime.now().astimezone()
    spec = as_spec(request.prompt)
    out = request.out or default_folder(request.prompt, started)
    seconds: dict[str, float] = {}
    with new_run_folder(out) as folder:
        with _timed(seconds, "loading"):
            pipeline, reranker = load_models(
                request.model,
                request.backbone,
                request.scorer,
                request.device,
                request.dtype,
                request.image_size,
                allow_pickle=request.allow_pickle,
            )
        warnings = prompt_warnings(spec.prompt, reranker.scorer.backbone, pipeline)
        for warning in warnings:
            note(f"warning: {warning}")
        with _timed(seconds, "sampling and scoring"):
            ranking = reranker.generate_from(pipeline, spec, request.sampling, progress=True)
        if close := rounding_warning([c.score.value for c in ranking.candidates], reranker.scorer.backbone):
            warnings.append(close)
            note(f"warning: {close}")
        report = _report(_Run(request, out, started, pipeline, reranker, tuple(warnings), seconds), ranking)
        write_run(folder, report, [candidate.image for candidate in ranking.candidates], linked=request.assets)
    say(ranking_table(ranking))
    say(_verdict(ranking, out))


def ranking_table(ranking: Ranking) -> str:
    """Rank, seed, score, and margin and verdict of each pair, as text."""
    pairs = [f"{attribute} {thing}" for attribute, thing in ranking.spec.pairs]
    rows = []
    for rank, candidate in enumerate(ranking.candidates, start=1):
        score = candidate.score
        cells = [f"{cosine(pair.margin)} {pair.verdict}" for pair in score.pairs] or ["-"] * len(pairs)
        rows.append(
            [str(rank), str(candidate.seed), cosine(score.value) if score.value is not None else "unscored", *cells]
        )
    return table(["rank", "seed", "score", *pairs], rows)


def _verdict(ranking: Ranking, out: Path) -> str:
    from abe_rerank.report.sentences import status_line
    from abe_rerank.runs.build import score_record

    if ranking.candidates[0].score.value is None:
        raise AbeRerankError(
            f"no image could be scored ({ranking.candidates[0].score.reason}); the images are in {out}"
        )
    best = ranking.best
    line = status_line(score_record(best.score))
    return f"picked seed {best.seed}: {line}\n{out / 'best.png'}\n{out / 'report.html'}"


def _report(run: _Run, ranking: Ranking) -> Report:
    from abe_rerank.runs.build import RunFacts, backbone_record, build_report, pipeline_record

    request, pipeline = run.request, run.pipeline
    facts = RunFacts(
        text_to_image=pipeline_record(pipeline, request.model or "built-in"),
        backbone=backbone_record(run.reranker.scorer.backbone, request.backbone or "built-in"),
        commands=_commands(request, ranking, run.out),
        created=run.started,
        seconds=run.seconds,
        warnings=run.warnings,
    )
    settings = ranking.settings | {"device": str(pipeline.device), "dtype": str(pipeline.dtype).removeprefix("torch.")}
    if request.allow_pickle:
        settings["allow_pickle"] = True
    return build_report(_with_settings(ranking, settings), facts)


def _with_settings(ranking: Ranking, settings: dict[str, object]) -> Ranking:
    from dataclasses import replace

    return replace(ranking, settings=settings)


def _commands(request: Request, ranking: Ranking, out: Path) -> Commands:
    """The command that was run, the one that draws the winner again (at the same batch size, to the bit), and one that
    scores the images again."""
    from abe_rerank.runs.report_record import Commands

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
    given += ["--allow-pickle"] if request.allow_pickle else []
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
    words += ["--allow-pickle"] if request.allow_pickle else []
    return shlex.join([*words, "--", request.prompt] if request.prompt.startswith("-") else [*words, request.prompt])


@contextmanager
def _timed(seconds: dict[str, float], what: str) -> Iterator[None]:
    start = time.perf_counter()
    yield
    seconds[what] = time.perf_counter() - start
