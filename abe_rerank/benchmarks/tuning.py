"""Which settings of the ABE scorer suit a backbone: a search on the shapes world's choosing split.

``abe-rerank tune --backbone FOLDER`` prints the best settings; the scorer's defaults are those found for the built-in
backbone. Pictures are encoded once for each patch readout, regions once for each setting of them, and the weights of
the terms are then searched on the terms alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import TYPE_CHECKING

import numpy as np

from abe_rerank.benchmarks.binding_scenes import TASKS, twins
from abe_rerank.benchmarks.cases import Case
from abe_rerank.parsing import parse
from abe_rerank.scoring.abe import AbeScorer
from abe_rerank.scoring.terms import AbeSettings, write_settings

if TYPE_CHECKING:
    from abe_rerank.backbones import Backbone, ImageFeatures
    from abe_rerank.types import Spec

REGIONS = (("soft", 1.0), ("top", 0.04), ("top", 0.1))
SOFTNESSES = (1.0, 2.0)
SMOOTHINGS = (0.0, 0.1875)
COMPETITIONS = (1.0, 2.0, 4.0)
QUERIES = ("object", "any", "phrase")
LAMBDAS = (0.0, 0.5, 1.0, 2.0)
MUS = (0.0, 0.5, 1.0, 1.5, 2.0, 4.0)
BLOCK = 8


@dataclass(frozen=True)
class Trial:
    """Settings with their accuracy on each task, in the order of TASKS, and how often single margins are right.

    Half of an accuracy is how often a picture prefers its caption to the other, half how often a caption prefers its
    picture. ``signs``, on the tasks with swaps: half is the share of pairs in place with a positive margin, half that
    of swapped pairs with a negative one. Verdicts rest on it: settings can rank well and yet call all pairs bound.
    """

    settings: AbeSettings
    accuracy: tuple[float, ...]
    signs: float

    @property
    def mean(self) -> float:
        """Mean over the tasks and the signs, each counting the same."""
        return float(np.mean([*self.accuracy, self.signs]))


@dataclass(frozen=True)
class _Encoded:
    """One task's cases in blocks, with their features for one patch readout."""

    blocks: list[tuple[list[Case], ImageFeatures]]


def search(backbone: Backbone, scenes: int, readouts: Sequence[str], base: AbeSettings | None = None) -> list[Trial]:
    """All trials, the best first; ties keep the order in which they were tried."""
    base = base or AbeSettings()
    trials: list[Trial] = []
    cases = [[pair.case() for pair in twins(task, "choose", scenes)] for task in TASKS]
    for readout in readouts:
        tasks = [_encode(backbone, found, readout) for found in cases]
        for settings in _region_settings(replace(base, patch_readout=readout)):
            scorer = AbeScorer(backbone, settings)
            found = [_terms(scorer, task) for task in tasks]
            signs = float(np.mean([right for _, right in found if right is not None]))
            trials.extend(_weigh(settings, [numbers for numbers, _ in found], signs))
    return sorted(trials, key=lambda trial: -trial.mean)


def _region_settings(base: AbeSettings) -> Iterator[AbeSettings]:
    names = ("region", "region_share", "softness", "smoothing", "competition", "region_query")
    for region, *values in product(REGIONS, SOFTNESSES, SMOOTHINGS, COMPETITIONS, QUERIES):
        yield replace(base, **dict(zip(names, (*region, *values), strict=True)))  # type: ignore[arg-type]


def _encode(backbone: Backbone, cases: list[Case], readout: str) -> _Encoded:
    blocks = []
    for start in range(0, len(cases), BLOCK):
        block = cases[start : start + BLOCK]
        blocks.append((block, backbone.encode_images([i for case in block for i in case.images], readout)))  # type: ignore[misc]
    return _Encoded(blocks)


def _terms(scorer: AbeScorer, task: _Encoded) -> tuple[np.ndarray, float | None]:
    """(global, local, difference) of each case, [3, cases, pictures, captions], and how often margins' signs are right.

    The latter is None for tasks in which nothing is swapped.
    """
    found: list[np.ndarray] = []
    in_place: list[bool] = []
    swapped: list[bool] = []
    for block, features in task.blocks:
        specs = [parse(caption) for case in block for caption in case.captions]
        _, table = scorer.table(specs)
        t = scorer.terms(features, table)
        stacked = np.stack([x.cpu().numpy() for x in (t.global_, t.local, t.difference)])
        found += [stacked[:, 2 * k : 2 * k + 2, 2 * k : 2 * k + 2] for k in range(len(block))]
        for k, spec in enumerate(specs):
            twin = k ^ 1
            positive = (t.margins[:, k, : len(spec.pairs)] > 0).cpu().numpy()
            if _same_words(spec, specs[twin]):
                in_place += positive[k].tolist()
                swapped += (~positive[twin, [pair not in specs[twin].pairs for pair in spec.pairs]]).tolist()
    signs = float(np.mean([np.mean(in_place), np.mean(swapped)])) if swapped else None
    return np.asarray(np.nan_to_num(np.stack(found, axis=1))), signs


def _same_words(a: Spec, b: Spec) -> bool:
    """Whether two captions differ in which attribute is whose alone: one is the other with a swap."""
    return all(sorted(p[i] for p in a.pairs) == sorted(p[i] for p in b.pairs) for i in (0, 1))


def _weigh(settings: AbeSettings, tasks: list[np.ndarray], signs: float) -> Iterator[Trial]:
    for lambda_, mu in product(LAMBDAS, MUS):
        weights = np.array([settings.global_weight, lambda_, mu])
        accuracy = []
        for found in tasks:
            value = np.einsum("w,wcit->cit", weights, found)
            accuracy.append(float(np.mean([_captions_right(value), _pictures_right(value)])))
        yield Trial(replace(settings, lambda_=lambda_, mu=mu), tuple(accuracy), signs)


def _captions_right(value: np.ndarray) -> float:
    """How often a picture prefers its own caption; ``value`` is [cases, pictures, captions]."""
    return float(np.mean([value[:, 0, 0] > value[:, 0, 1], value[:, 1, 1] > value[:, 1, 0]]))


def _pictures_right(value: np.ndarray) -> float:
    """How often a caption prefers its own picture, as in picking among candidates."""
    return float(np.mean([value[:, 0, 0] > value[:, 1, 0], value[:, 1, 1] > value[:, 0, 1]]))


def as_text(trials: Sequence[Trial], count: int = 15) -> str:
    """The best trials as a table, with the best one at mu = 0 and lambda = 0 (the global score) below."""
    from abe_rerank.files import table

    plain = next(t for t in trials if t.settings.lambda_ == 0 and t.settings.mu == 0)
    searched = ["readout", "region", "share", "softness", "smoothing", "competition", "query", "lambda", "mu"]
    header = [*searched, "mean", "signs", *(t.name for t in TASKS)]
    rows = []
    for trial in (*trials[:count], plain):
        s = trial.settings
        regions = (s.patch_readout, s.region, s.region_share, s.softness, s.smoothing, s.competition, s.region_query)
        rows.append(
            [
                *map(str, (*regions, s.lambda_, s.mu)),
                f"{trial.mean:.4f}",
                *(f"{a:.3f}" for a in (trial.signs, *trial.accuracy)),
            ]
        )
    return table(header, rows)


def main(
    backbone: str | None, scenes: int, readouts: Sequence[str] | None, write: bool, allow_pickle: bool = False
) -> str:
    """Search the settings of a backbone (None: the built-in one); returns the best as a table.

    ``readouts``: the patch readouts to try, None the backbone's default. With ``write`` the best settings are kept
    beside the backbone. Raises UsageError for an unknown backbone.
    """
    from abe_rerank.backbones import load_backbone

    loaded = load_backbone(backbone, allow_pickle=allow_pickle)
    trials = search(loaded, scenes, readouts or loaded.readouts[:1])
    found = as_text(trials)
    return f"{found}\nkept the first in {write_settings(loaded.folder, trials[0].settings)}" if write else found
