"""``abe-rerank tune``: search the settings of the ABE scorer that suit a backbone."""

from __future__ import annotations

from typing import Annotated

import typer

from abe_rerank.cli.options import OUTPUT, SCORE, AllowPickle, Backbone
from abe_rerank.cli.terminal import quiet_libraries, say


def tune(
    scenes: Annotated[int, typer.Option(help="How many scenes of each task.", min=1, rich_help_panel=SCORE)] = 100,
    readouts: Annotated[
        list[str] | None,
        typer.Option(
            help="A patch readout to try; can be repeated.", show_default="the default one", rich_help_panel=SCORE
        ),
    ] = None,
    backbone: Backbone = None,
    allow_pickle: AllowPickle = False,
    write: Annotated[
        bool, typer.Option("--write", help="Keep the best settings beside the backbone.", rich_help_panel=OUTPUT)
    ] = False,
) -> None:
    """Find the settings of the scorer abe that suit a backbone, on scenes of the shapes world."""
    quiet_libraries()
    from abe_rerank.benchmarks.tuning import main

    say(main(backbone, scenes, readouts, write, allow_pickle))
