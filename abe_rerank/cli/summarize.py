"""``abe-rerank summarize``: what runs of evaluate found, as a table, JSON, CSV, Markdown or LaTeX."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from abe_rerank.cli import completing
from abe_rerank.cli.options import AsJson, Format
from abe_rerank.cli.terminal import tell, warn
from abe_rerank.errors import UsageError

if TYPE_CHECKING:
    from abe_rerank.evaluation import tables


def summarize(
    runs: Annotated[
        list[Path],
        typer.Argument(metavar="RUN...", help="Folders that evaluate has written.", autocompletion=completing.runs),
    ],
    form: Format = None,
    as_json: AsJson = False,
) -> None:
    """What runs of evaluate found, by category: first image, mean, picked, best of N, pairs bound, judge and oracle."""
    from abe_rerank.evaluation.summary import gone_note, load, summary_of_all
    from abe_rerank.evaluation.summary_tables import show_summary

    chosen = format_of(form, as_json)
    loaded = [load(folder) for folder in runs]
    for line in filter(None, map(gone_note, loaded)):
        warn(line)
    say_in(chosen, show_summary(summary_of_all(loaded), chosen))


def format_of(form: str | None, as_json: bool) -> tables.Format:
    """The format that ``--format`` and ``--json`` ask for. Raises UsageError for an unknown one, or two."""
    from abe_rerank.evaluation.tables import FORMATS

    if as_json and form not in (None, "json"):
        raise UsageError(f"--json and --format {form} are two formats; choose one")
    wanted = "json" if as_json else form or "table"
    for known in FORMATS:
        if wanted == known:
            return known
    raise UsageError(f"unknown format {wanted!r}; choose from {', '.join(FORMATS)}")


def say_in(form: tables.Format, text: str) -> None:
    """Print a text that is in a format."""
    tell(text, form == "json")
