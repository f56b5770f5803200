"""``abe-rerank compare``: how one run of evaluate differs from another."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from abe_rerank.cli import completing
from abe_rerank.cli.options import AsJson, Format
from abe_rerank.cli.summarize import format_of, say_in


def compare(
    run_a: Annotated[
        Path,
        typer.Argument(metavar="RUN_A", help="A folder that evaluate has written.", autocompletion=completing.runs),
    ],
    run_b: Annotated[
        Path, typer.Argument(metavar="RUN_B", help="The one to compare with it.", autocompletion=completing.runs)
    ],
    metric: Annotated[
        str,
        typer.Option(
            help="What to compare: the score of the first or picked image or the mean of all (first, picked, mean); or "
            "bound, judge or oracle, as a mean of all images, or of one of them (bound-first, bound-picked, ...)."
        ),
    ] = "mean",
    top: Annotated[int, typer.Option(help="How many of the prompts that differ most to show.", min=0)] = 10,
    form: Format = None,
    as_json: AsJson = False,
) -> None:
    """How run B differs from run A, prompt by prompt, with interval and p-value, and where most."""
    from abe_rerank.evaluation import comparison
    from abe_rerank.evaluation.summary_tables import show_comparison

    chosen = format_of(form, as_json)
    say_in(chosen, show_comparison(comparison.compare(run_a, run_b, metric, top), chosen))
