"""``abe-rerank tune``: search the settings of the ABE scorer that suit a backbone."""

from __future__ import annotations

from typing import Annotated

import typer

from abe_rerank.cli.options import Backbone


def tune(
    backbone: Backbone = None,
    scenes: Annotated[int, typer.Option(help="Scenes of each task.", min=1)] = 100,
    readouts: Annotated[
        list[str] | None, typer.Option(help="A patch readout to try; can be repeated.", show_default="the default one")
    ] = None,
    write: Annotated[bool, typer.Option("--write", help="Keep the best settings beside the backbone.")] = False,
) -> None:
    """Find the settings of the scorer abe that suit a backbone, on scenes of the shapes world."""
    from abe_rerank.benchmarks.tuning import main as run
    from abe_rerank.cli.loading import quiet_libraries
    from abe_rerank.cli.terminal import say

    quiet_libraries()
    say(run(backbone, scenes, readouts, write))
