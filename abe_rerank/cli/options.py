"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from abe_rerank import scoring

Prompt = Annotated[str, typer.Argument(metavar="PROMPT", help="What the image should show.")]
Model = Annotated[
    str | None, typer.Option(help="Text-to-image model: a diffusers folder or hub id.", show_default="the built-in one")
]
Backbone = Annotated[
    str | None, typer.Option(help="CLIP-like model: a transformers folder or hub id.", show_default="the built-in one")
]
Scorer = Annotated[str, typer.Option(help=f"{scoring.choices()}.")]
Device = Annotated[str | None, typer.Option(help="cpu, cuda, cuda:1, ...", show_default="the GPU if there is one")]
Dtype = Annotated[
    str | None, typer.Option(help="float32, float16 or bfloat16.", show_default="float16 on a GPU, else float32")
]
ImageSize = Annotated[
    str | None,
    typer.Option(
        help="Size at which the backbone sees images: 144, or 96x144 (height x width).", show_default="its own"
    ),
]
AllowPickle = Annotated[
    bool,
    typer.Option("--allow-pickle", help="Read weights from pickle files too; only for models whose maker you trust."),
]
Count = Annotated[int, typer.Option("--n", "-n", help="How many images to draw for a prompt.")]
Seed = Annotated[int, typer.Option(help="Seed of the first image; image k has seed + k.")]
BatchSize = Annotated[int, typer.Option(help="Images drawn at once.")]
Steps = Annotated[int | None, typer.Option(help="Denoising steps.", show_default="the model's own")]
Guidance = Annotated[float | None, typer.Option(help="Guidance scale.", show_default="the model's own")]
Run = Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a run.")]
Assets = Annotated[bool, typer.Option("--assets", help="Let report.html name its images, not hold them.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
