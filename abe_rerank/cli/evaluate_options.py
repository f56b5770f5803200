"""The command ``abe-rerank evaluate``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from abe_rerank.cli.options import (
    AllowPickle,
    Backbone,
    BatchSize,
    Device,
    Dtype,
    Guidance,
    ImageSize,
    Model,
    Scorer,
    Steps,
)
from abe_rerank.evaluation import layouts
from abe_rerank.suites import formats


def evaluate(
    suite: Annotated[
        str | None,
        typer.Option(
            help=f"A suite's name, or a file of prompts: {formats.titles()}.",
            show_default="shapes, or the prompts that --images names",
        ),
    ] = None,
    model: Model = None,
    images: Annotated[
        Path | None,
        typer.Option(help=f"Take these instead of drawing: {layouts.titles()}."),
    ] = None,
    n: Annotated[
        int | None, typer.Option("--n", "-n", min=1, help="Images of each prompt.", show_default="4, or all there are")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Image k (from 0) of every prompt has seed + k.")] = 0,
    limit: Annotated[int | None, typer.Option(help="Use only the first prompts.", min=1)] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Folder of the run; one that was begun is gone on with.",
            show_default="runs/<suite>-<digest of the other options>",
        ),
    ] = None,
    backbone: Backbone = None,
    scorer: Scorer = "abe",
    judge: Annotated[
        str | None, typer.Option(metavar="SCORER[:BACKBONE]", help="Another scorer that judges and does not pick.")
    ] = None,
    oracle: Annotated[
        bool | None,
        typer.Option(
            "--oracle/--no-oracle",
            help="Judge by the detector of the shapes world.",
            show_default="for the suite shapes",
        ),
    ] = None,
    steps: Steps = None,
    guidance: Guidance = None,
    batch_size: BatchSize = 1,
    device: Device = None,
    dtype: Dtype = None,
    image_size: ImageSize = None,
    allow_pickle: AllowPickle = False,
) -> None:
    """Say how well a text-to-image model binds: draw N images for each prompt of a suite, or take those that are there,
    and score them.

    Results are lines on the disk as they come: after a kill the same command goes on where it was. On many GPUs or
    machines with a folder in common: accelerate launch -m abe_rerank evaluate ...
    """
    from abe_rerank.cli.evaluate import Request
    from abe_rerank.cli.evaluate import evaluate as run

    run(
        Request(
            suite=suite,
            model=model,
            n=n,
            seed=seed,
            batch_size=batch_size,
            steps=steps,
            guidance=guidance,
            images=images,
            limit=limit,
            backbone=backbone,
            scorer=scorer,
            judge=judge,
            oracle=oracle,
            device=device,
            dtype=dtype,
            image_size=image_size,
            allow_pickle=allow_pickle,
            out=out,
        )
    )
