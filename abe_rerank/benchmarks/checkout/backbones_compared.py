"""``abe-rerank benchmark backbones``: what the scorers are worth on each of several backbones, tuned and untuned."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np

from abe_rerank.benchmarks.binding_benchmark import time_ratio
from abe_rerank.benchmarks.binding_scenes import scenes as draw_scenes
from abe_rerank.benchmarks.choosing import TUNED, UNTUNED
from abe_rerank.benchmarks.labelled_pairs import localise, probabilities_of, told_pairs, verdict_counts
from abe_rerank.benchmarks.preferences import Preference, judge_both_ways, preferences, tasks
from abe_rerank.benchmarks.scene_sources import shown
from abe_rerank.benchmarks.tune import FILIP, GLOBAL
from abe_rerank.evaluation.statistics import Interval, bootstrap_mean
from abe_rerank.files import table
from abe_rerank.scoring.abe import AbeScorer
from abe_rerank.scoring.calibration import expected_calibration_error
from abe_rerank.scoring.clip import ClipScorer
from abe_rerank.scoring.filip import FilipScorer
from abe_rerank.scoring.registry import make_scorer, title
from abe_rerank.scoring.terms import AbeSettings

if TYPE_CHECKING:
    from abe_rerank.backbones import Backbone
    from abe_rerank.scoring import Scorer
    from abe_rerank.shapes.world import ReportSplit


@dataclass(frozen=True)
class Reading:
    """How one ABE scorer reads a backbone: where it looks, its verdicts on pairs of each kind, its calibration error,
    and its processor time over the plain forward's.
    """

    pointing: Interval
    verdicts: Mapping[str, Mapping[str, int]]
    calibration_error: float
    time_ratio: float


@dataclass(frozen=True)
class Compared:
    """One backbone: the preferences of each scorer on each task, and the reading of each ABE scorer."""

    backbone: str
    weights: str
    preferences: tuple[Preference, ...]
    readings: Mapping[str, Reading]


def scorers_of(backbone: Backbone) -> dict[str, Scorer]:
    """ABE at its defaults, ABE with the settings that are kept for the backbone where there are any, the others."""
    own, plain = AbeScorer(backbone), AbeScorer(backbone, AbeSettings())
    tuned: dict[str, Scorer] = {TUNED: own} if own.stamp != plain.stamp or own.calibration is not None else {}
    others = {title(name): make_scorer(name, backbone) for name in ("comclip", "powerclip", "random")}
    return {**tuned, UNTUNED: plain, GLOBAL: ClipScorer(backbone), FILIP: FilipScorer(backbone), **others}


def compare(backbone: Backbone, scenes: int, split: ReportSplit = "report") -> Compared:
    """Everything about one backbone on ``scenes`` scenes of each task of the own world."""
    scorers = scorers_of(backbone)
    found: list[Preference] = []
    for name, draw in tasks(foreign=False).items():
        found += preferences(name, judge_both_ways(backbone, scorers, draw(split, scenes)))
    readings = {
        name: _reading(backbone, scorer, scenes, split)
        for name, scorer in scorers.items()
        if isinstance(scorer, AbeScorer)
    }
    return Compared(backbone.name, backbone.weights_hash, tuple(found), readings)


def _reading(backbone: Backbone, scorer: AbeScorer, scenes: int, split: ReportSplit) -> Reading:
    seen = localise(scorer, map(shown, islice(draw_scenes(2, split), scenes)))
    told = told_pairs(scorer, split, max(5, scenes // 4))
    return Reading(
        pointing=bootstrap_mean(np.asarray(seen.pointing)),
        verdicts=verdict_counts(told),
        calibration_error=expected_calibration_error(*probabilities_of(told)),
        time_ratio=time_ratio(backbone, scorer.settings, images=8, repeats=5),
    )


def as_text(found: Sequence[Compared]) -> str:
    """A table for each backbone: right caption / right picture preferred, and how ABE reads it."""
    parts = []
    for one in found:
        names = list(dict.fromkeys(row.task for row in one.preferences))
        lines = []
        for scorer in dict.fromkeys(row.scorer for row in one.preferences):
            rows = [row for row in one.preferences if row.scorer == scorer]
            lines.append([scorer, *(f"{row.captions.mean:.3f} / {row.pictures.mean:.3f}" for row in rows)])
        parts.append(f"{one.backbone} ({one.weights}): right caption / right picture preferred")
        parts.append(table(["", *names], lines))
        parts += [_words(name, reading) for name, reading in one.readings.items()]
    return "\n".join(parts)


def _words(name: str, reading: Reading) -> str:
    said = "; ".join(
        f"{kind}: " + ", ".join(f"{verdict} {count}" for verdict, count in sorted(counts.items(), key=lambda x: -x[1]))
        for kind, counts in reading.verdicts.items()
    )
    return (
        f"{name}: pointing {reading.pointing}, calibration error {reading.calibration_error:.3f}, "
        f"{reading.time_ratio:.2f} times the plain forward; verdicts on {said}"
    )


def as_json(found: Sequence[Compared]) -> str:
    """The same as JSON."""
    return json.dumps(
        {"schema_version": 1, "benchmark": "backbones", "backbones": [asdict(one) for one in found]}, indent=1
    )
