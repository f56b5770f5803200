"""The command line: the commands put together, errors as one line, exit codes.

Nothing heavy is imported before a command runs. Exit codes: 0 done, 1 failure, 2 input that cannot be used, 130
interrupted (SIGINT), 143 stopped (SIGTERM); either way what was begun is cleared up first.
"""

from __future__ import annotations

import errno
import logging
import os
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Annotated

import typer

from abe_rerank import __version__
from abe_rerank.cli import benchmark
from abe_rerank.cli.compare import compare
from abe_rerank.cli.completing import joined_colons
from abe_rerank.cli.doctor import doctor
from abe_rerank.cli.evaluate import evaluate
from abe_rerank.cli.generate import generate
from abe_rerank.cli.options import GroupedCommand
from abe_rerank.cli.page import page
from abe_rerank.cli.parse import parse
from abe_rerank.cli.report import report
from abe_rerank.cli.score import score
from abe_rerank.cli.show import show
from abe_rerank.cli.stopping import InterruptedRunError
from abe_rerank.cli.summarize import summarize
from abe_rerank.cli.terminal import warnings_as_notes
from abe_rerank.cli.tune import tune
from abe_rerank.errors import AbeRerankError, UsageError
from abe_rerank.files import printable

app = typer.Typer(
    help="Best-of-N for text-to-image models by attribute binding, with a report of which attribute sits where.",
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
for command in (generate, score, parse, show, report, evaluate, summarize, compare, doctor, tune):
    app.command(cls=GroupedCommand)(command)
app.command("app", cls=GroupedCommand)(page)
app.add_typer(benchmark.app, name="benchmark")


@app.callback(invoke_without_command=True)
def options(
    version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks and the libraries' logs.")] = False,
) -> None:
    """Best-of-N for text-to-image models by attribute binding, with a report of which attribute sits where."""
    if version:
        typer.echo(f"abe-rerank {__version__}")
        raise typer.Exit


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command line and exit with its code."""
    words = list(sys.argv[1:] if argv is None else argv) or ["--help"]
    end = words.index("--") if "--" in words else len(words)
    debug = "--debug" in words[:end]
    if debug:
        words = [word for word in words[:end] if word != "--debug"] + words[end:]
        logging.basicConfig(level=logging.INFO)
        logging.getLogger("abe_rerank").setLevel(logging.DEBUG)
    if sys.stderr is None:  # closed by who started this
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 - open to the end
    with _stoppable(), joined_colons():
        code = _run(words, debug)
    sys.exit(code)


@contextmanager
def _stoppable() -> Iterator[None]:
    """SIGTERM ends the command with code 143, as an exception does: temporary files and folders are removed."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(*_: object) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # a second one does not break off the clearing up
        sys.exit(143)

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _run(words: list[str], debug: bool) -> int:
    """The exit code of a command; every error becomes one line on stderr, with a traceback first in debugging."""
    try:
        with warnings_as_notes():
            code = app(args=words, prog_name="abe-rerank", standalone_mode=False)
    except (Exception, KeyboardInterrupt) as error:
        message, code = _described(error)
        if debug:
            import traceback

            traceback.print_exc()
        if message:
            sys.stderr.write(f"abe-rerank: {message}\n")
    return code if isinstance(code, int) else 0


def _described(error: BaseException) -> tuple[str, int]:
    """One line for an error, and the exit code."""
    if isinstance(error, UsageError):
        return f"error: {_one_line(str(error))}", 2
    if isinstance(error, InterruptedRunError):
        return f"interrupted: {_one_line(str(error))}", error.code
    if isinstance(error, AbeRerankError):
        return f"error: {_one_line(str(error))}", 1
    if isinstance(error, (typer.Abort, KeyboardInterrupt)):
        return "interrupted", 130
    if isinstance(error, BrokenPipeError):
        return "", 1
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"error: cannot write: {error.strerror}; check the free space", 1
    if isinstance(error, OSError) and error.filename is not None:  # what is on a disk may change at any moment
        what = f"{error.filename} cannot be read or written: {error.strerror}"
        return f"error: {_one_line(what)}; check that it is there, and its permissions", 1
    if isinstance(error, MemoryError):
        return "error: out of memory; use a smaller --image-size or --batch-size, or fewer images at once", 1
    if hasattr(error, "format_message") and hasattr(error, "exit_code"):  # typer's own, whichever click it is built on
        return f"error: {_one_line(error.format_message(), 300).rstrip('.')}; see --help", int(error.exit_code)
    what = f"unexpected {type(error).__name__}: {_one_line(str(error))}"
    return f"{what}; this is a bug in abe-rerank: please report it with what the same command prints with --debug", 1


def _one_line(text: str, most: int = 1200) -> str:
    """The text without line breaks and tabs, and with nothing that could steer a terminal; of a longer one (some names
    and words that were typed are) both ends."""
    line = printable(" ".join(text.split()))
    return line if len(line) <= most else f"{line[: most // 2]} ... {line[-most // 2 :]}"
