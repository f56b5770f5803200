"""``abe-rerank app``: the page on this machine, to type prompts, draw, score and look."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from abe_rerank.cli.options import OUTPUT, BackboneName, Device, Dtype, Model, Scorer
from abe_rerank.cli.terminal import quiet_libraries, say

WHERE = "Where the page is"


def page(
    model: Model = None,
    backbone: BackboneName = None,
    scorer: Scorer = "abe",
    device: Device = None,
    dtype: Dtype = None,
    runs: Annotated[
        Path, typer.Option(help="Folder in which each drawing becomes a run folder.", rich_help_panel=OUTPUT)
    ] = Path("runs"),
    port: Annotated[
        int | None,
        typer.Option(min=1, max=65535, show_default="the first free from 7860 on", rich_help_panel=WHERE),
    ] = None,
    host: Annotated[
        str,
        typer.Option(
            help="Address to listen at; all but this machine's own ask for a password.", rich_help_panel=WHERE
        ),
    ] = "127.0.0.1",
    share: Annotated[
        bool,
        typer.Option("--share", help="Ask Gradio for a public address too, with a password.", rich_help_panel=WHERE),
    ] = False,
    password: Annotated[
        str | None,
        typer.Option(
            envvar="ABE_RERANK_PASSWORD",
            help="Password of the user abe.",
            show_default="made anew where one is needed",
            rich_help_panel=WHERE,
        ),
    ] = None,
) -> None:
    """Open a page to type prompts, draw, score and look at pictures, on this machine (extra: app)."""
    from abe_rerank.backbones.devices import choose
    from abe_rerank.integrations.app.desk import Desk
    from abe_rerank.integrations.app.orders import Models
    from abe_rerank.integrations.app.server import Place, serve

    choose(device, dtype)  # what is not there is said before the page opens
    desk = Desk(runs, Models(model, backbone, scorer, device, dtype), quiet_libraries)
    serve(Place(host, port, share, password), desk, say)
