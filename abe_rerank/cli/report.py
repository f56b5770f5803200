"""``abe-rerank report``: make everything that is read from a run again, from what is stored; no model is loaded."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from abe_rerank.cli import completing
from abe_rerank.cli.options import OUTPUT, Assets, Run
from abe_rerank.cli.terminal import say, warn
from abe_rerank.errors import UsageError
from abe_rerank.files import check_folder, readable


def report(
    folder: Run,
    against: Annotated[
        Path | None,
        typer.Option(
            metavar="RUN_B",
            help="Make a page that puts this second run of evaluate beside the first.",
            autocompletion=completing.runs,
            rich_help_panel=OUTPUT,
        ),
    ] = None,
    assets: Assets = False,
) -> None:
    """Make the page and the figures of a run again from what is stored, with no model."""
    if against is None and not is_evaluation(folder):
        _one_prompt(folder, assets)
        return
    from abe_rerank.report.run_page import comparison_page, run_page

    if against is None:
        _warn_of_pictures(folder)
        say(str(run_page(folder)))
        return
    for place in (folder, against):
        if not is_evaluation(place):
            raise UsageError(f"{place} is a run of generate; --against compares two runs of evaluate")
    for place in (folder, against):
        _warn_of_pictures(place)
    say(str(comparison_page(folder, against)))


def _warn_of_pictures(folder: Path) -> None:
    """Say which pictures are not those that the page is about."""
    from abe_rerank.runs.doctor import pictures_amiss

    amiss = pictures_amiss(folder)
    if amiss:
        warn(
            f"pictures of {readable(folder)} that are not those that were scored: {len(amiss)}, the first: {amiss[0]}; "
            f"abe-rerank doctor {readable(folder)} names all"
        )


def is_evaluation(folder: Path) -> bool:
    """Whether the folder is a run of evaluate (True) or of generate (False). Raises UsageError if it is neither."""
    check_folder(folder, "folder of a run")
    if (folder / "run.json").is_file():
        return True
    if (folder / "report.json").is_file():
        return False
    raise UsageError(
        f"{folder} holds no run (no report.json, no run.json); name a folder that abe-rerank generate or evaluate wrote"
    )


def _one_prompt(folder: Path, assets: bool) -> None:
    from abe_rerank.report.views import write_views
    from abe_rerank.runs.generated import changed_images, read_generated

    record, images = read_generated(folder)
    for name in changed_images(record, images):
        warn(f"{folder / name} is not the image that was scored")
    write_views(folder, record, images, linked=assets)
    say(f"{folder / 'report.html'}\n{folder / 'contact_sheet.png'}")
