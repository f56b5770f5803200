"""The run folder of one prompt, written and read: ``report.json``, ``candidates/`` and ``best.png``.

No model is needed for any of it; nothing here imports torch.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path

from PIL import Image, PngImagePlugin
from pydantic import ValidationError

from abe_rerank.errors import AbeRerankError, UsageError
from abe_rerank.files import inside, write_png, write_whole
from abe_rerank.images import read
from abe_rerank.runs.generated import CandidateRecord, Report, contradiction
from abe_rerank.runs.provenance import pixels_sha256
from abe_rerank.runs.records import said_of
from abe_rerank.runs.version_1 import upgraded

PNG_KEY = "abe-rerank"
"""The PNG text chunk in which an image says what it is, as JSON in ASCII."""


def write_generated(folder: Path, report: Report, images: Sequence[Image.Image]) -> None:
    """Write a new run into ``folder``: its images, ``best.png`` and ``report.json``; ``images`` in order of rank.

    Raises AbeRerankError if the folder cannot be written.
    """
    for candidate, image in zip(report.candidates, images, strict=True):
        write_png(inside(folder, candidate.image), image, _about(report, candidate))
        if candidate.rank == report.picked:
            write_png(folder / "best.png", image, _about(report, candidate))
    write_whole(folder / "report.json", to_json(report).encode())


def copy_best(folder: Path, report: Report) -> None:
    """Write ``best.png`` again from the picked image. Raises AbeRerankError if that is not what was scored."""
    if report.picked is None:
        return
    best = report.candidates[report.picked - 1]
    image = read_candidate(folder, best)
    if pixels_sha256(image) != best.pixels_sha256:
        raise AbeRerankError(f"{folder / best.image} is not the image that was scored; best.png cannot be made from it")
    write_png(folder / "best.png", image, _about(report, best))


def read_generated(folder: Path) -> tuple[Report, list[Image.Image]]:
    """The report in a run folder and its images.

    Raises AbeRerankError as :func:`read_report` does, and for an image that is missing, broken, outside of the folder,
    or reached through a link.
    """
    report = read_report(folder)
    return report, [read_candidate(folder, candidate) for candidate in report.candidates]


def changed_images(report: Report, images: Sequence[Image.Image]) -> list[str]:
    """The names of the images, in order of rank, that are not those that were scored."""
    pairs = zip(report.candidates, images, strict=True)
    return [candidate.image for candidate, image in pairs if pixels_sha256(image) != candidate.pixels_sha256]


def read_report(folder: Path) -> Report:
    """The report in a run folder. Raises AbeRerankError, naming file and field, for one that is none."""
    path = inside(folder, "report.json")
    try:
        text = path.read_bytes()
    except OSError as error:
        raise AbeRerankError(f"{path} cannot be read: {error.strerror or error}") from None
    try:
        report = Report.model_validate_json(upgraded(text) or text)
    except ValidationError as error:
        raise _no_report(path, said_of(error)) from None
    except ValueError as error:
        raise _no_report(path, str(error)) from None
    if wrong := contradiction(report):
        raise _no_report(path, wrong)
    return report


def read_candidate(folder: Path, candidate: CandidateRecord) -> Image.Image:
    """The image of a candidate. Raises AbeRerankError as :func:`read_generated` does."""
    try:
        return read(str(inside(folder, candidate.image)))
    except UsageError as error:
        raise AbeRerankError(str(error)) from error


def to_json(report: Report) -> str:
    """The text of ``report.json``: indented, with each row of numbers on one line."""
    return re.sub(r"\[\n[-+.\deE,\s]+\]", lambda row: " ".join(row[0].split()), report.model_dump_json(indent=1)) + "\n"


def _no_report(path: Path, what: str) -> AbeRerankError:
    return AbeRerankError(f"{path} is no report that this version reads: {what}")


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
