"""The commands ``abe-rerank benchmark ...``: measure the parts of the package."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from abe_rerank.cli.loading import quiet_libraries
from abe_rerank.cli.options import AsJson, Backbone, Device, GroupedCommand, ImageSize
from abe_rerank.cli.terminal import say, say_json
from abe_rerank.errors import UsageError

MEASURE = "What to measure"

app = typer.Typer(help="Measure the parts of the package.", rich_markup_mode=None)


@app.command("parser", cls=GroupedCommand)
def parser_benchmark(
    data: Annotated[
        Path | None,
        typer.Option(
            help="Folder of the gold files.", show_default="../shared/data beside the checkout", rich_help_panel=MEASURE
        ),
    ] = None,
    split: Annotated[str, typer.Option(help="report or dev.", rich_help_panel=MEASURE)] = "report",
    as_json: AsJson = False,
) -> None:
    """How well the parser's pairs agree with gold files, and how fast it is."""
    from abe_rerank.benchmarks.checkout.parser_agreement import main

    if split not in ("report", "dev"):
        raise UsageError(f"unknown split {split!r}; choose report or dev")
    main(as_json, data, "dev" if split == "dev" else "report")


@app.command(cls=GroupedCommand)
def binding(
    scenes: Annotated[int, typer.Option(help="How many scenes of each task.", min=2, rich_help_panel=MEASURE)] = 300,
    scenes_from: Annotated[
        str,
        typer.Option(
            help="shapes (the built-in models' own world), flat (clip art) or solids (ray-cast, 3-D).",
            rich_help_panel=MEASURE,
        ),
    ] = "shapes",
    ablate: Annotated[
        bool, typer.Option(help="Measure ABE with each of its parts taken away, too.", rich_help_panel=MEASURE)
    ] = True,
    form: Annotated[
        str | None,
        typer.Option(
            "--format",
            help="A public benchmark instead: aro, sugarcrepe, winoground or abc6k.",
            rich_help_panel=MEASURE,
        ),
    ] = None,
    data: Annotated[
        Path | None, typer.Option(help="The folder of that benchmark's own files.", rich_help_panel=MEASURE)
    ] = None,
    backbone: Backbone = None,
    device: Device = None,
    image_size: ImageSize = None,
    as_json: AsJson = False,
) -> None:
    """Whether the scorer puts attributes on the right objects, and what each of its parts adds."""
    if (form is None) != (data is None):
        raise UsageError("--format and --data go together: the name of a public benchmark and the folder of its files")
    quiet_libraries()
    from abe_rerank.backbones import load_backbone
    from abe_rerank.benchmarks.binding import main

    public = None if form is None or data is None else (form, data)
    loaded = load_backbone(backbone, device, image_size=image_size)
    found = main(loaded, scenes, data=public, ablate=ablate, json_output=as_json, scenes_from=scenes_from)
    (say_json if as_json else say)(found)


@app.command(cls=GroupedCommand)
def oracle(
    scenes: Annotated[
        int, typer.Option(help="How many scenes for each number of objects.", min=2, rich_help_panel=MEASURE)
    ] = 1000,
    as_json: AsJson = False,
) -> None:
    """How exact the judge of the shapes world is, on rendered scenes and against labels given by eye."""
    from abe_rerank.benchmarks.checkout.oracle_agreement import main

    main(as_json, scenes)


@app.command("backbone", cls=GroupedCommand)
def backbone_benchmark(
    scenes: Annotated[
        int, typer.Option(help="How many scenes for each number of objects.", min=2, rich_help_panel=MEASURE)
    ] = 400,
    backbone: Backbone = None,
    device: Device = None,
    as_json: AsJson = False,
) -> None:
    """How well a CLIP-like model reads shapes: attributes and swaps by the global score, pointing by the patches."""
    quiet_libraries()
    from abe_rerank.benchmarks.checkout.backbone_reading import main

    found = main(backbone, scenes, device, as_json)
    (say_json if as_json else say)(found)
