"""``abe-rerank tune``: settings and probabilities that suit a backbone, and whether to use the scorer with it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from abe_rerank.cli.asked import BackboneOptions, spread
from abe_rerank.cli.options import OUTPUT, SCORE
from abe_rerank.cli.terminal import note, quiet_libraries, say
from abe_rerank.errors import UsageError
from abe_rerank.files import readable


@spread
def tune(
    *,
    backbone: BackboneOptions,
    rows: Annotated[
        Path | None,
        typer.Option(
            help="CSV or JSONL of image, prompt, bound (true or false) [, pair, kind]: measured beside the scenes.",
            rich_help_panel=SCORE,
        ),
    ] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="Few scenes and readouts, 90 seconds.", rich_help_panel=SCORE)
    ] = False,
    minutes: Annotated[
        float | None,
        typer.Option(help="About how long it may take.", min=0.1, show_default="8", rich_help_panel=SCORE),
    ] = None,
    scenes: Annotated[
        int | None,
        typer.Option(
            help="How many scenes of each task.",
            min=1,
            show_default="as many as fit into the minutes",
            rich_help_panel=SCORE,
        ),
    ] = None,
    export: Annotated[
        Path | None,
        typer.Option(help="Write what is kept to a file, and measure nothing.", rich_help_panel=OUTPUT),
    ] = None,
    tuned: Annotated[
        Path | None,
        typer.Option(
            help="Keep what --export wrote on another machine, and measure nothing.",
            exists=True,
            dir_okay=False,
            rich_help_panel=OUTPUT,
        ),
    ] = None,
) -> None:
    """Find the settings and the probabilities of the scorer abe that suit a backbone, and say whether to use it.

    Pictures whose content is known are drawn, settings are searched and probabilities fitted on some, and all is
    measured on others. What is found is kept in your data folder and used from then on; a backbone whose folder brings
    its own abe.json keeps to that. Stopped, the same command goes on where it was.
    """
    if sum(option is not None for option in (export, tuned)) + bool(quick or minutes or scenes or rows) > 1:
        raise UsageError("--export and --tuned each stand alone: with them nothing is measured")
    quiet_libraries()
    from abe_rerank.scoring import tuned as kept

    loaded = backbone.load()
    if export is not None:
        kept.export(loaded, export)
        say(f"written to {readable(export)}")
        return
    if tuned is not None:
        found = kept.take_over(loaded, tuned)
        say(f"kept in {readable(kept.kept_in(loaded))}: tuned on {found.created[:10]}; {found.advice}")
        return
    from tqdm import tqdm

    from abe_rerank.benchmarks.labelled_pairs import read_rows
    from abe_rerank.benchmarks.tune import Amount, amount_for, as_text, readouts_of, steps_of
    from abe_rerank.benchmarks.tune import tune as run
    from abe_rerank.benchmarks.tuning_page import write_page

    mine = read_rows(rows) if rows is not None else []
    if scenes is not None:
        amount = Amount(scenes, readouts_of(loaded, quick))
    else:
        amount = amount_for(loaded, minutes or (1.5 if quick else 8), quick)
    with tqdm(total=steps_of(amount), unit="step", leave=False) as bar:

        def told(step: str) -> None:
            bar.set_description(step)
            bar.update()

        outcome = run(loaded, amount, mine, told)
    write_page(loaded, outcome)
    say(as_text(outcome))
    if loaded.folder is not None and kept.home_of(loaded) == loaded.folder:
        note(f"{readable(loaded.folder)} brings its own abe.json, which is used in place of what was found")
