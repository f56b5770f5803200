"""A ranking and what is known of its run -> a :class:`~abe_rerank.runs.report_record.Report`."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from pydantic import JsonValue

from abe_rerank.runs.provenance import versions, weights_sha256
from abe_rerank.runs.report_record import (
    CandidateRecord,
    Commands,
    ModelRecord,
    PairRecord,
    ParseRecord,
    RegionRecord,
    Report,
    ScoreRecord,
)
from abe_rerank.types import Candidate, PairScore, Ranking, Score, Spec

if TYPE_CHECKING:
    import numpy as np
    from PIL.Image import Image

    from abe_rerank.backbones import Backbone
    from abe_rerank.drawing.pipelines import Pipeline


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
        parse=parse_record(ranking.spec),
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


def pipeline_record(pipeline: Pipeline, name: str) -> ModelRecord:
    """The record of a text-to-image pipeline that was asked for by ``name``."""
    from abe_rerank.drawing.pipelines import modules

    return ModelRecord(name=name, kind=type(pipeline).__name__, weights=weights_sha256(modules(pipeline)))


def backbone_record(backbone: Backbone, name: str) -> ModelRecord:
    """The record of a backbone that was asked for by ``name``."""
    return ModelRecord(name=name, kind=backbone.kind, weights=backbone.weights_hash)


def candidate_file(rank: int, candidate: Candidate) -> str:
    """The path of a candidate's image within its run folder: ``candidates/<rank>_seed<seed>.png``."""
    return f"candidates/{rank:02d}_seed{'none' if candidate.seed is None else candidate.seed}.png"


def _candidate_record(rank: int, candidate: Candidate) -> CandidateRecord:
    image = candidate.image
    return CandidateRecord(
        rank=rank,
        seed=candidate.seed,
        image=candidate_file(rank, candidate),
        width=image.width,
        height=image.height,
        pixels_sha256=pixels_sha256(image),
        score=score_record(candidate.score),
    )


def pixels_sha256(image: Image) -> str:
    """SHA-256 of an image's RGB bytes, row by row."""
    return hashlib.sha256(image.convert("RGB").tobytes()).hexdigest()


def parse_record(spec: Spec) -> ParseRecord:
    """The parse of a prompt, as it stands in a report and in ``abe-rerank parse --json``."""
    parts = {name: asdict(spec)[name] for name in ("objects", "relations", "ignored")}
    return ParseRecord.model_validate({**parts, "pairs": spec.pairs, "nothing_to_bind": spec.nothing_to_bind})


def score_record(score: Score) -> ScoreRecord:
    """One image's score, as it stands in a report and in ``abe-rerank score --json``."""
    return ScoreRecord(**score_terms(score), pairs=tuple(_pair_record(pair) for pair in score.pairs))


def score_terms(score: Score) -> dict[str, Any]:
    """What every record of a score holds besides its pairs."""
    return {
        "value": score.value,
        "status": score.status,
        "reason": score.reason,
        "global_score": score.global_score,
        "local": score.local,
        "binding_difference": score.binding_difference,
    }


def pair_terms(pair: PairScore) -> dict[str, Any]:
    """What every record of a pair's score holds besides its region."""
    return {
        "attribute": pair.attribute.text,
        "object": pair.object.text,
        "evidence": float(pair.evidence),
        "competitor": pair.competitor,
        "margin": float(pair.margin),
        "verdict": pair.verdict,
        "probability": None if pair.probability is None else float(pair.probability),
        "competitor_probability": (None if pair.competitor_probability is None else float(pair.competitor_probability)),
    }


def _pair_record(pair: PairScore) -> PairRecord:
    return PairRecord(
        **pair_terms(pair),
        attribute_span=pair.attribute.span,
        object_span=pair.object.span,
        region=RegionRecord(weights=_rows(pair.region.weights, 6), box=pair.region.box, window=pair.region.window),
        contrast=None if pair.contrast is None else _rows(pair.contrast, 4),
    )


def _rows(grid: np.ndarray, digits: int) -> tuple[tuple[float, ...], ...]:
    return tuple(tuple(round(float(value), digits) for value in row) for row in grid)


def to_json(report: Report) -> str:
    """The text of ``report.json``: indented, with each row of numbers on one line."""
    return re.sub(r"\[\n[-+.\deE,\s]+\]", lambda row: " ".join(row[0].split()), report.model_dump_json(indent=1)) + "\n"


def _json(value: object) -> JsonValue:
    """A setting as JSON holds it; what JSON cannot hold (an array, a device) is written by its repr."""
    try:
        return json.loads(json.dumps(value, allow_nan=False))  # type: ignore[no-any-return]
    except (TypeError, ValueError):
        return repr(value)
