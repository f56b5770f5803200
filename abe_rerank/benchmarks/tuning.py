"""Which settings of the ABE scorer suit a backbone: a search on scenes of the choosing split.

Pictures are encoded once for each readout, phrases read once, regions found once for each setting of them, and the
weights of the terms are then searched on the terms alone. :mod:`abe_rerank.benchmarks.choosing` says whether what is
found is taken.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np

from abe_rerank.backbones.features import read_plan
from abe_rerank.benchmarks.cases import Case, blocks
from abe_rerank.parsing import parse
from abe_rerank.scoring.abe import AbeScorer
from abe_rerank.scoring.terms import AbeSettings, RegionKind

if TYPE_CHECKING:
    from abe_rerank.backbones import Backbone, ImageFeatures
    from abe_rerank.scoring.phrase_table import PromptTable
    from abe_rerank.types import Spec

REGIONS: tuple[tuple[RegionKind, float], ...] = (("soft", 1.0), ("top", 0.04), ("top", 0.1))
SOFTNESSES = (1.0, 2.0)
SMOOTHINGS: tuple[float, ...] = (0.0, 0.1875)
COMPETITIONS = (1.0, 2.0)
LAMBDAS = (0.0, 0.5, 1.0, 2.5, 4.0)
MUS = (0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0)


@dataclass(frozen=True)
class Trial:
    """Settings with their accuracy on each task, in the order of the tasks, and the ``mean`` over all cases.

    Half of an accuracy is how often a picture prefers its caption to the other, half how often a caption prefers its
    picture.
    """

    settings: AbeSettings
    accuracy: tuple[float, ...]
    mean: float


@dataclass(frozen=True)
class _Block:
    """Some cases of a task: their captions, two of each case, and the features of their pictures, likewise."""

    specs: list[Spec]
    features: ImageFeatures


def search(
    backbone: Backbone, cases: Sequence[Sequence[Case]], readouts: Sequence[str], base: AbeSettings | None = None
) -> list[Trial]:
    """All trials on the cases of each task, the best first; ties keep the order in which they were tried.

    How regions are looked for stays as in ``base``: other ways rank as well, but find the wrong places.
    """
    base = base or AbeSettings()
    trials: list[Trial] = []
    for readout in readouts:
        tasks = [_encode(backbone, found, readout) for found in cases]
        reader = AbeScorer(backbone, base)  # what is searched does not change which phrases are read
        tables = [[reader.table(block.specs)[1] for block in task] for task in tasks]
        for settings in _region_settings(replace(base, patch_readout=readout)):
            scorer = AbeScorer(backbone, settings)
            trials += _weigh(settings, [_terms(scorer, *task) for task in zip(tasks, tables, strict=True)])
    return sorted(trials, key=lambda trial: -trial.mean)


def _region_settings(base: AbeSettings) -> Iterator[AbeSettings]:
    """Windows overlap and are few: their regions are as in ``base``, and have no neighbours."""
    regions, smoothings = REGIONS, SMOOTHINGS
    if read_plan(base.patch_readout or "") is not None:
        regions, smoothings = ((base.region, base.region_share),), (base.smoothing,)
    for (region, share), smoothing, softness, competition in product(regions, smoothings, SOFTNESSES, COMPETITIONS):
        shape = replace(base, region=region, region_share=share, smoothing=smoothing)
        yield replace(shape, softness=softness, competition=competition)


def _encode(backbone: Backbone, cases: Sequence[Case], readout: str) -> list[_Block]:
    found: list[tuple[list[Case], Any]] = [
        (block, [i for case in block for i in case.images]) for block in blocks(cases)
    ]
    return [
        _Block(
            [parse(caption) for case in block for caption in case.captions], backbone.encode_images(pictures, readout)
        )
        for block, pictures in found
    ]


def _terms(scorer: AbeScorer, task: Sequence[_Block], tables: Sequence[PromptTable]) -> np.ndarray:
    """(global, local, difference) of each case, [3, cases, pictures, captions]; 0 where a prompt has none."""
    found: list[np.ndarray] = []
    for block, table in zip(task, tables, strict=True):
        t = scorer.terms(block.features, table)
        stacked = np.stack([x.cpu().numpy() for x in (t.global_, t.local, t.difference)])
        found += [stacked[:, k : k + 2, k : k + 2] for k in range(0, len(block.specs), 2)]
    return np.asarray(np.nan_to_num(np.stack(found, axis=1)))


def _weigh(settings: AbeSettings, tasks: list[np.ndarray]) -> Iterator[Trial]:
    counts = [found.shape[1] for found in tasks]
    for lambda_, mu in product(LAMBDAS, MUS):
        weights = np.array([settings.global_weight, lambda_, mu])
        accuracy = []
        for found in tasks:
            value = np.einsum("w,wcit->cit", weights, found)
            right = [value[:, 0, 0] > value[:, 0, 1], value[:, 1, 1] > value[:, 1, 0]]
            picked = [value[:, 0, 0] > value[:, 1, 0], value[:, 1, 1] > value[:, 0, 1]]
            accuracy.append(float(np.mean([np.mean(right), np.mean(picked)])))
        mean = float(np.average(accuracy, weights=counts))
        yield Trial(replace(settings, lambda_=lambda_, mu=mu), tuple(accuracy), mean)
