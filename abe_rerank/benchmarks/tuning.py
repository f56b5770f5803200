"""Which settings of the ABE scorer suit a backbone: a search on scenes of the choosing split.

Pictures are drawn once, encoded once for each readout, phrases read once for each way to ask, regions found once for
each setting of them, and the weights of the terms are then searched on the terms alone.
:mod:`abe_rerank.benchmarks.tune` is the whole of ``abe-rerank tune``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np

from abe_rerank.backbones.features import read_plan
from abe_rerank.benchmarks.binding_scenes import TASKS, twins
from abe_rerank.benchmarks.cases import Case, blocks
from abe_rerank.parsing import parse
from abe_rerank.scoring.abe import AbeScorer
from abe_rerank.scoring.terms import AbeSettings

if TYPE_CHECKING:
    from abe_rerank.backbones import Backbone, ImageFeatures
    from abe_rerank.benchmarks.scene_sources import Draw
    from abe_rerank.scoring.phrase_table import PromptTable
    from abe_rerank.types import Spec

REGIONS = (("soft", 1.0), ("top", 0.04), ("top", 0.1))
SOFTNESSES = (1.0, 2.0)
SMOOTHINGS = (0.0, 0.1875)
COMPETITIONS = (1.0, 2.0)
QUERIES = ("any", "phrase")
LAMBDAS = (0.0, 0.5, 1.0, 2.5, 4.0)
MUS = (0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0)


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
class _Block:
    """Some cases of a task: their captions, two of each case, and the features of their pictures, likewise."""

    specs: list[Spec]
    features: ImageFeatures


def draw_cases(scenes: int, others: Mapping[str, Draw] | None = None) -> list[list[Case]]:
    """The cases of the choosing split: ``scenes`` of each of TASKS, and a third as many of the tasks of ``others``."""
    cases = [[pair.case() for pair in twins(task, "choose", scenes)] for task in TASKS]
    return cases + [list(draw("choose", max(1, scenes // 3))) for draw in (others or {}).values()]


def search(
    backbone: Backbone, cases: Sequence[list[Case]], readouts: Sequence[str], base: AbeSettings | None = None
) -> list[Trial]:
    """All trials on the cases of each task, the best first; ties keep the order in which they were tried."""
    base = base or AbeSettings()
    trials: list[Trial] = []
    for readout in readouts:
        tasks = [_encode(backbone, found, readout) for found in cases]
        tables: dict[str, list[list[PromptTable]]] = {}
        for settings in _region_settings(replace(base, patch_readout=readout)):
            scorer = AbeScorer(backbone, settings)
            if settings.region_query not in tables:  # nothing else that is searched changes which phrases are read
                tables[settings.region_query] = [[scorer.table(block.specs)[1] for block in task] for task in tasks]
            found = [_terms(scorer, *task) for task in zip(tasks, tables[settings.region_query], strict=True)]
            signs = float(np.mean([right for _, right in found if right is not None]))
            trials.extend(_weigh(settings, [numbers for numbers, _ in found], signs))
    return sorted(trials, key=lambda trial: -trial.mean)


def _region_settings(base: AbeSettings) -> Iterator[AbeSettings]:
    """Windows overlap and are few: their regions are soft, and have no neighbours."""
    names = ("region", "region_share", "softness", "smoothing", "competition", "region_query")
    of_patches = read_plan(base.patch_readout or "") is None
    regions, smoothings = (REGIONS, SMOOTHINGS) if of_patches else (REGIONS[:1], SMOOTHINGS[:1])
    for region, *values in product(regions, SOFTNESSES, smoothings, COMPETITIONS, QUERIES):
        yield replace(base, **dict(zip(names, (*region, *values), strict=True)))


def _encode(backbone: Backbone, cases: list[Case], readout: str) -> list[_Block]:
    found: list[tuple[list[Case], Any]] = [
        (block, [i for case in block for i in case.images]) for block in blocks(cases)
    ]
    return [
        _Block(
            [parse(caption) for case in block for caption in case.captions], backbone.encode_images(pictures, readout)
        )
        for block, pictures in found
    ]


def _terms(scorer: AbeScorer, task: Sequence[_Block], tables: Sequence[PromptTable]) -> tuple[np.ndarray, float | None]:
    """(global, local, difference) of each case, [3, cases, pictures, captions], and how often margins' signs are right.

    The latter is None for tasks in which nothing is swapped.
    """
    found: list[np.ndarray] = []
    in_place: list[bool] = []
    swapped: list[bool] = []
    for block, table in zip(task, tables, strict=True):
        specs = block.specs
        t = scorer.terms(block.features, table)
        stacked = np.stack([x.cpu().numpy() for x in (t.global_, t.local, t.difference)])
        found += [stacked[:, k : k + 2, k : k + 2] for k in range(0, len(specs), 2)]
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
            right = [value[:, 0, 0] > value[:, 0, 1], value[:, 1, 1] > value[:, 1, 0]]
            picked = [value[:, 0, 0] > value[:, 1, 0], value[:, 1, 1] > value[:, 0, 1]]
            accuracy.append(float(np.mean([np.mean(right), np.mean(picked)])))
        yield Trial(replace(settings, lambda_=lambda_, mu=mu), tuple(accuracy), signs)
