"""A ranking as the views show it, where there is no run folder: candidates as records, each with a name of its own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from abe_rerank.runs.generated import CandidateRecord, candidate_record
from abe_rerank.types import Candidate, Ranking


@dataclass(frozen=True)
class Ranked:
    """What a contact sheet needs to know; the names are those of :class:`abe_rerank.runs.generated.Report`."""

    prompt: str
    picked: int | None
    candidates: tuple[CandidateRecord, ...]


def ranked(ranking: Ranking, name: Callable[[Candidate], str | None] = lambda candidate: candidate.source) -> Ranked:
    """The candidates of a ranking, best first; one without a seed is called by its ``name``, or else by its rank."""
    records = []
    for rank, candidate in enumerate(ranking.candidates, start=1):
        called, record = name(candidate), candidate_record(rank, candidate)
        named = {} if called is None else {"image": f"{rank:02d}_{Path(called).stem}.png"}
        records.append(record.model_copy(update=named))
    picked = 1 if records and records[0].score.value is not None else None
    return Ranked(ranking.prompt, picked, tuple(records))
