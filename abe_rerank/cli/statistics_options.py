"""The commands ``abe-rerank summarize`` and ``abe-rerank compare``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from abe_rerank.cli.options import AsJson

Format = Annotated[
    str | None, typer.Option("--format", help="table, json, csv, markdown or latex.", show_default="table")
]


def summarize(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN...", help="Folders that evaluate has written.")],
    form: Format = None,
    as_json: AsJson = False,
) -> None:
    """What evaluation runs found, by category: first image, mean, picked, best of N, pairs bound, judge and oracle."""
    from abe_rerank.cli.statistics import summarize as run

    run(runs, form, as_json)


def compare(
    run_a: Annotated[Path, typer.Argument(metavar="RUN_A", help="A folder that evaluate has written.")],
    run_b: Annotated[Path, typer.Argument(metavar="RUN_B", help="The one to compare with it.")],
    metric: Annotated[
        str,
        typer.Option(help="first, mean or picked (scores); bound, judge or oracle, or these with -first or -picked."),
    ] = "mean",
    top: Annotated[int, typer.Option(help="How many of the prompts that differ most to show.", min=0)] = 10,
    form: Format = None,
    as_json: AsJson = False,
) -> None:
    """How run B differs from run A, paired by prompt, with interval and p-value, and where most."""
    from abe_rerank.cli.statistics import compare as run

    run(run_a, run_b, metric, top, form, as_json)
