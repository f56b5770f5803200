"""The run folder of one prompt: its images with what they are, and everything that is made from them and the report.

No model is needed for any of it; nothing here imports torch.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from PIL import Image, PngImagePlugin
from pydantic import ValidationError

from abe_rerank.errors import AbeRerankError, UsageError
from abe_rerank.files import write_png, write_whole
from abe_rerank.images import read
from abe_rerank.report.html import render_html
from abe_rerank.report.sheets import attention_figure, contact_sheet
from abe_rerank.runs.build import to_json
from abe_rerank.runs.report_record import CandidateRecord, Report
from abe_rerank.text import words_of

PNG_KEY = "abe-rerank"
"""The PNG text chunk in which an image says what it is, as JSON in ASCII."""


def write_run(folder: Path, report: Report, images: Sequence[Image.Image], *, linked: bool = False) -> None:
    """Write a new run into ``folder``: images, ``best.png``, ``report.json``, and all of :func:`write_views`."""
    (folder / "candidates").mkdir()
    for candidate, image in zip(report.candidates, images, strict=True):
        image.save(folder / candidate.image, pnginfo=_about(report, candidate))
        if candidate.rank == report.picked:
            image.save(folder / "best.png", pnginfo=_about(report, candidate))
    (folder / "report.json").write_text(to_json(report), encoding="utf-8")
    write_views(folder, report, images, linked=linked)


def write_views(folder: Path, report: Report, images: Sequence[Image.Image], *, linked: bool = False) -> None:
    """Write ``report.html``, ``contact_sheet.png`` and ``attention/`` (of the picked image), whole or as they were.

    Raises AbeRerankError if the folder cannot be written.
    """
    write_whole(folder / "report.html", render_html(report, images, linked=linked).encode())
    write_png(folder / "contact_sheet.png", contact_sheet(report, images))
    for name, figure in _attention(report, images):
        write_png(folder / "attention" / name, figure)


def read_run(folder: Path) -> tuple[Report, list[Image.Image]]:
    """The report in a run folder and its images.

    Raises AbeRerankError for a report that is not one, and for an image that is missing, broken or outside the folder.
    """
    path = folder / "report.json"
    try:
        report = Report.model_validate_json(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise AbeRerankError(f"{path} cannot be read: {error}") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "the file"
        raise AbeRerankError(f"{path} is no report of schema version 1: {where}: {first['msg']}") from error
    return report, [_image(folder, candidate) for candidate in report.candidates]


def _image(folder: Path, candidate: CandidateRecord) -> Image.Image:
    name = PurePosixPath(candidate.image)
    if name.is_absolute() or ".." in name.parts or "\0" in candidate.image:
        raise AbeRerankError(f"report.json names an image outside of {folder}: {candidate.image!r}")
    try:
        return read(str(folder / name))
    except UsageError as error:
        raise AbeRerankError(str(error)) from error


def _attention(report: Report, images: Sequence[Image.Image]) -> list[tuple[str, Image.Image]]:
    """(file name, figure) for each pair of the picked image."""
    if report.picked is None:
        return []
    candidate, image = report.candidates[report.picked - 1], images[report.picked - 1]
    return [
        (f"{k:02d}-{words_of(f'{pair.attribute} {pair.object}')}.png", attention_figure(candidate, pair, image))
        for k, pair in enumerate(candidate.score.pairs, start=1)
    ]


def _about(report: Report, candidate: CandidateRecord) -> PngImagePlugin.PngInfo:
    info = PngImagePlugin.PngInfo()
    facts = {
        "prompt": report.prompt,
        "seed": candidate.seed,
        "score": candidate.score.value,
        "rank": candidate.rank,
        "scorer": report.scorer,
        "text_to_image": report.text_to_image.model_dump(),
        "settings": report.settings,
        "verdicts": [f"{pair.attribute} {pair.object}: {pair.verdict}" for pair in candidate.score.pairs],
    }
    info.add_text(PNG_KEY, json.dumps(facts))
    return info
