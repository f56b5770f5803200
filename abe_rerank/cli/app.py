"""The command line: options in, one call into :mod:`abe_rerank.cli`, errors as one line.

Nothing heavy is imported before a command runs. Exit codes: 0 done, 1 failure, 2 input that cannot be used, 130
interrupted.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from abe_rerank import __version__
from abe_rerank.cli.benchmark import app as benchmarks
from abe_rerank.cli.doctor import doctor
from abe_rerank.cli.evaluate_options import evaluate
from abe_rerank.cli.options import (
    AsJson,
    Assets,
    Backbone,
    BatchSize,
    Count,
    Device,
    Dtype,
    Guidance,
    ImageSize,
    Model,
    Prompt,
    Run,
    Scorer,
    Seed,
    Steps,
)
from abe_rerank.cli.statistics_options import compare, summarize
from abe_rerank.cli.terminal import warnings_as_notes
from abe_rerank.cli.tune import tune
from abe_rerank.errors import AbeRerankError, UsageError

app = typer.Typer(
    help="Best-of-N for text-to-image models by attribute binding, with a report of which attribute sits where.",
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.add_typer(benchmarks, name="benchmark")
app.command()(evaluate)


@app.callback(invoke_without_command=True)
def options(
    version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks and the libraries' logs.")] = False,
) -> None:
    """Best-of-N for text-to-image models by attribute binding, with a report of which attribute sits where."""
    if version:
        typer.echo(f"abe-rerank {__version__}")
        raise typer.Exit


@app.command()
def generate(
    prompt: Prompt,
    n: Count = 8,
    seed: Seed = 0,
    model: Model = None,
    backbone: Backbone = None,
    scorer: Scorer = "abe",
    out: Annotated[
        Path | None, typer.Option(help="New or empty folder for the results.", show_default="runs/<time>-<words>")
    ] = None,
    steps: Steps = None,
    guidance: Guidance = None,
    batch_size: BatchSize = 1,
    device: Device = None,
    dtype: Dtype = None,
    image_size: ImageSize = None,
    assets: Assets = False,
) -> None:
    """Draw N images of PROMPT, score each attribute on its object, pick the best-bound image and say why."""
    from abe_rerank.cli.generate import Request
    from abe_rerank.cli.generate import generate as run
    from abe_rerank.drawing.sampling import Sampling

    sampling = Sampling(n=n, seed=seed, batch_size=batch_size, steps=steps, guidance=guidance)
    run(Request(prompt, sampling, model, backbone, scorer, out, device, dtype, image_size, assets))


@app.command()
def parse(prompt: Prompt, as_json: AsJson = False) -> None:
    """Show the objects, attributes, counts and relations that are read in PROMPT."""
    from abe_rerank.cli.parse import parse as run

    run(prompt, as_json)


@app.command()
def score(
    images: Annotated[list[Path] | None, typer.Argument(help="Image files, or folders of them.")] = None,
    prompt: Annotated[str | None, typer.Option(help="What the images should show.")] = None,
    manifest: Annotated[Path | None, typer.Option(help="CSV or JSONL of image and prompt, instead.")] = None,
    top_k: Annotated[int | None, typer.Option(help="Show only the best K of each prompt.", min=1)] = None,
    backbone: Backbone = None,
    scorer: Scorer = "abe",
    device: Device = None,
    dtype: Dtype = None,
    image_size: ImageSize = None,
    as_json: AsJson = False,
) -> None:
    """Score images that exist already, best first."""
    from abe_rerank.cli.loading import load_reranker
    from abe_rerank.cli.score import rows_of
    from abe_rerank.cli.score import score as run

    rows = rows_of(images or [], prompt, manifest)
    run(load_reranker(backbone, scorer, device, dtype, image_size), rows, top_k, as_json)


@app.command()
def calibrate(
    backbone: Backbone = None,
    rows: Annotated[
        Path | None,
        typer.Option(help="CSV or JSONL of image, prompt, bound.", show_default="scenes of the shapes world"),
    ] = None,
    device: Device = None,
    image_size: ImageSize = None,
) -> None:
    """Fit the probabilities of a backbone to labelled rows, and keep them beside it."""
    from abe_rerank.benchmarks.labelled_rows import main as run
    from abe_rerank.cli.loading import quiet_libraries
    from abe_rerank.cli.terminal import say

    quiet_libraries()
    say(run(backbone, rows, device, image_size))


@app.command()
def report(
    folder: Run,
    against: Annotated[
        Path | None, typer.Option(metavar="RUN_B", help="Put this evaluation side by side with the first.")
    ] = None,
    assets: Assets = False,
) -> None:
    """Make the page and the figures of a run again from what is stored, with no model."""
    from abe_rerank.cli.report import report as run

    run(folder, against, assets)


@app.command()
def show(
    folder: Run,
    rank: Annotated[int | None, typer.Option(help="Which image, best is 1.", show_default="the picked one")] = None,
    plain: Annotated[bool, typer.Option("--plain", help="Words only, no picture.")] = False,
) -> None:
    """Show a run in the terminal: the picture, what was found in it, all candidates."""
    from abe_rerank.cli.show import show as run

    run(folder, rank, plain)


app.command()(tune)
app.command()(summarize)
app.command()(compare)
app.command()(doctor)


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command line and exit with its code."""
    words = list(sys.argv[1:] if argv is None else argv) or ["--help"]
    end = words.index("--") if "--" in words else len(words)
    debug = "--debug" in words[:end]
    if debug:
        words = [word for word in words[:end] if word != "--debug"] + words[end:]
        logging.basicConfig(level=logging.INFO)
        logging.getLogger("abe_rerank").setLevel(logging.DEBUG)
    sys.exit(_run(words, debug))


def _run(words: list[str], debug: bool) -> int:
    """The exit code of a command; every error becomes one line on stderr, with a traceback first in debugging."""
    try:
        with warnings_as_notes():
            code = app(args=words, prog_name="abe-rerank", standalone_mode=False)
    except Exception as error:
        message, code = _described(error)
        if debug:
            import traceback

            traceback.print_exc()
        if message:
            sys.stderr.write(f"abe-rerank: {message}\n")
    return code if isinstance(code, int) else 0


def _described(error: Exception) -> tuple[str, int]:
    """One line for an error, and the exit code."""
    if isinstance(error, UsageError):
        return f"error: {_one_line(str(error))}", 2
    if isinstance(error, AbeRerankError):
        return f"error: {_one_line(str(error))}", 1
    if isinstance(error, typer.Abort):
        return "interrupted", 130
    if isinstance(error, BrokenPipeError):
        return "", 1
    if hasattr(error, "format_message") and hasattr(error, "exit_code"):  # typer's own, whichever click it is built on
        return f"error: {_one_line(error.format_message()).rstrip('.')}; see --help", int(error.exit_code)
    return f"unexpected {type(error).__name__}: {_one_line(str(error))}; --debug shows the traceback", 1


def _one_line(text: str) -> str:
    return "".join(c if c.isprintable() else " " for c in text).strip()
