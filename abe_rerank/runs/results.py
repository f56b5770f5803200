"""The files of an evaluation run, schema version 1: ``run.json`` and the lines of ``results.jsonl``.

    RUN/run.json             what was run: settings, models with hashes of their weights, versions (a RunRecord)
    RUN/prompts.jsonl        the prompts, in order, as lines of a suite
    RUN/results/*.jsonl      one file for each process, appended to as results come
    RUN/results.jsonl        all lines, in the order of prompts and seeds, once the run is complete
    RUN/images/              the images that were drawn; images that existed before stay where they are
    RUN/report.html          the page of the complete run

A result is one (prompt, seed), or one (prompt, file) for images that existed before. Boxes are (left, top, right,
bottom) as fractions of the image; scores, evidence and margins are cosines or differences of cosines.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, JsonValue

from abe_rerank.runs.build import pair_terms, score_terms
from abe_rerank.runs.report_record import ModelRecord
from abe_rerank.types import Box, PairScore, Region, Score, Status, Verdict


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class HeatRecord(_Record):
    """Where an object was found, small enough for a line: the region's weights as bytes, 255 the largest.

    ``levels`` is base64 of uint8 [rows, columns], row by row, over ``window``, the part of the image that was seen.
    """

    rows: int = Field(ge=1)
    columns: int = Field(ge=1)
    levels: str
    box: Box
    window: Box

    @classmethod
    def of(cls, region: Region) -> HeatRecord:
        """The record of a region."""
        weights = np.asarray(region.weights, dtype=np.float64)
        levels = np.rint(255 * weights / max(float(weights.max()), 1e-12)).astype(np.uint8)
        rows, columns = levels.shape
        text = b64encode(levels.tobytes()).decode("ascii")
        return cls(rows=rows, columns=columns, levels=text, box=region.box, window=region.window)

    @property
    def weights(self) -> NDArray[np.float64]:
        """Weights [rows, columns] whose largest is 1 (all 0 if the region is empty)."""
        levels = np.frombuffer(b64decode(self.levels), np.uint8).reshape(self.rows, self.columns)
        return levels / 255


class PairResult(_Record):
    """One attribute on its object, as in a report; probabilities are null where the backbone is not calibrated."""

    attribute: str
    object: str
    evidence: float
    competitor: str
    margin: float
    verdict: Verdict
    probability: float | None
    competitor_probability: float | None = None
    heat: HeatRecord

    @classmethod
    def of(cls, pair: PairScore) -> PairResult:
        """The record of a pair's score."""
        return cls(**pair_terms(pair), heat=HeatRecord.of(pair.region))


class JudgeResult(_Record):
    """What another scorer than the selecting one says; ``value`` is null exactly when ``status`` is "unscored"."""

    value: float | None
    status: Status
    reason: str | None = None


class OracleResult(_Record):
    """Whether the detector of the shapes world finds what was asked; ``right`` is null where it cannot judge."""

    right: bool | None
    reason: str | None = None


class Result(_Record):
    """One image of one prompt: its score with each pair, what the judge says, what the oracle says.

    ``index`` counts prompts from 0 and ``candidate`` the images of a prompt from 0; ``seed`` is null for images that
    existed before, whose path is ``image``; drawn images have a path within the run folder. An image that could not be
    read or drawn has status "unscored" with its reason, and ``image`` is null if there is none.
    """

    schema_version: Literal[1] = 1
    index: int = Field(ge=0)
    candidate: int = Field(ge=0)
    prompt_id: str
    category: str
    prompt: str
    seed: int | None
    image: str | None
    value: float | None
    status: Status
    reason: str | None
    global_score: float | None
    local: float | None
    binding_difference: float | None
    pairs: tuple[PairResult, ...]
    judge: JudgeResult | None = None
    oracle: OracleResult | None = None

    @property
    def key(self) -> tuple[int, int]:
        """(prompt, candidate): the unit of work, and the order of the merged file."""
        return (self.index, self.candidate)

    def line(self) -> str:
        """The result as one line of JSONL, without the newline."""
        return self.model_dump_json()


def terms_of(score: Score) -> dict[str, object]:
    """The fields of a :class:`Result` that come from a score."""
    return {**score_terms(score), "pairs": tuple(PairResult.of(pair) for pair in score.pairs)}


class RunRecord(_Record):
    """``run.json``: everything that results depend on, and what made them.

    ``identity`` holds what must be equal for a run to be resumed; ``text_to_image`` is null where images existed
    before. ``prompts_sha256`` is that of ``prompts.jsonl``.
    """

    schema_version: Literal[1] = 1
    created: str
    suite: str
    prompts: int = Field(ge=1)
    prompts_sha256: str
    n: int = Field(ge=1)
    scorer: str
    judge: str | None
    oracle: bool
    text_to_image: ModelRecord | None
    backbone: ModelRecord
    settings: dict[str, JsonValue]
    versions: dict[str, str]
    command: str

    @property
    def identity(self) -> dict[str, JsonValue]:
        """What a resumed run must agree on: all but the time, the versions and the command."""
        kept = self.model_dump(mode="json")
        for name in ("created", "versions", "command"):
            del kept[name]
        return kept
