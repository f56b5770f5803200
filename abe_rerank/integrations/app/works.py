"""A run while it is being made: its candidates as they come, ranked, and written as a run folder in the end."""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal
from uuid import uuid4

from abe_rerank.integrations.app.orders import Order
from abe_rerank.runs.generated import CandidateRecord, Report

if TYPE_CHECKING:
    from PIL.Image import Image

State = Literal["waiting", "loading", "drawing", "scoring", "stopping", "done", "stopped", "failed"]


@dataclass(frozen=True)
class Work:
    """A run that is made now, or was just made: what was asked, what is there of it, and how far it is.

    ``key`` is the name of its folder, ``wanted`` how many candidates it will have; ``images`` are by the SHA-256 of
    their pixels. ``drawn`` is False where the pictures were there before. ``error`` is one line.
    """

    key: str
    order: Order
    wanted: int
    state: State = "waiting"
    report: Report | None = None
    images: Mapping[str, Image] = field(default_factory=dict)
    drawn: bool = True
    error: str | None = None

    @property
    def found(self) -> tuple[CandidateRecord, ...]:
        """The candidates that are there, best first."""
        return () if self.report is None else self.report.candidates

    @property
    def busy(self) -> bool:
        """Whether it is being worked at, or waits for that."""
        return self.state not in ("done", "stopped", "failed")

    @property
    def next_seed(self) -> int:
        """The seed of the first candidate that is not there."""
        return max((c.seed for c in self.found if c.seed is not None), default=self.order.seed - 1) + 1

    @property
    def written(self) -> Report | None:
        """The report as it is written: one that was cut short says how many were asked for, so that it can go on."""
        if self.report is None or not self.drawn or self.order.strategy is not None:
            return self.report
        short = len(self.found) < self.wanted
        settings = {**self.report.settings, "n": self.wanted}
        return self.report.model_copy(update={"interrupted": short, "settings": settings})

    def with_candidates(self, report: Report, images: Mapping[str, Image]) -> Work:
        """With the candidates of ``report`` among its own, all ranked anew; the rest of the new report counts.

        Of two with one seed the last one counts, but where a strategy draws several pictures from a seed.
        """
        merged = ranked([*self.found, *report.candidates], by_seed=self.order.strategy is None)
        kept = {**self.images, **images}
        return replace(self, report=_report_of(report, merged), images=kept)


def ranked(candidates: Sequence[CandidateRecord], *, by_seed: bool = True) -> tuple[CandidateRecord, ...]:
    """Candidates best first, unscored ones last; ties keep the order of the seeds, else that in which they came.

    ``by_seed``: of two with one seed the last one counts.
    """
    seen: dict[object, CandidateRecord] = {}
    for k, candidate in enumerate(candidates):
        seen[k if candidate.seed is None or not by_seed else f"seed {candidate.seed}"] = candidate
    ordered = sorted(seen.values(), key=lambda c: c.seed or 0)
    ordered.sort(key=lambda c: (c.score.value is None, -(c.score.value or 0.0)))
    return tuple(
        c.model_copy(update={"rank": rank, "image": re.sub(r"/\d+_", f"/{rank:02d}_", c.image, count=1)})
        for rank, c in enumerate(ordered, start=1)
    )


def _report_of(report: Report, candidates: tuple[CandidateRecord, ...]) -> Report:
    picked = 1 if candidates[0].score.value is not None else None
    return report.model_copy(update={"candidates": candidates, "picked": picked})


def save(root: Path, work: Work) -> None:
    """Write the folder of a run, whole or as it was. Raises AbeRerankError if it cannot be written."""
    from abe_rerank.report.views import write_views
    from abe_rerank.runs.folders import new_run_folder
    from abe_rerank.runs.generated import write_generated

    report = work.written
    if report is None:
        return
    images = [work.images[candidate.pixels_sha256] for candidate in work.found]
    place = root / work.key
    fresh = root / f".{work.key}.{uuid4().hex[:8]}" if place.exists() else place
    with new_run_folder(fresh) as folder:
        write_generated(folder, report, images)
        write_views(folder, report, images)
    if fresh != place:
        old = fresh.with_name(f"{fresh.name}.old")
        place.rename(old)
        fresh.rename(place)
        shutil.rmtree(old, ignore_errors=True)
