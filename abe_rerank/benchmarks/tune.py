"""``abe-rerank tune``: what suits a backbone, how sure its verdicts are, and whether the scorer is worth using with it.

Settings are searched and probabilities fitted on the choosing split of several renderers (an installed wheel has one),
and everything that is said was measured on the reporting split. A tuning that is stopped goes on where it was.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from abe_rerank import __version__
from abe_rerank.backbones.devices import size_words
from abe_rerank.backbones.features import RegionPlan
from abe_rerank.benchmarks.choosing import TUNED, UNTUNED, Choice, choose
from abe_rerank.benchmarks.labelled_pairs import (
    LabelledRow,
    calibrate_on_rows,
    probabilities_of,
    row_pairs,
    row_probabilities,
    told_pairs,
)
from abe_rerank.benchmarks.preferences import Right, gain, is_own, is_swap, judge_both_ways, tasks
from abe_rerank.benchmarks.verdicts import fitted
from abe_rerank.files import read_json, write_whole
from abe_rerank.scoring.abe import AbeScorer, regions_of
from abe_rerank.scoring.calibration import Calibration, expected_calibration_error, write_calibration
from abe_rerank.scoring.clip import ClipScorer
from abe_rerank.scoring.filip import FilipScorer
from abe_rerank.scoring.terms import AbeSettings, write_settings
from abe_rerank.scoring.tuned import Tuned, kept_in, write_tuned

if TYPE_CHECKING:
    from abe_rerank.backbones import DualEncoder
    from abe_rerank.benchmarks.scene_sources import Draw

GLOBAL, FILIP = "global score", "FILIP"
ENOUGH_ROWS = 60
"""With fewer pairs of a label, the user's rows are not parted to measure what was fitted to them."""
FOREIGN_FROM = 3
"""With fewer scenes of each task none of the other renderers is asked."""
_MOST, _LEAST = 40, 4
_PER_SCENE = 24
"""Pictures for each scene of the own tasks, with their share of the foreign ones."""
_BESIDE = 0.04
"""Seconds for each of them and each readout beside encoding: drawing, reading captions, scoring."""


@dataclass(frozen=True)
class Amount:
    """How much is looked at: ``scenes`` of each task of the choosing and of the reporting split, and the readouts;
    without any no settings are searched."""

    scenes: int
    readouts: tuple[str, ...]


@dataclass(frozen=True)
class Asked:
    """What is to be done: the user's ``rows`` are measured, with ``fit_rows`` the probabilities are fitted to them."""

    amount: Amount
    rows: tuple[LabelledRow, ...] = ()
    fit_rows: bool = False


@dataclass(frozen=True)
class Outcome:
    """What a tuning found: ``right`` of each task of the reporting split, probabilities there with their truth."""

    tuned: Tuned
    choice: Choice
    calibration: Calibration
    right: Mapping[str, Right]
    probabilities: np.ndarray
    bound: np.ndarray
    rows: str
    folder: Path


class Notes:
    """Steps of a tuning that are done, in a file: a stopped one begins where it was. ``step`` names what is asked."""

    def __init__(self, file: Path, request: str, told: Callable[[str], None]) -> None:
        self.file, self.told = file, told
        kept = _kept(file)
        self.known: dict[str, Any] = kept if kept.get("request") == request else {"request": request}

    def step(self, name: str, make: Callable[[], Any]) -> Any:
        """What ``make`` gives, which must be JSON; from the file if it was made before."""
        self.told(name)
        if name not in self.known:
            self.known[name] = make()
            write_whole(self.file, json.dumps(self.known).encode())
        return self.known[name]


def _kept(file: Path) -> dict[str, Any]:
    """What a stopped tuning left in a file; nothing where it cannot be read, so that all is done again."""
    try:
        kept = read_json(file)
    except (OSError, ValueError):
        return {}
    return kept if isinstance(kept, dict) else {}


def readouts_of(backbone: DualEncoder, quick: bool) -> tuple[str, ...]:
    """The readouts to try: regions of several depths, and the patches; in a hurry one of each."""
    own = regions_of(backbone)
    plans = () if own is None else (own,) if quick else tuple(str(RegionPlan(depth=d)) for d in (0.5, 0.75, 1.0))
    dense = [name for name in backbone.readouts if name != own]
    return (*plans, *(dense[:1] if quick else dense[:2]))


def amount_for(backbone: DualEncoder, readouts: tuple[str, ...], minutes: float) -> Amount:
    """As many scenes as fit into the minutes, by the time that a few pictures take."""
    from PIL import Image

    pictures = [Image.fromarray(np.full((128, 128, 3), 40 * k, dtype=np.uint8)) for k in range(4)]
    seconds = 0.0
    for readout in readouts or (None,):
        begun = time.monotonic()
        backbone.encode_images(pictures, readout)
        seconds += (time.monotonic() - begun) / len(pictures)
    each = _PER_SCENE * (2 * seconds + _BESIDE * len(readouts))  # both splits
    return Amount(int(np.clip(0.6 * 60 * minutes / each, _LEAST, _MOST)), readouts)


def steps_of(amount: Amount) -> int:
    """How many steps :func:`tune` tells of, at most."""
    searching = len(amount.readouts) + 1 if amount.readouts else 0
    return searching + len(tasks(foreign=amount.scenes >= FOREIGN_FROM)) + 2


def tune(backbone: DualEncoder, asked: Asked, told: Callable[[str], None] = lambda _: None) -> Outcome:
    """Search, fit, measure, and keep what was found.

    Raises AbeRerankError if that cannot be written, UsageError for rows that cannot be used.
    """
    amount, folder = asked.amount, kept_in(backbone)
    notes = Notes(folder / "unfinished.json", f"{__version__} {amount}", told)
    drawn = tasks(foreign=amount.scenes >= FOREIGN_FROM)
    choice = choose(backbone, amount.readouts, amount.scenes, drawn, notes.step)
    told("fitting probabilities")
    calibration = _calibration(AbeScorer(backbone, choice.settings), asked)
    write_settings(folder, choice.settings)
    write_calibration(folder, calibration)
    right = _compared(backbone, choice.settings, amount, drawn, notes)
    told("measuring probabilities")
    scorer = AbeScorer(backbone, choice.settings, calibration)
    found = probabilities_of(told_pairs(scorer, "report", max(5, amount.scenes // 2)))
    tuned = _summary(backbone, _fitted_on(asked, len(drawn)), expected_calibration_error(*found), advice(right))
    outcome = Outcome(tuned, choice, calibration, right, *found, rows_measured(scorer, asked), folder)
    write_tuned(folder, tuned)
    notes.file.unlink(missing_ok=True)
    return outcome


def _summary(backbone: DualEncoder, fitted_on: str, error: float, advice: str) -> Tuned:
    """What is kept of a tuning, in a few words and numbers."""
    return Tuned(
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        version=__version__,
        weights=backbone.weights_hash,
        size=size_words(backbone.image_size).strip(),
        fitted_on=fitted_on,
        error=error,
        advice=advice,
    )


def _calibration(scorer: AbeScorer, asked: Asked) -> Calibration:
    """The probabilities fitted to the rows or to drawn scenes of the choosing split."""
    if asked.fit_rows:
        return calibrate_on_rows(scorer, asked.rows)
    return fitted(scorer, _fitting(asked.amount))


def _fitting(amount: Amount) -> int:
    """The scenes of each number of objects that probabilities are fitted to; fewer have too few missing ones."""
    return max(20, amount.scenes)


def _compared(
    backbone: DualEncoder, settings: AbeSettings, amount: Amount, drawn: Mapping[str, Draw], notes: Notes
) -> dict[str, Right]:
    """How often each scorer is right on each task of the reporting split."""
    untuned = AbeScorer(backbone, AbeSettings())
    tuned = untuned if settings == AbeSettings() else AbeScorer(backbone, settings)
    scorers = {TUNED: tuned, UNTUNED: untuned, GLOBAL: ClipScorer(backbone), FILIP: FilipScorer(backbone)}
    right: dict[str, Right] = {}
    for name, draw in drawn.items():
        count = amount.scenes if is_own(name) else max(2, amount.scenes // 3)
        right[name] = notes.step(
            f"measuring {name}", partial(judge_both_ways, backbone, scorers, draw("report", count))
        )
    return right


def _fitted_on(asked: Asked, tasks: int) -> str:
    """In words."""
    scenes = f"{asked.amount.scenes} scenes of each of {tasks} tasks, and a third as many of the foreign ones"
    if not asked.amount.readouts:
        scenes = f"{_fitting(asked.amount)} scenes of each of two and three objects, with settings that were there"
    return f"{scenes}; probabilities on {len(asked.rows)} labelled pictures" if asked.fit_rows else scenes


def advice(right: Mapping[str, Right]) -> str:
    """Whether to use the scorer with this backbone, in words."""
    swaps = gain({name: found for name, found in right.items() if is_swap(name)}, TUNED, GLOBAL)
    others = gain({name: found for name, found in right.items() if not is_swap(name)}, TUNED, GLOBAL)
    better = f"{swaps.mean:+.2f} [{swaps.low:+.2f}, {swaps.high:+.2f}] where attributes are swapped"
    if swaps.low <= 0:
        return f"do not use it here: against the global score {better}; --scorer clip is cheaper"
    if others.high < 0:
        return (
            f"use it for binding alone: against the global score {better}, but {others.mean:+.2f} where one is replaced"
        )
    return f"use it: against the global score {better}"


def rows_measured(scorer: AbeScorer, asked: Asked) -> str:
    """How the probabilities fit the user's own labelled pictures; "" without any.

    Where they were fitted to these pictures and there are enough of them, each half is told by what was fitted to the
    other.
    """
    rows = asked.rows
    if not rows:
        return ""
    likely, bound = row_probabilities(row_pairs(scorer, rows))
    own = f"your own {len(rows)} pictures, {len(bound)} pairs"
    if asked.fit_rows and min(bound.sum(), (~bound).sum()) >= ENOUGH_ROWS:
        ordered = sorted(rows, key=lambda row: row.bound)
        halves = (ordered[::2], ordered[1::2])
        refitted = partial(AbeScorer, scorer.backbone, scorer.settings)
        parts = [
            row_probabilities(row_pairs(refitted(calibrate_on_rows(scorer, half)), other))
            for half, other in (halves, halves[::-1])
        ]
        likely, bound = (np.concatenate(column) for column in zip(*parts, strict=True))
        own += ", each half by what was fitted to the other"
    elif asked.fit_rows:
        own += " that the probabilities were fitted to"
    right = float(np.mean((likely >= 0.5) == bound))
    error = expected_calibration_error(likely, bound)
    return f"{own}: {right:.3f} told right, calibration error {error:.3f}"
