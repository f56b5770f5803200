"""The records that every run folder is made of: what was asked, how well each attribute sits, which model said so.

Spans are half-open character ranges of the prompt; boxes are (left, top, right, bottom) as fractions of the image;
scores, evidence and margins are cosines or differences of cosines. Records are checked strictly: a number is a number,
finite and of a size that can be computed with, and a field that is not known is refused.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from binascii import Error as NotBase64
from collections.abc import Callable, Iterator
from dataclasses import asdict
from typing import Annotated, Any, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_serializer, model_validator

from abe_rerank.types import Kind, PairScore, Part, PartKind, Region, Score, Spec, Status, Verdict

Number = Annotated[float, Field(ge=-1e9, le=1e9)]
"""A score, a time or a margin: sums and differences of a million of them are finite."""

Fraction = Annotated[float, Field(ge=-0.001, le=1.001)]
"""A probability, or a place within an image; a little more or less is rounding."""

Count = Annotated[int, Field(ge=0, le=2**40)]
Side = Annotated[int, Field(ge=1, le=4096)]
SpanRecord = tuple[int, int]
BoxRecord = tuple[Fraction, Fraction, Fraction, Fraction]


class Record(BaseModel):
    """A frozen record without unknown fields and without infinite numbers."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, strict=True, cache_strings="keys")


class AttributeRecord(Record):
    """One attribute as it stands in the prompt."""

    text: str
    span: SpanRecord
    kind: Kind


class CountRecord(Record):
    """How many of an object are asked for."""

    text: str
    span: SpanRecord
    value: int


class ObjectRecord(Record):
    """One object of the prompt with its attributes."""

    text: str
    span: SpanRecord
    phrase_span: SpanRecord
    attributes: tuple[AttributeRecord, ...]
    count: CountRecord | None
    negated: bool


class RelationRecord(Record):
    """A directed relation between two objects, by their places in ``ParseRecord.objects``."""

    subject: Count
    text: str
    span: SpanRecord
    object: Count


class IgnoredRecord(Record):
    """A word that was not bound, and why."""

    text: str
    span: SpanRecord
    reason: str


class ParseRecord(Record):
    """What the prompt asks for, as the parser read it."""

    objects: tuple[ObjectRecord, ...]
    relations: tuple[RelationRecord, ...]
    ignored: tuple[IgnoredRecord, ...]
    pairs: tuple[tuple[str, str], ...]
    nothing_to_bind: bool

    @classmethod
    def of(cls, spec: Spec) -> ParseRecord:
        """The record of a parse, as it stands in a report and in ``abe-rerank parse --json``."""
        parts = {name: asdict(spec)[name] for name in ("objects", "relations", "ignored")}
        return cls.model_validate({**parts, "pairs": spec.pairs, "nothing_to_bind": spec.nothing_to_bind})


def spans_of(parse: ParseRecord) -> Iterator[tuple[str, SpanRecord]]:
    """Every span of a parse with the name of its field in a report."""
    for k, thing in enumerate(parse.objects):
        name = f"parse.objects.{k}"
        yield f"{name}.span", thing.span
        yield f"{name}.phrase_span", thing.phrase_span
        if thing.count is not None:
            yield f"{name}.count.span", thing.count.span
        for j, attribute in enumerate(thing.attributes):
            yield f"{name}.attributes.{j}.span", attribute.span
    for k, relation in enumerate(parse.relations):
        yield f"parse.relations.{k}.span", relation.span
    for k, word in enumerate(parse.ignored):
        yield f"parse.ignored.{k}.span", word.span


class HeatRecord(Record):
    """A map over patches, small enough for a line: one byte a patch.

    ``levels`` is base64 of uint8 [rows, columns], row by row; level L stands for low + L / 255 * (high - low). Good for
    pictures; what is printed and compared is kept beside it as numbers.
    """

    rows: Side
    columns: Side
    levels: str
    low: Number
    high: Number

    @classmethod
    def of(cls, grid: NDArray[np.floating], low: float | None = None, high: float | None = None) -> HeatRecord:
        """The record of a map [rows, columns]; ``low`` and ``high`` are its least and largest value unless given."""
        values = np.asarray(grid, dtype=np.float64)
        low, high = float(values.min()) if low is None else low, float(values.max()) if high is None else high
        levels = np.rint(255 * np.clip((values - low) / max(high - low, 1e-12), 0, 1)).astype(np.uint8)
        rows, columns = levels.shape
        text = b64encode(levels.tobytes()).decode("ascii")
        return cls(rows=rows, columns=columns, levels=text, low=low, high=high)

    @property
    def values(self) -> NDArray[np.float64]:
        """The map [rows, columns]."""
        levels = np.frombuffer(b64decode(self.levels), np.uint8).reshape(self.rows, self.columns)
        return self.low + levels / 255 * (self.high - self.low)

    @model_validator(mode="after")
    def _of_its_size(self) -> Self:
        try:
            found = len(b64decode(self.levels, validate=True))
        except (NotBase64, ValueError):
            raise ValueError("levels is not base64") from None
        if found != self.rows * self.columns:
            raise ValueError(f"levels holds {found} bytes, not {self.rows} x {self.columns}")
        return self


class RegionRecord(Record):
    """Where an object was read: weights over patches, a box, and ``window``, the part of the image that was seen."""

    heat: HeatRecord
    box: BoxRecord
    window: BoxRecord = (0.0, 0.0, 1.0, 1.0)

    @classmethod
    def of(cls, region: Region) -> RegionRecord:
        """The record of a region."""
        return cls(heat=HeatRecord.of(region.weights, low=0.0), box=region.box, window=region.window)


class PairRecord(Record):
    """How well one attribute sits on its object in one image.

    ``evidence`` minus ``margin`` is the evidence of ``competitor``, the strongest other value ("" the bare noun). The
    probabilities, of the asked value and of the competitor in its place, are null where the scorer gives none.
    ``contrast`` is a map over the region's patches: how much more a patch looks like the asked value than like the
    competitor. Null where the scorer has no such map, and in evaluations, whose lines are kept small. Spans are (0, 0)
    in evaluations of version 1, which did not keep them. ``seen`` is the value that the object has instead where the
    verdict is "swapped" or "wrong", ``seen_of`` the object that a swapped value was asked of, and ``certainty`` the
    probability of the verdict; null in records of before. Of those "weak" is read as "unsure".
    """

    attribute: str
    attribute_span: SpanRecord
    object: str
    object_span: SpanRecord
    evidence: Number
    competitor: str
    margin: Number
    verdict: Verdict
    probability: Fraction | None
    competitor_probability: Fraction | None = None
    region: RegionRecord
    contrast: HeatRecord | None = None
    seen: str | None = None
    seen_of: str | None = None
    certainty: Fraction | None = None

    @field_validator("verdict", mode="before")
    @classmethod
    def _as_it_is_called_now(cls, verdict: Any) -> Any:
        return "unsure" if verdict == "weak" else verdict

    @classmethod
    def of(cls, pair: PairScore, contrast: bool = True) -> PairRecord:
        """The record of a pair's score, with its map of contrast if asked for."""
        return cls(
            attribute=pair.attribute.text,
            attribute_span=pair.attribute.span,
            object=pair.object.text,
            object_span=pair.object.span,
            evidence=float(pair.evidence),
            competitor=pair.competitor,
            margin=float(pair.margin),
            verdict=pair.verdict,
            probability=_float(pair.probability),
            competitor_probability=_float(pair.competitor_probability),
            region=RegionRecord.of(pair.region),
            contrast=HeatRecord.of(pair.contrast) if contrast and pair.contrast is not None else None,
            seen=pair.seen,
            seen_of=pair.seen_of,
            certainty=_float(pair.certainty),
        )


class PartRecord(Record):
    """One of the things that a score is made of, see :class:`abe_rerank.types.Part`."""

    kind: PartKind
    text: str
    value: Number
    weight: Number | None = None
    box: BoxRecord | None = None

    @classmethod
    def of(cls, part: Part) -> PartRecord:
        """The record of a part."""
        return cls(kind=part.kind, text=part.text, value=float(part.value), weight=_float(part.weight), box=part.box)


class ScoreRecord(Record):
    """The score of one image with its terms; ``value`` is null exactly when ``status`` is "unscored"."""

    value: Number | None
    status: Status
    reason: str | None
    global_score: Number | None
    local: Number | None
    binding_difference: Number | None
    pairs: tuple[PairRecord, ...]
    parts: tuple[PartRecord, ...] = ()

    @classmethod
    def of(cls, score: Score, contrast: bool = True) -> ScoreRecord:
        """The record of a score, as it stands in a report and in ``abe-rerank score --json``."""
        return ScoreRecord(
            value=_float(score.value),
            status=score.status,
            reason=score.reason,
            global_score=_float(score.global_score),
            local=_float(score.local),
            binding_difference=_float(score.binding_difference),
            pairs=tuple(PairRecord.of(pair, contrast) for pair in score.pairs),
            parts=tuple(map(PartRecord.of, score.parts)),
        )

    @model_validator(mode="after")
    def _null_where_unscored(self) -> Self:
        if (self.status == "unscored") != (self.value is None):
            raise ValueError('value must be null exactly where the status is "unscored"')
        return self


class ModelRecord(Record):
    """A model: the name it was asked for by, its class, and a SHA-256 (or its beginning) of its weights. ``tuning``:
    whether the scorer abe was tuned for a backbone, when and with what error, or how to; null where abe does not score,
    for the built-in one, and in records of before."""

    name: str
    kind: str
    weights: str
    tuning: str | None = None

    @model_serializer(mode="wrap")
    def _written(self, write: Callable[[Self], dict[str, Any]]) -> dict[str, Any]:
        """Without a null ``tuning``, so that the seal of a record of before still fits."""
        return {name: value for name, value in write(self).items() if name != "tuning" or value is not None}


def said_of(error: ValidationError) -> str:
    """The first thing that is wrong with a record: "candidates.0.rank: Input should be ..."."""
    first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    field = ".".join(map(str, first["loc"])) or "the file"
    if first["type"] == "json_invalid":
        return f"{field}: Invalid JSON at {first['msg'].rpartition(' at ')[2]}"
    return f"{field}: {first['msg'].removeprefix('Value error, ')}"


def _float(value: float | None) -> float | None:
    return None if value is None else float(value)
