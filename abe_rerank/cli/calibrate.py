"""``abe-rerank tune`` finds what suits a backbone, and says whether to use the scorer with it; ``calibrate`` fits its
probabilities alone, to labelled pictures."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from abe_rerank.cli.asked import BackboneOptions, spread
from abe_rerank.cli.options import OUTPUT, SCORE
from abe_rerank.cli.terminal import note, quiet_libraries, say
from abe_rerank.errors import UsageError
from abe_rerank.files import readable

if TYPE_CHECKING:
    from abe_rerank.scoring.calibration import Calibration


@spread
def calibrate(
    *,
    backbone: BackboneOptions,
    rows: Annotated[
        Path | None,
        typer.Option(
            help="CSV or JSONL of image, prompt, bound (true or false) [, pair, kind].",
            show_default="scenes of the shapes world, which suit the built-in backbone",
            rich_help_panel=SCORE,
        ),
    ] = None,
) -> None:
    """Fit the probabilities of a backbone to labelled images, and keep them beside it."""
    quiet_libraries()
    from abe_rerank.benchmarks.labelled_pairs import calibrate_on_rows, calibrate_on_shapes, read_rows
    from abe_rerank.scoring.abe import AbeScorer
    from abe_rerank.scoring.calibration import write_calibration

    loaded = backbone.load()
    scorer = AbeScorer(loaded)
    calibration = calibrate_on_shapes(scorer) if rows is None else calibrate_on_rows(scorer, read_rows(rows))
    say(described(calibration, write_calibration(loaded.folder, calibration)))


def described(calibration: Calibration, path: Path) -> str:
    """What a calibration was fitted to, how well, and where it is."""
    from abe_rerank.benchmarks.labelled_pairs import MISSING

    mix = ", ".join(f"{count} {kind}" for kind, count in sorted(calibration.mix.items()))
    absence = "" if calibration.found_above is not None else f"; no row has the kind {MISSING}: absence was not fitted"
    return (
        f"calibrated on {mix} pairs; calibration error on them {calibration.ece:.3f}{absence}; "
        f"written to {readable(path)}"
    )


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
