"""``report.json``, schema version 1: everything needed to read, redraw and rescore a run.

Pydantic models: ``Report.model_validate_json(text)`` checks and reads a file, ``Report.model_json_schema()`` is its
JSON Schema, kept beside this module as ``report.schema.json``. Spans are half-open character ranges of the prompt;
boxes are (left, top, right, bottom) as fractions of the image; scores, evidence and margins are cosines or differences
of cosines; times are seconds.
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from abe_rerank.types import Kind, Status, Verdict


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class AttributeRecord(_Record):
    """One attribute as it stands in the prompt."""

    text: str
    span: tuple[int, int]
    kind: Kind


class CountRecord(_Record):
    """How many of an object are asked for."""

    text: str
    span: tuple[int, int]
    value: int


class ObjectRecord(_Record):
    """One object of the prompt with its attributes."""

    text: str
    span: tuple[int, int]
    phrase_span: tuple[int, int]
    attributes: tuple[AttributeRecord, ...]
    count: CountRecord | None
    negated: bool


class RelationRecord(_Record):
    """A directed relation between two objects, by their places in ``ParseRecord.objects``."""

    subject: int
    text: str
    span: tuple[int, int]
    object: int


class IgnoredRecord(_Record):
    """A word that was not bound, and why."""

    text: str
    span: tuple[int, int]
    reason: str


class ParseRecord(_Record):
    """What the prompt asks for, as the parser read it."""

    objects: tuple[ObjectRecord, ...]
    relations: tuple[RelationRecord, ...]
    ignored: tuple[IgnoredRecord, ...]
    pairs: tuple[tuple[str, str], ...]
    nothing_to_bind: bool


class RegionRecord(_Record):
    """Where an object was found: weights [rows][columns] over ``window``, the part of the image seen; their box."""

    weights: tuple[tuple[float, ...], ...]
    box: tuple[float, float, float, float]
    window: tuple[float, float, float, float] = (0.0, 0.0, 1.0, 1.0)


class PairRecord(_Record):
    """How well one attribute sits on its object in one image.

    ``evidence`` minus ``margin`` is the evidence of ``competitor``, the strongest other value ("" the bare noun). The
    probabilities, of the asked value and of the competitor in its place, are null where the scorer is uncalibrated.
    ``contrast`` [rows][columns] over the region's grid: how much more a patch looks like the asked value than like the
    competitor; its mean under the region's weights is ``margin``. Null where the scorer has no such map.
    """

    attribute: str
    attribute_span: tuple[int, int]
    object: str
    object_span: tuple[int, int]
    evidence: float
    competitor: str
    margin: float
    verdict: Verdict
    probability: float | None
    competitor_probability: float | None
    region: RegionRecord
    contrast: tuple[tuple[float, ...], ...] | None


class ScoreRecord(_Record):
    """The score of one image with its terms; ``value`` is null exactly when ``status`` is "unscored"."""

    value: float | None
    status: Status
    reason: str | None
    global_score: float | None
    local: float | None
    binding_difference: float | None
    pairs: tuple[PairRecord, ...]


class CandidateRecord(_Record):
    """One image of the run.

    ``image`` is its path within the run folder, ``width`` and ``height`` are in pixels; ``pixels_sha256`` is the
    SHA-256 of its RGB bytes, row by row: equal to it is equal to the bit, whatever the file says beside the pixels.
    """

    rank: int = Field(ge=1)
    seed: int | None
    image: str
    width: int = Field(ge=1)
    height: int = Field(ge=1)
    pixels_sha256: str
    score: ScoreRecord


class ModelRecord(_Record):
    """A model: the name it was asked for by, its class, and a SHA-256 (or its beginning) of its weights."""

    name: str
    kind: str
    weights: str


class Commands(_Record):
    """Shell commands, all from one working directory: the one that was run, the one that draws the picked image again,
    and the one that scores the images of the run again."""

    run: str
    redraw: str | None
    rescore: str


class Report(_Record):
    """One prompt: what was asked, what was drawn, what was picked and why. ``picked`` is a rank, or null."""

    schema_version: Literal[1] = 1
    created: str
    prompt: str
    parse: ParseRecord
    picked: int | None
    candidates: tuple[CandidateRecord, ...]
    scorer: str
    settings: dict[str, JsonValue]
    text_to_image: ModelRecord
    backbone: ModelRecord
    versions: dict[str, str]
    seconds: dict[str, float]
    warnings: tuple[str, ...]
    commands: Commands
