"""``abe-rerank report``: make everything that is read from a run again, from what is stored; no model is loaded."""

from __future__ import annotations

from pathlib import Path

from abe_rerank.commands.terminal import note, say
from abe_rerank.errors import UsageError


def report(folder: Path, assets: bool) -> None:
    """Write the page and the figures of a run again, and print where they are.

    Raises UsageError for a folder that is no run, AbeRerankError for one whose files cannot be read or written.
    """
    from abe_rerank.report.build import pixels_sha256
    from abe_rerank.report.folder import read_run, write_views

    check_run(folder)
    record, images = read_run(folder)
    for candidate, image in zip(record.candidates, images, strict=True):
        if pixels_sha256(image) != candidate.pixels_sha256:
            note(f"warning: {folder / candidate.image} is not the image that was scored")
    write_views(folder, record, images, linked=assets)
    say(f"{folder / 'report.html'}\n{folder / 'contact_sheet.png'}")


def check_run(folder: Path) -> None:
    """Raises UsageError for a folder that holds no run."""
    if not folder.is_dir():
        raise UsageError(f"no such folder: {folder}; name one that abe-rerank generate wrote")
    if not (folder / "report.json").is_file():
        raise UsageError(f"{folder} holds no run (no report.json); name a folder that abe-rerank generate wrote")
