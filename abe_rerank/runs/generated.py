"""The run folder of one prompt: ``report.json``, schema version 2, and the images, written whole and read with care.

``Report.model_validate_json(text)`` checks a text, ``Report.model_json_schema()`` is its JSON Schema, kept beside this
module as ``report.schema.json``. Times are seconds; for spans, boxes and scores see :mod:`abe_rerank.runs.records`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Annotated, Literal

from PIL import Image, PngImagePlugin
from pydantic import Field, JsonValue, ValidationError

from abe_rerank.errors import AbeRerankError, UsageError
from abe_rerank.files import MOST_PROMPT, check_file, inside, write_png, write_whole
from abe_rerank.images import read
from abe_rerank.runs.provenance import parameters_text, pixels_sha256, versions
from abe_rerank.runs.reading import upgraded
from abe_rerank.runs.records import (
    ModelRecord,
    Number,
    ParseRecord,
    Record,
    ScoreRecord,
    SpanRecord,
    said_of,
    spans_of,
)
from abe_rerank.types import Candidate, Ranking, Spec

Pixels = Annotated[int, Field(ge=1, le=10**6)]


class CandidateRecord(Record):
    """One image of the run.

    ``image`` is its path within the run folder, ``width`` and ``height`` are in pixels; ``pixels_sha256`` is the
    SHA-256 of its RGB bytes, row by row: equal to it is equal to the bit, whatever the file says beside the pixels.
    """

    rank: int = Field(ge=1)
    seed: int | None
    image: str
    width: Pixels
    height: Pixels
    pixels_sha256: str
    score: ScoreRecord


class Commands(Record):
    """Shell commands, all from one working directory: the one that was run, the one that draws the picked image again,
    and the one that scores the images of the run again."""

    run: str
    redraw: str | None
    rescore: str


class Report(Record):
    """One prompt: what was asked, what was drawn, what was picked and why. ``picked`` is a rank, or null.

    ``peak_mb`` is the most memory that the run held, in 10^6 bytes: of the process, and of the GPU if there is one.
    ``interrupted`` is true where not all images that were asked for are there: the run's own command goes on.
    """

    schema_version: Literal[2] = 2
    created: str
    prompt: str
    parse: ParseRecord
    picked: int | None
    candidates: tuple[CandidateRecord, ...] = Field(min_length=1)
    scorer: str
    settings: dict[str, JsonValue]
    text_to_image: ModelRecord
    backbone: ModelRecord
    versions: dict[str, str]
    seconds: dict[str, Number]
    peak_mb: dict[str, Number] = Field(default_factory=dict)
    processes: int = 1
    interrupted: bool = False
    warnings: tuple[str, ...]
    commands: Commands


@dataclass(frozen=True)
class RunFacts:
    """What a ranking does not know of itself: models, what was chosen of them (variant, revision, LoRAs) and whether
    pickled weights were allowed, commands, seconds, memory, processes, whether it was interrupted, warnings."""

    text_to_image: ModelRecord
    backbone: ModelRecord
    commands: Commands
    created: datetime
    choices: Mapping[str, object] = field(default_factory=dict)
    allow_pickle: bool = False
    seconds: Mapping[str, float] = field(default_factory=dict)
    peak_mb: Mapping[str, float] = field(default_factory=dict)
    processes: int = 1
    interrupted: bool = False
    warnings: tuple[str, ...] = ()


def build_report(ranking: Ranking, facts: RunFacts) -> Report:
    """The report of a ranking of generated candidates."""
    candidates = [candidate_record(rank, candidate) for rank, candidate in enumerate(ranking.candidates, start=1)]
    return report_of(ranking.spec, ranking.settings, candidates, facts)


def report_of(
    spec: Spec, settings: Mapping[str, object], candidates: Sequence[CandidateRecord], facts: RunFacts
) -> Report:
    """The report of candidates, best first, with the settings that a ranking has."""
    return Report(
        created=facts.created.isoformat(timespec="seconds"),
        prompt=spec.prompt,
        parse=ParseRecord.of(spec),
        picked=1 if candidates and candidates[0].score.value is not None else None,
        candidates=tuple(candidates),
        scorer=str(settings["scorer"]),
        settings=_settings(settings, facts),
        text_to_image=facts.text_to_image,
        backbone=facts.backbone,
        versions=versions(),
        seconds={name: round(value, 3) for name, value in facts.seconds.items()},
        peak_mb={name: round(value, 1) for name, value in facts.peak_mb.items()},
        processes=facts.processes,
        interrupted=facts.interrupted,
        warnings=facts.warnings,
        commands=facts.commands,
    )


def _settings(settings: Mapping[str, object], facts: RunFacts) -> dict[str, JsonValue]:
    given = dict(settings) | dict(facts.choices)
    found = {name: _json(value) for name, value in given.items() if name != "scorer"}
    return {**found, "allow_pickle": True} if facts.allow_pickle else found


def contradiction(report: Report) -> str | None:
    """The first thing in which the parts of a report contradict each other, as "field: what"; None if nothing does."""
    return next(_contradictions(report), None)


def _contradictions(report: Report) -> Iterator[str]:
    count = len(report.candidates)
    if len(report.prompt) > MOST_PROMPT:
        yield f"prompt: {len(report.prompt)} characters, where at most {MOST_PROMPT} are read"
    if report.picked is not None and not 1 <= report.picked <= count:
        yield f"picked: {report.picked} is no rank from 1 to {count}"
    elif report.picked is not None and report.candidates[report.picked - 1].score.value is None:
        yield f"picked: the image of rank {report.picked} has no score"
    for name, (start, end) in _spans(report):
        if not 0 <= start <= end <= len(report.prompt):
            yield f"{name}: [{start}, {end}] is no range of the {len(report.prompt)} characters of the prompt"
    for k, relation in enumerate(report.parse.relations):
        if max(relation.subject, relation.object) >= len(report.parse.objects):
            yield f"parse.relations.{k}: there are {len(report.parse.objects)} objects, counted from 0"
    asked = len(report.parse.pairs)
    for k, candidate in enumerate(report.candidates):
        if candidate.rank != k + 1:
            yield f"candidates.{k}.rank: {candidate.rank} stands in the place of {k + 1}"
        if len(candidate.score.pairs) not in (0, asked):
            yield f"candidates.{k}.score.pairs: {len(candidate.score.pairs)} pairs where {asked} were asked"


def _spans(report: Report) -> Iterator[tuple[str, SpanRecord]]:
    """Every span with the name of its field."""
    yield from spans_of(report.parse)
    for k, candidate in enumerate(report.candidates):
        for j, pair in enumerate(candidate.score.pairs):
            yield f"candidates.{k}.score.pairs.{j}.attribute_span", pair.attribute_span
            yield f"candidates.{k}.score.pairs.{j}.object_span", pair.object_span


def candidate_record(rank: int, candidate: Candidate) -> CandidateRecord:
    """What is kept of a candidate."""
    return CandidateRecord(
        rank=rank,
        seed=candidate.seed,
        image=candidate_name(rank, candidate.seed),
        width=candidate.image.width,
        height=candidate.image.height,
        pixels_sha256=pixels_sha256(candidate.image),
        score=ScoreRecord.of(candidate.score),
    )


def candidate_name(rank: int, seed: int | None) -> str:
    """The path of an image within the run folder."""
    return f"candidates/{rank:02d}_seed{'none' if seed is None else seed}.png"


def _json(value: object) -> JsonValue:
    """A setting as JSON holds it; what JSON cannot hold (an array, a device) is written by its repr."""
    try:
        return json.loads(json.dumps(value, allow_nan=False))  # type: ignore[no-any-return]
    except (TypeError, ValueError):
        return repr(value)


PNG_KEY = "abe-rerank"
"""The PNG text chunk in which an image says what it is, as JSON in ASCII; the chunk before it says it to others."""


def write_generated(folder: Path, report: Report, images: Iterable[Image.Image]) -> None:
    """Write a new run into ``folder``: its images, ``best.png`` and ``report.json``; ``images`` in order of rank, each
    held until it is written.

    Raises AbeRerankError if the folder cannot be written.
    """
    for candidate, image in zip(report.candidates, images, strict=True):
        about, best = _about(report, candidate), [folder / "best.png"] if candidate.rank == report.picked else []
        for file in (inside(folder, candidate.image), *best):
            write_png(file, image, about)
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

    Raises AbeRerankError as :func:`read_report` does, and for an image that is missing, broken, or outside or a link.
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
    check_file(path)
    try:
        text = path.read_bytes()
    except OSError as error:
        raise AbeRerankError(f"{path} cannot be read: {error.strerror or error}") from None
    try:
        report = Report.model_validate_json(upgraded(text) or text)
    except ValueError as error:
        raise _no_report(path, said_of(error) if isinstance(error, ValidationError) else str(error)) from None
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
    size = candidate.width, candidate.height
    told = parameters_text(report.prompt, report.settings, candidate.seed, size, report.text_to_image.name)
    info.add_text("parameters", told)
    info.add_text(PNG_KEY, json.dumps(facts))
    return info
