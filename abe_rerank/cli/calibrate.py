"""``abe-rerank calibrate`` and ``tune``: fit the probabilities or the settings of a backbone, kept beside it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from abe_rerank.cli.asked import BackboneOptions, spread
from abe_rerank.cli.options import OUTPUT, SCORE, AllowPickle, BackboneName
from abe_rerank.cli.terminal import quiet_libraries, say
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


def tune(
    scenes: Annotated[int, typer.Option(help="How many scenes of each task.", min=1, rich_help_panel=SCORE)] = 100,
    readouts: Annotated[
        list[str] | None,
        typer.Option(
            help="A patch readout to try; can be repeated.", show_default="the default one", rich_help_panel=SCORE
        ),
    ] = None,
    backbone: BackboneName = None,
    allow_pickle: AllowPickle = False,
    write: Annotated[
        bool, typer.Option("--write", help="Keep the best settings beside the backbone.", rich_help_panel=OUTPUT)
    ] = False,
) -> None:
    """Find the settings of the scorer abe that suit a backbone, on scenes of the shapes world."""
    quiet_libraries()
    from abe_rerank.benchmarks.tuning import main

    say(main(backbone, scenes, readouts, write, allow_pickle))
