"""``abe-rerank tune``: what suits a backbone, how sure its verdicts are, and whether the scorer is worth using with it.

Settings are searched and probabilities fitted on the choosing split of several renderers (an installed wheel has one),
and everything that is said was measured on the reporting split. A tuning that is stopped goes on where it was.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from abe_rerank import __version__
from abe_rerank.backbones.devices import size_words
from abe_rerank.backbones.features import REGIONS, RegionPlan
from abe_rerank.benchmarks.labelled_pairs import LabelledRow, calibrate_on_shapes, labelled_pairs, row_numbers
from abe_rerank.benchmarks.preferences import Right, gain, is_own, is_swap, judge_both_ways, preferences, tasks
from abe_rerank.benchmarks.tuning import Trial, search
from abe_rerank.evaluation.statistics import Interval
from abe_rerank.files import read_json, write_whole
from abe_rerank.scoring.abe import AbeScorer
from abe_rerank.scoring.calibration import Calibration, expected_calibration_error, write_calibration
from abe_rerank.scoring.clip import ClipScorer
from abe_rerank.scoring.filip import FilipScorer
from abe_rerank.scoring.terms import AbeSettings, write_settings
from abe_rerank.scoring.tuned import Tuned, kept_in, write_tuned

if TYPE_CHECKING:
    from abe_rerank.backbones import DualEncoder
    from abe_rerank.benchmarks.scene_sources import Draw

TUNED, UNTUNED, GLOBAL, FILIP = "ABE, tuned", "ABE, untuned", "global score", "FILIP"
DENSE = AbeSettings(region="top", softness=2.0, competition=2.0, local="regions", lambda_=1.0, mu=1.5)
"""Where patches are read, the search begins from what suits the built-in backbone."""
ENOUGH = 0.005
"""Settings that are no more than this better on the choosing split than the defaults are not taken for them."""
PAGE = "tuned.html"
FOREIGN_FROM = 3
"""With fewer scenes of each task none of the other renderers is asked."""
_MOST, _LEAST = 40, 4
_PER_SCENE = 24
"""Pictures for each scene of the own tasks, with their share of the foreign ones."""


@dataclass(frozen=True)
class Amount:
    """How much is looked at: ``scenes`` of each task of the choosing and of the reporting split, and the readouts."""

    scenes: int
    readouts: tuple[str, ...]


@dataclass(frozen=True)
class Outcome:
    """What a tuning found: ``right`` of each task of the reporting split, probabilities there with their truth."""

    tuned: Tuned
    settings: AbeSettings
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
    depths = (0.75,) if quick else (0.5, 0.75, 1.0)
    plans = [str(RegionPlan(depth=depth)) for depth in depths] if REGIONS in backbone.readouts else []
    dense = [name for name in backbone.readouts if name != REGIONS]
    return (*plans, *(dense[:1] if quick else dense[:2]))


def amount_for(backbone: DualEncoder, minutes: float, quick: bool) -> Amount:
    """As many scenes as fit into the minutes, by the time that a few pictures take."""
    from PIL import Image

    pictures = [Image.fromarray(np.full((128, 128, 3), 40 * k, dtype=np.uint8)) for k in range(4)]
    readouts = readouts_of(backbone, quick)
    seconds = 0.0
    for readout in readouts:
        begun = time.monotonic()
        backbone.encode_images(pictures, readout)
        seconds += (time.monotonic() - begun) / len(pictures)
    each = _PER_SCENE * (2 * seconds + 0.01 * len(readouts))  # both splits; scoring beside encoding
    return Amount(int(np.clip(0.6 * 60 * minutes / each, _LEAST, _MOST)), readouts)


def steps_of(amount: Amount) -> int:
    """How many steps :func:`tune` tells of."""
    return len(amount.readouts) + len(tasks(foreign=amount.scenes >= FOREIGN_FROM)) + 2


def tune(
    backbone: DualEncoder,
    amount: Amount,
    rows: Sequence[LabelledRow] = (),
    told: Callable[[str], None] = lambda _: None,
) -> Outcome:
    """Search, fit, measure, and keep what was found in the user's data folder.

    Raises AbeRerankError if that cannot be written, UsageError for rows that cannot be used.
    """
    folder = kept_in(backbone)
    notes = Notes(folder / "unfinished.json", f"{__version__} {amount}", told)
    drawn = tasks(foreign=amount.scenes >= FOREIGN_FROM)
    others = {name: draw for name, draw in drawn.items() if not is_own(name)}
    trials = []
    for readout in amount.readouts:
        base = AbeSettings() if readout.startswith(REGIONS) else DENSE
        look = partial(_searched, backbone, amount.scenes, readout, base, others)
        trials += [_trial(row) for row in notes.step(f"reading {readout}", look)]
    settings = choose(trials)
    scorer = AbeScorer(backbone, settings)
    calibration = calibrate_on_shapes(scorer, max(10, amount.scenes))
    told("fitting probabilities")
    scorers = {
        TUNED: scorer,
        UNTUNED: AbeScorer(backbone, AbeSettings()),
        GLOBAL: ClipScorer(backbone),
        FILIP: FilipScorer(backbone),
    }
    right: dict[str, Right] = {}
    for name, draw in drawn.items():
        count = amount.scenes if is_own(name) else max(2, amount.scenes // 3)
        ask = partial(judge_both_ways, backbone, scorers, draw("report", count))
        right[name] = notes.step(f"measuring {name}", ask)
    told("measuring probabilities")
    pairs = labelled_pairs(scorer, "report", max(5, amount.scenes // 2))
    probabilities = calibration.probabilities(pairs.features)
    tuned = Tuned(
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        version=__version__,
        weights=backbone.weights_hash,
        size=size_words(backbone.image_size).strip(),
        fitted_on=f"{amount.scenes} scenes of each of {len(drawn)} tasks, and a third as many of the foreign ones",
        error=expected_calibration_error(probabilities, pairs.bound),
        advice=advice(right),
    )
    write_settings(folder, settings)
    write_calibration(folder, calibration)
    outcome = Outcome(
        tuned,
        settings,
        calibration,
        right,
        probabilities,
        pairs.bound,
        rows_measured(scorer, calibration, rows),
        folder,
    )
    write_tuned(folder, tuned)
    (folder / "unfinished.json").unlink(missing_ok=True)
    return outcome


def forget(backbone: DualEncoder) -> None:
    """Take what is kept for a backbone away."""
    shutil.rmtree(kept_in(backbone), ignore_errors=True)


def choose(trials: Sequence[Trial]) -> AbeSettings:
    """The best settings, or the defaults if they are as good but for ENOUGH."""
    best = max(trials, key=lambda trial: trial.mean)
    plain = [t for t in trials if replace(t.settings, patch_readout=None) == AbeSettings()]
    near = [t for t in plain if t.mean >= best.mean - ENOUGH]
    return max(near, key=lambda trial: trial.mean).settings if near else best.settings


def _searched(
    backbone: DualEncoder, scenes: int, readout: str, base: AbeSettings, others: Mapping[str, Draw]
) -> list[dict[str, Any]]:
    """The best trial of a readout, and that with the default settings, as JSON."""
    trials = search(backbone, scenes, [readout], base, others)
    plain = [t for t in trials[1:] if replace(t.settings, patch_readout=None) == AbeSettings()]
    return [asdict(trial) for trial in (*trials[:1], *plain)]


def _trial(row: Mapping[str, Any]) -> Trial:
    return Trial(AbeSettings(**row["settings"]), tuple(row["accuracy"]), row["signs"])


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


def rows_measured(scorer: AbeScorer, calibration: Calibration, rows: Sequence[LabelledRow]) -> str:
    """How the probabilities fit the user's own labelled pictures, which nothing was fitted to; "" without any."""
    if not rows:
        return ""
    found = [(numbers, row.bound) for row in rows for numbers in row_numbers(scorer, row)]
    probabilities = calibration.probabilities(np.array([numbers for numbers, _ in found]))
    bound = np.array([label for _, label in found])
    right = float(np.mean((probabilities >= 0.5) == bound))
    error = expected_calibration_error(probabilities, bound)
    return f"your own {len(rows)} pictures, {len(found)} pairs: {right:.3f} told right, calibration error {error:.3f}"


def as_text(outcome: Outcome) -> str:
    """The outcome in words and a table."""
    from abe_rerank.files import table

    names = list(next(iter(outcome.right.values())))
    lines = []
    for task, found in outcome.right.items():
        cells = {row.scorer: f"{row.captions.mean:.2f} / {row.pictures.mean:.2f}" for row in preferences(task, found)}
        lines.append([task, *(cells[name] for name in names)])
    said = [
        table(["right caption / right picture", *names], lines),
        *sentences(outcome),
        *([outcome.rows] if outcome.rows else []),
        f"kept in {outcome.folder}; the page: {outcome.folder / PAGE}",
    ]
    return "\n".join(said)


def sentences(outcome: Outcome) -> list[str]:
    """What was measured on scenes held back, in words."""
    groups = {
        "Where two attributes are swapped": [n for n in outcome.right if is_swap(n)],
        "Where a colour or a shape is replaced": [n for n in outcome.right if not is_swap(n)],
    }
    said = []
    for opening, names in groups.items():
        found = {name: outcome.right[name] for name in names}
        shares = ", ".join(f"{scorer} in {_both(found, scorer)}" for scorer in next(iter(found.values())))
        said.append(f"{opening}, the right caption and picture are preferred: {shares}.")
    said.append(f"Calibration error {outcome.tuned.error:.3f} over {len(outcome.bound)} pairs. {outcome.tuned.advice}.")
    return said


def _both(found: Mapping[str, Right], scorer: str) -> Interval:
    nothing: Mapping[str, Right] = {
        n: {**f, "": ([0.0] * len(f[scorer][0]), [0.0] * len(f[scorer][1]))} for n, f in found.items()
    }
    return gain(nothing, scorer, "")
