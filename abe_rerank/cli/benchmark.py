"""The commands ``abe-rerank benchmark ...``: measure the parts of the package.

An installed wheel offers those whose code is in it.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from abe_rerank.benchmarks import in_checkout, scene_sources
from abe_rerank.benchmarks.cases import case_formats
from abe_rerank.cli.asked import BackboneOptions, spread
from abe_rerank.cli.options import MOST_SCENES, AllowPickle, AsJson, BackboneName, Device, GroupedCommand, Model
from abe_rerank.cli.terminal import quiet_libraries, tell
from abe_rerank.errors import UsageError

MEASURE = "What to measure"

Scorers = Annotated[
    list[str] | None,
    typer.Option("--scorer", help="A scorer; can be repeated.", show_default="all", rich_help_panel=MEASURE),
]
CpuTime = Annotated[
    bool, typer.Option("--cpu-time", help="Count this process's own processor seconds.", rich_help_panel=MEASURE)
]
Averaged = Annotated[
    bool, typer.Option("--averaged", help="Pool it as power-clip's training does.", rich_help_panel=MEASURE)
]


def _many(what: str, least: int = 2) -> Any:
    """An option that says how many."""
    return typer.Option(help=f"How many {what}.", min=least, max=MOST_SCENES, rich_help_panel=MEASURE)


ScenesOfTask = Annotated[int, _many("scenes of each task")]
ScenesOfEach = Annotated[int, _many("scenes for each number of objects")]

app = typer.Typer(help="Measure the parts of the package.", rich_markup_mode=None)


def checkout_command(name: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Offer a command whose code does not ship in the wheel, only where there is a checkout."""
    return app.command(name, cls=GroupedCommand) if in_checkout() else lambda function: function


@checkout_command("parser")
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
    found = main(as_json, data, "dev" if split == "dev" else "report")
    tell(found, as_json)


@app.command(cls=GroupedCommand)
@spread
def binding(
    *,
    scenes: ScenesOfTask = 300,
    scenes_from: Annotated[
        str,
        typer.Option(
            help=", ".join(f"{name} ({what})" for name, what in scene_sources.offered().items()) + ".",
            rich_help_panel=MEASURE,
        ),
    ] = scene_sources.OWN,
    ablate: Annotated[
        bool, typer.Option(help="Measure ABE with each of its parts taken away, too.", rich_help_panel=MEASURE)
    ] = True,
    form: Annotated[
        str | None,
        typer.Option(
            "--format",
            help=f"A public benchmark instead: {', '.join(case_formats())}.",
            rich_help_panel=MEASURE,
        ),
    ] = None,
    data: Annotated[
        Path | None, typer.Option(help="The folder of that benchmark's own files.", rich_help_panel=MEASURE)
    ] = None,
    backbone: BackboneOptions,
    as_json: AsJson = False,
) -> None:
    """Whether the scorer puts attributes on the right objects, and what each of its parts adds."""
    if (form is None) != (data is None):
        raise UsageError("--format and --data go together: the name of a public benchmark and the folder of its files")
    quiet_libraries()
    from abe_rerank.benchmarks.binding_benchmark import main
    from abe_rerank.benchmarks.cases import read_cases

    public = None if form is None or data is None else list(read_cases(form, data))
    found = main(backbone.load(), scenes, data=public, ablate=ablate, json_output=as_json, scenes_from=scenes_from)
    tell(found, as_json)


@checkout_command("oracle")
def oracle(
    scenes: ScenesOfEach = 1000,
    as_json: AsJson = False,
) -> None:
    """How exact the judge of the shapes world is, on rendered scenes and against labels given by eye."""
    from abe_rerank.benchmarks.checkout.oracle_agreement import main

    found = main(as_json, scenes)
    tell(found, as_json)


@checkout_command("backbone")
def backbone_benchmark(
    scenes: ScenesOfEach = 400,
    backbone: BackboneName = None,
    device: Device = None,
    allow_pickle: AllowPickle = False,
    averaged: Averaged = False,
    as_json: AsJson = False,
) -> None:
    """How well a CLIP-like model reads shapes: zero-shot, attributes and swaps by the global score, pointing."""
    quiet_libraries()
    from abe_rerank.benchmarks.checkout.backbone_reading import main

    found = main(backbone, scenes, device, as_json, allow_pickle, averaged)
    tell(found, as_json)


@checkout_command("backbones")
def backbones(
    backbone: Annotated[
        list[str] | None,
        typer.Option(
            help="A folder or hub id; can be repeated.", show_default="the built-in one", rich_help_panel=MEASURE
        ),
    ] = None,
    scenes: ScenesOfTask = 100,
    device: Device = None,
    allow_pickle: AllowPickle = False,
    averaged: Averaged = False,
    as_json: AsJson = False,
) -> None:
    """What the scorers are worth on each of several backbones, tuned and untuned."""
    quiet_libraries()
    from abe_rerank.benchmarks.checkout import backbones_compared
    from abe_rerank.benchmarks.checkout.backbone_reading import load

    names: list[str | None] = [*backbone] if backbone else [None]
    found = [backbones_compared.compare(load(name, device, allow_pickle, averaged), scenes) for name in names]
    tell(backbones_compared.as_json(found) if as_json else backbones_compared.as_text(found), as_json)


@app.command("verdicts", cls=GroupedCommand)
@spread
def verdicts(
    *,
    scenes: Annotated[int, _many("scenes or pictures")] = 150,
    sources: Annotated[
        list[str] | None,
        typer.Option("--scenes-from", help="A source; can be repeated.", show_default="all", rich_help_panel=MEASURE),
    ] = None,
    relations: Annotated[
        bool, typer.Option("--relations", help="What is said of relations instead.", rich_help_panel=MEASURE)
    ] = False,
    backbone: BackboneOptions,
    as_json: AsJson = False,
) -> None:
    """What the verdicts on single pairs are worth, by what is true of a pair."""
    quiet_libraries()
    from abe_rerank.benchmarks import relations as of_relations
    from abe_rerank.benchmarks import verdicts as of_pairs
    from abe_rerank.scoring.abe import AbeScorer

    measure: Any = of_relations if relations else of_pairs
    known = dict(measure.SOURCES)
    if in_checkout():
        from abe_rerank.benchmarks.checkout import foreign_tasks as foreign

        own = {"flat": foreign.flat_questions, "solids": foreign.solids_questions}
        known |= {"flat": foreign.flat_pictures} if relations else own
    asked = sources or list(known)
    if unknown := [name for name in asked if name not in known]:
        raise UsageError(f"unknown scenes {unknown[0]!r}; choose from {', '.join(known)}")
    found = measure.main(AbeScorer(backbone.load()), scenes, {name: known[name] for name in asked}, as_json)
    tell(found, as_json)


@checkout_command("faults")
@spread
def faults(
    *,
    prompts: Annotated[int, _many("prompts of each kind")] = 60,
    pictures: Annotated[int, _many("of each prompt, 8, 16, ..", 8)] = 8,
    objects: Annotated[
        list[int] | None,
        typer.Option(
            help="How many objects a prompt has; can be repeated.",
            min=2,
            max=4,
            show_default="2 and 3",
            rich_help_panel=MEASURE,
        ),
    ] = None,
    scorers: Scorers = None,
    backbone: BackboneOptions,
    as_json: AsJson = False,
) -> None:
    """Best of N where what is wrong with each picture is known: how often each fault is picked."""
    quiet_libraries()
    from abe_rerank.benchmarks.checkout.faults import main
    from abe_rerank.drawing.pipelines import load_pipeline
    from abe_rerank.scoring.registry import make_scorer, names

    loaded = backbone.load()
    chosen = {name: make_scorer(name, loaded) for name in scorers or names()}
    pipeline = load_pipeline(None, loaded.device, loaded.dtype)
    found = main(pipeline, chosen, objects or (2, 3), prompts, as_json, pictures)
    tell(found, as_json)


@checkout_command("costs")
@spread
def costs(
    *,
    scorers: Scorers = None,
    backbone: BackboneOptions,
    as_json: AsJson = False,
) -> None:
    """What the scorers cost beside each other, and powerset alignment by its number of regions."""
    quiet_libraries()
    from abe_rerank.benchmarks.checkout.scorer_costs import main
    from abe_rerank.scoring.registry import make_scorer, names

    loaded = backbone.load()
    found = main({name: make_scorer(name, loaded) for name in scorers or names()}, as_json)
    tell(found, as_json)


@app.command("speed", cls=GroupedCommand)
@spread
def speed(
    *,
    rounds: Annotated[int, _many("rounds; one more warms up", 1)] = 5,
    cpu_time: CpuTime = False,
    model: Model = None,
    backbone: BackboneOptions,
    as_json: AsJson = False,
) -> None:
    """How long drawing, encoding the prompt, scoring, parsing and reporting take, and scoring beside others' ways."""
    quiet_libraries()
    from abe_rerank.backbones.hub import Hub
    from abe_rerank.benchmarks.speed import main
    from abe_rerank.drawing.pipelines import find_pipeline, load_pipeline
    from abe_rerank.scoring.registry import make_scorer, names
    from abe_rerank.suites import load_prompts

    find_pipeline(model, (), None, Hub(), allow_pickle=backbone.allow_pickle)
    loaded = backbone.load()
    pipeline = load_pipeline(model, loaded.device, loaded.dtype, allow_pickle=backbone.allow_pickle)
    pipeline.set_progress_bar_config(disable=True)
    prompts = [prompt.prompt for prompt in load_prompts("shapes:colour-2")[: rounds + 1]]
    found = main(pipeline, {name: make_scorer(name, loaded) for name in names()}, prompts, cpu_time, as_json)
    tell(found, as_json)


@checkout_command("strategies")
@spread
def strategies(
    *,
    prompts: Annotated[int, _many("prompts of each task to report on")] = 40,
    choosing: Annotated[int, _many("others of each task to choose settings on", 1)] = 20,
    figure: Annotated[
        Path | None, typer.Option(help="A PNG file for the curves.", show_default="none", rich_help_panel=MEASURE)
    ] = None,
    cpu_time: CpuTime = False,
    backbone: BackboneOptions,
    as_json: AsJson = False,
) -> None:
    """What a second is worth: right pictures against time for best of N, drafts, until bound and search."""
    quiet_libraries()
    from abe_rerank.benchmarks.checkout.strategy_gains import main
    from abe_rerank.drawing.pipelines import load_pipeline
    from abe_rerank.scoring.registry import make_scorer

    loaded = backbone.load()
    pipeline = load_pipeline(None, loaded.device, loaded.dtype)
    found = main(pipeline, make_scorer("abe", loaded), prompts, choosing, cpu_time, as_json, figure)
    tell(found, as_json)
