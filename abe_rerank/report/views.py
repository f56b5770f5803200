"""What is made from the run of one prompt to be looked at: its page, its contact sheet, its attention figures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from abe_rerank.files import inside, write_png, write_whole
from abe_rerank.report.html import render_html
from abe_rerank.report.sheets import attention_figure, contact_sheet
from abe_rerank.runs.generated import Report
from abe_rerank.text import words_of


def write_views(folder: Path, report: Report, images: Sequence[Image.Image], *, linked: bool = False) -> None:
    """Write ``report.html``, ``contact_sheet.png`` and ``attention/`` (of the picked image), whole or as they were.

    Raises AbeRerankError if the folder cannot be written, or a link in it leads elsewhere.
    """
    figures = [(inside(folder, f"attention/{name}"), figure) for name, figure in _attention(report, images)]
    write_whole(folder / "report.html", render_html(report, images, linked=linked).encode())
    write_png(folder / "contact_sheet.png", contact_sheet(report, images))
    for path, figure in figures:
        write_png(path, figure)


def _attention(report: Report, images: Sequence[Image.Image]) -> list[tuple[str, Image.Image]]:
    """(file name, figure) for each pair of the picked image."""
    if report.picked is None:
        return []
    candidate, image = report.candidates[report.picked - 1], images[report.picked - 1]
    return [
        (f"{k:02d}-{words_of(f'{pair.attribute} {pair.object}')}.png", attention_figure(candidate, pair, image))
        for k, pair in enumerate(candidate.score.pairs, start=1)
    ]
