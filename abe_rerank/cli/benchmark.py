"""The commands ``abe-rerank benchmark ...``. An installed wheel offers those whose code is in it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from abe_rerank.benchmarks import in_checkout, scene_sources
from abe_rerank.benchmarks.cases import case_formats
from abe_rerank.cli.options import (
    AsJson,
    Backbone,
    BatchSize,
    Count,
    Device,
    Dtype,
    Guidance,
    ImageSize,
    Model,
    Scorer,
    Seed,
    Steps,
)
from abe_rerank.errors import UsageError

app = typer.Typer(help="Measure the parts of the package.", rich_markup_mode=None)


def checkout_command(name: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Offer a command whose code does not ship in the wheel, only where there is a checkout."""
    return app.command(name) if in_checkout() else lambda function: function


@app.command("best-of-n")
def best_of_n(
    prompts: Annotated[
        str, typer.Option(help="A suite's name, or a file of prompts as evaluate --suite takes it.")
    ] = "shapes:colour-2",
    limit: Annotated[int | None, typer.Option(help="Use only the first prompts.", min=1)] = None,
    n: Count = 8,
    seed: Seed = 0,
    model: Model = None,
    backbone: Backbone = None,
    scorer: Scorer = "abe",
    steps: Steps = None,
    guidance: Guidance = None,
    batch_size: BatchSize = 8,
    device: Device = None,
    dtype: Dtype = None,
    image_size: ImageSize = None,
    as_json: AsJson = False,
) -> None:
    """How often the picked image is right by the oracle of the shapes world, against the first and a random one."""
    from abe_rerank.cli.best_of_n import Models
    from abe_rerank.cli.best_of_n import best_of_n as run
    from abe_rerank.drawing.sampling import Sampling

    sampling = Sampling(n=n, seed=seed, batch_size=batch_size, steps=steps, guidance=guidance)
    run(prompts, limit, sampling, Models(model, backbone, scorer, device, dtype, image_size), as_json)


@checkout_command("parser")
def parser_benchmark(
    data: Annotated[
        Path | None, typer.Option(help="Folder of the gold files.", show_default="../shared/data beside the checkout")
    ] = None,
    split: Annotated[str, typer.Option(help="report, or dev.")] = "report",
    as_json: AsJson = False,
) -> None:
    """How well the parser's pairs agree with gold files, and how fast it is."""
    from abe_rerank.benchmarks.checkout.parser_agreement import main as run
    from abe_rerank.cli.terminal import say

    if split not in ("report", "dev"):
        raise UsageError(f"unknown split {split!r}; choose report or dev")
    say(run(as_json, data, "dev" if split == "dev" else "report"))


@app.command()
def binding(
    backbone: Backbone = None,
    scenes: Annotated[int, typer.Option(help="Scenes of each task.", min=2)] = 300,
    scenes_from: Annotated[
        str, typer.Option(help=", ".join(f"{name} ({what})" for name, what in scene_sources.offered().items()) + ".")
    ] = scene_sources.OWN,
    ablate: Annotated[bool, typer.Option(help="Also measure ABE with each of its parts taken away.")] = True,
    form: Annotated[
        str | None, typer.Option("--format", help=f"A public benchmark instead: {', '.join(case_formats())}.")
    ] = None,
    data: Annotated[Path | None, typer.Option(help="The folder of that benchmark's own files.")] = None,
    device: Device = None,
    image_size: ImageSize = None,
    as_json: AsJson = False,
) -> None:
    """Does the scorer bind, and does each of its parts earn its place?"""
    from abe_rerank.backbones import load_backbone
    from abe_rerank.benchmarks.binding_benchmark import main as run
    from abe_rerank.cli.loading import quiet_libraries
    from abe_rerank.cli.terminal import say

    if (form is None) != (data is None):
        raise UsageError("--format and --data go together: the name of a public benchmark and the folder of its files")
    quiet_libraries()
    public = None if form is None or data is None else (form, data)
    loaded = load_backbone(backbone, device, image_size=image_size)
    say(run(loaded, scenes, data=public, ablate=ablate, json_output=as_json, scenes_from=scenes_from))


@checkout_command("oracle")
def oracle(
    scenes: Annotated[int, typer.Option(help="Scenes for each number of objects.", min=2)] = 1000,
    as_json: AsJson = False,
) -> None:
    """How exact the judge of the shapes world is, on rendered scenes and against labels given by eye."""
    from abe_rerank.benchmarks.checkout.oracle_agreement import main as run
    from abe_rerank.cli.terminal import say

    say(run(as_json, scenes))


@checkout_command("backbone")
def backbone_benchmark(
    backbone: Backbone = None,
    scenes: Annotated[int, typer.Option(help="Scenes for each number of objects.", min=2)] = 400,
    device: Device = None,
    as_json: AsJson = False,
) -> None:
    """How well a CLIP-like model reads shapes: attributes and swaps by the global score, pointing by the patches."""
    from abe_rerank.benchmarks.checkout.backbone_reading import main as run
    from abe_rerank.cli.loading import quiet_libraries
    from abe_rerank.cli.terminal import say

    quiet_libraries()
    say(run(backbone, scenes, device, as_json))
