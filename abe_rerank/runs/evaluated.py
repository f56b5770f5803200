"""The files of an evaluation run, schema version 2: ``run.json`` and the lines of ``results.jsonl``.

    RUN/run.json             what was run: settings, models with hashes of their weights, versions (a RunRecord)
    RUN/prompts.jsonl        the prompts, in order, as lines of a suite
    RUN/results/*.jsonl      one file for each process, appended to as results come
    RUN/results.jsonl        all lines, in the order of prompts and seeds, once the run is complete
    RUN/images/              the images that were drawn; images that existed before stay where they are
    RUN/report.html          the page of the complete run

A result is one (prompt, seed), or one (prompt, file) for images that existed before.
"""

from __future__ import annotations

import hashlib
import json
from typing import Literal

from pydantic import Field, JsonValue

from abe_rerank.drawing.strategies import Tried
from abe_rerank.recipes import Recipe
from abe_rerank.runs.records import Count, Fraction, ModelRecord, Number, PartRecord, Record, ScoreRecord
from abe_rerank.types import Score, Status

Key = tuple[int, int]
"""(index of the prompt, index of the image among those of the prompt), both from 0."""


class JudgeResult(Record):
    """What another scorer than the selecting one says; ``value`` is null exactly when ``status`` is "unscored".
    ``parts`` is what it is made of, as of a score."""

    value: Number | None
    status: Status
    reason: str | None = None
    parts: tuple[PartRecord, ...] = ()


class OracleResult(Record):
    """Whether the detector of the shapes world finds what was asked; ``right`` is null where it cannot judge."""

    right: bool | None
    reason: str | None = None


class _Place(Record):
    """Which image of which prompt a result is about."""

    schema_version: Literal[2] = 2
    index: Count
    candidate: Count
    prompt_id: str
    category: str
    prompt: str
    seed: int | None
    steps: int | None = None
    renewed: tuple[tuple[int, Fraction], ...] = ()
    image: str | None
    pixels_sha256: str | None = None


class Result(ScoreRecord, _Place):
    """One image of one prompt: its score with each pair, what the judge says, what the oracle says.

    ``index`` counts prompts from 0 and ``candidate`` the images of a prompt from 0; ``seed`` is null for images that
    existed before, whose path is ``image``; drawn images have a path within the run folder. ``steps`` (of a draft) and
    ``renewed`` are those of the image's recipe, where a strategy asked for it; a draft is never picked.
    ``pixels_sha256`` is that of the image that was scored, as in reports, null where there was none and in lines of
    version 1. An image that could not be read or drawn has status "unscored" with its reason, and ``image`` is null if
    there is none.
    """

    judge: JudgeResult | None = None
    oracle: OracleResult | None = None

    @property
    def key(self) -> Key:
        """(prompt, candidate): the unit of work, and the order of the merged file."""
        return (self.index, self.candidate)

    @property
    def tried(self) -> Tried:
        """What a strategy knows of it. Raises ValueError for an image that was not drawn here."""
        if self.seed is None:
            raise ValueError("the image was not drawn here")
        recipe = Recipe(self.seed, self.steps, self.renewed)
        return Tried(recipe, self.value, self.status, tuple(pair.probability for pair in self.pairs))

    def line(self) -> str:
        """The result as one line of JSONL, without the newline."""
        return self.model_dump_json()


def terms_of(score: Score, contrast: bool = False) -> dict[str, object]:
    """The fields of a :class:`Result` that come from a score, with its maps of contrast if they are wanted."""
    return dict(ScoreRecord.of(score, contrast))


class RunRecord(Record):
    """``run.json``: everything that results depend on, and what made them; ``processes`` is how many began the run.

    ``identity`` holds what must be equal for a run to be resumed; ``text_to_image`` is null where images existed
    before. ``prompts_sha256`` is that of ``prompts.jsonl``. ``seal`` is a SHA-256 over all the rest, so that a file
    that was edited is told from one that was written; null in version 1.
    """

    schema_version: Literal[2] = 2
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
    processes: int | None = None
    seal: str | None = None

    @property
    def identity(self) -> dict[str, JsonValue]:
        """What a resumed run must agree on: all but the time, the versions and the command."""
        kept = self.model_dump(mode="json")
        for name in ("schema_version", "created", "versions", "command", "processes", "seal"):
            del kept[name]
        return kept

    @property
    def is_fixed(self) -> bool:
        """Whether ``n`` images of each prompt are drawn; else as many as a strategy asks for, 2 ``n`` at most."""
        return self.text_to_image is not None and "strategy" not in self.settings

    def sealed(self) -> RunRecord:
        """The same with its seal."""
        return self.model_copy(update={"seal": self.expected_seal})

    @property
    def expected_seal(self) -> str:
        """The seal of what the record holds."""
        left_out = {"seal"} if self.processes else {"seal", "processes"}  # of a version that did not say it
        kept = json.dumps(self.model_dump(mode="json", exclude=left_out), sort_keys=True)
        return hashlib.sha256(kept.encode()).hexdigest()

    def text(self) -> bytes:
        """The bytes of ``run.json``."""
        return (self.sealed().model_dump_json(indent=1) + "\n").encode()
