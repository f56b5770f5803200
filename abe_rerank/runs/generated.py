"""``report.json``, schema version 2: everything needed to read, redraw and rescore a run of one prompt.

``Report.model_validate_json(text)`` checks a text, ``Report.model_json_schema()`` is its JSON Schema, kept beside this
module as ``report.schema.json``. Times are seconds; for spans, boxes and scores see :mod:`abe_rerank.runs.records`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field, JsonValue

from abe_rerank.runs.provenance import pixels_sha256, versions
from abe_rerank.runs.records import ModelRecord, Number, ParseRecord, Record, ScoreRecord, SpanRecord
from abe_rerank.types import Candidate, Ranking

if TYPE_CHECKING:
    from abe_rerank.runs.records import ObjectRecord

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
    """One prompt: what was asked, what was drawn, what was picked and why. ``picked`` is a rank, or null."""

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
    warnings: tuple[str, ...]
    commands: Commands


@dataclass(frozen=True)
class RunFacts:
    """What a ranking does not know of itself: models, commands, times in seconds, warnings."""

    text_to_image: ModelRecord
    backbone: ModelRecord
    commands: Commands
    created: datetime
    seconds: Mapping[str, float] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()


def build_report(ranking: Ranking, facts: RunFacts) -> Report:
    """The report of a ranking of generated candidates."""
    picked = 1 if ranking.candidates and ranking.candidates[0].score.value is not None else None
    return Report(
        created=facts.created.isoformat(timespec="seconds"),
        prompt=ranking.prompt,
        parse=ParseRecord.of(ranking.spec),
        picked=picked,
        candidates=tuple(
            _candidate_record(rank, candidate) for rank, candidate in enumerate(ranking.candidates, start=1)
        ),
        scorer=str(ranking.settings["scorer"]),
        settings={name: _json(value) for name, value in ranking.settings.items() if name != "scorer"},
        text_to_image=facts.text_to_image,
        backbone=facts.backbone,
        versions=versions(),
        seconds={name: round(value, 3) for name, value in facts.seconds.items()},
        warnings=facts.warnings,
        commands=facts.commands,
    )


def contradiction(report: Report) -> str | None:
    """The first thing in which the parts of a report contradict each other, as "field: what"; None if nothing does."""
    return next(_contradictions(report), None)


def _contradictions(report: Report) -> Iterator[str]:
    count = len(report.candidates)
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
    for k, thing in enumerate(report.parse.objects):
        yield from _spans_of(f"parse.objects.{k}", thing)
    for name in ("relations", "ignored"):
        for k, part in enumerate(getattr(report.parse, name)):
            yield f"parse.{name}.{k}.span", part.span
    for k, candidate in enumerate(report.candidates):
        for j, pair in enumerate(candidate.score.pairs):
            yield f"candidates.{k}.score.pairs.{j}.attribute_span", pair.attribute_span
            yield f"candidates.{k}.score.pairs.{j}.object_span", pair.object_span


def _spans_of(name: str, thing: ObjectRecord) -> Iterator[tuple[str, SpanRecord]]:
    yield f"{name}.span", thing.span
    yield f"{name}.phrase_span", thing.phrase_span
    if thing.count is not None:
        yield f"{name}.count.span", thing.count.span
    for k, attribute in enumerate(thing.attributes):
        yield f"{name}.attributes.{k}.span", attribute.span


def _candidate_record(rank: int, candidate: Candidate) -> CandidateRecord:
    image = candidate.image
    return CandidateRecord(
        rank=rank,
        seed=candidate.seed,
        image=f"candidates/{rank:02d}_seed{'none' if candidate.seed is None else candidate.seed}.png",
        width=image.width,
        height=image.height,
        pixels_sha256=pixels_sha256(image),
        score=ScoreRecord.of(candidate.score),
    )


def _json(value: object) -> JsonValue:
    """A setting as JSON holds it; what JSON cannot hold (an array, a device) is written by its repr."""
    try:
        return json.loads(json.dumps(value, allow_nan=False))  # type: ignore[no-any-return]
    except (TypeError, ValueError):
        return repr(value)
