"""``abe-rerank tune``: what suits a backbone, its probabilities, and whether to use the scorer with it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from abe_rerank.cli.asked import BackboneOptions, spread
from abe_rerank.cli.options import MOST_MINUTES, MOST_SCENES, OUTPUT, SCORE, finite
from abe_rerank.cli.terminal import note, quiet_libraries, say
from abe_rerank.errors import UsageError
from abe_rerank.files import check_file, readable

if TYPE_CHECKING:
    from abe_rerank.backbones import DualEncoder
    from abe_rerank.benchmarks.labelled_pairs import LabelledRow
    from abe_rerank.benchmarks.tune import Asked, Outcome


@dataclass(frozen=True)
class TuneOptions:
    """What is searched, fitted and measured; :meth:`given` says whether any of it was asked for."""

    rows: Annotated[
        Path | None,
        typer.Option(
            help="CSV or JSONL of image, prompt, bound (true or false) [, pair, kind]: measured beside the scenes.",
            rich_help_panel=SCORE,
        ),
    ] = None
    fit_rows: Annotated[
        bool,
        typer.Option(
            "--fit-rows", help="Fit the probabilities to --rows in place of drawn scenes.", rich_help_panel=SCORE
        ),
    ] = False
    search: Annotated[
        bool,
        typer.Option(
            help="Search settings; else those in use stay, and probabilities are fitted.", rich_help_panel=SCORE
        ),
    ] = True
    quick: Annotated[
        bool, typer.Option("--quick", help="Few scenes and readouts, 90 seconds.", rich_help_panel=SCORE)
    ] = False
    minutes: Annotated[
        float | None,
        typer.Option(
            help="About how long it may take.",
            min=0.1,
            max=MOST_MINUTES,
            callback=finite,
            show_default="8",
            rich_help_panel=SCORE,
        ),
    ] = None
    scenes: Annotated[
        int | None,
        typer.Option(
            help="How many scenes of each task.",
            min=1,
            max=MOST_SCENES,
            show_default="as many as fit into the minutes",
            rich_help_panel=SCORE,
        ),
    ] = None

    @property
    def given(self) -> bool:
        """Whether anything is asked for."""
        return self != TuneOptions()

    def labelled(self) -> tuple[LabelledRow, ...]:
        """The labelled pictures. Raises UsageError for a file or a picture that cannot be read."""
        from abe_rerank.benchmarks.labelled_pairs import read_rows
        from abe_rerank.images import check_picture

        rows = () if self.rows is None else tuple(read_rows(self.rows))
        for row in rows:
            check_picture(row.image)
        return rows

    def asked(self, backbone: DualEncoder, rows: tuple[LabelledRow, ...]) -> Asked:
        """What is to be done: so many scenes, or what fits into the minutes."""
        from abe_rerank.benchmarks.tune import Amount, Asked, amount_for, readouts_of

        readouts = readouts_of(backbone, self.quick) if self.search else ()
        if self.scenes is not None:
            return Asked(Amount(self.scenes, readouts), rows, self.fit_rows)
        amount = amount_for(backbone, readouts, self.minutes or (1.5 if self.quick else 8))
        return Asked(amount, rows, self.fit_rows)


Export = Annotated[
    Path | None, typer.Option(help="Write what is kept to a file, and measure nothing.", rich_help_panel=OUTPUT)
]
Kept = Annotated[
    Path | None,
    typer.Option(
        help="Keep what --export wrote on another machine, and measure nothing.",
        rich_help_panel=OUTPUT,
    ),
]


@spread
def tune(*, backbone: BackboneOptions, options: TuneOptions, export: Export = None, tuned: Kept = None) -> None:
    """Find the settings and the probabilities of the scorer abe that suit a backbone, and say whether to use it.

    Pictures whose content is known are drawn, settings are searched and probabilities fitted on some, and all is
    measured on others. Settings are taken only where they are better than the defaults on scenes that were not searched
    on. What is found is kept in your data folder and used from then on; a backbone whose folder brings its own abe.json
    keeps to that. Stopped, the same command goes on where it was.
    """
    if sum(option is not None for option in (export, tuned)) + options.given > 1:
        raise UsageError("--export and --tuned each stand alone: with them nothing is measured")
    if options.fit_rows and options.rows is None:
        raise UsageError("--fit-rows needs --rows FILE, the labelled pictures that it fits to")
    for named in (options.rows, tuned):
        if named is not None:
            check_file(named)
    quiet_libraries()
    rows = options.labelled()
    loaded = backbone.load()
    if export is not None or tuned is not None:
        say(_moved(loaded, export, tuned))
        return
    from abe_rerank.benchmarks.tuning_page import as_text, write_page

    outcome = _run(loaded, options.asked(loaded, rows))
    write_page(loaded, outcome)
    say(as_text(outcome))
    if (loaded.folder / "abe.json").is_file():
        note(f"{readable(loaded.folder)} brings its own abe.json, which is used in place of what was found")


def _moved(backbone: DualEncoder, export: Path | None, tuned: Path | None) -> str:
    """Write what is kept into a file, or keep what is in one, and say so."""
    from abe_rerank.scoring import tuned as kept

    if export is not None:
        kept.export(backbone, export)
        return f"written to {readable(export)}"
    assert tuned is not None
    found = kept.take_over(backbone, tuned)
    return f"kept in {readable(kept.kept_in(backbone))}: tuned on {found.created[:10]}; {found.advice}"


def _run(backbone: DualEncoder, asked: Asked) -> Outcome:
    """The tuning beneath a progress bar, which tells the time that is left."""
    from tqdm import tqdm

    from abe_rerank.benchmarks.tune import steps_of
    from abe_rerank.benchmarks.tune import tune as run

    with tqdm(total=steps_of(asked.amount), unit="step", leave=False) as bar:

        def told(step: str) -> None:
            bar.set_description(step)
            bar.update()

        return run(backbone, asked, told)
