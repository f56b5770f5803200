"""From tensors to what a reader sees: each pair's evidence, margin, region, verdict and probability."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from abe_rerank.backbones import ImageFeatures
from abe_rerank.backbones.features import Box
from abe_rerank.calibration import Calibration
from abe_rerank.scorers.phrases import PairPlan, PromptPlan
from abe_rerank.scorers.terms import Terms
from abe_rerank.types import PairScore, Region, Verdict


def explain_pairs(
    plan: PromptPlan, found: Terms, features: ImageFeatures, n: int, calibration: Calibration | None
) -> tuple[PairScore, ...]:
    """The pairs of image ``n`` for the only prompt of ``found`` (t = 0)."""
    regions = [_region(found, features, n, k) for k in range(len(plan.objects))]
    return tuple(_pair(plan, pair, j, found, n, regions[pair.object], calibration) for j, pair in enumerate(plan.pairs))


def _pair(
    plan: PromptPlan, pair: PairPlan, j: int, found: Terms, n: int, region: Region, calibration: Calibration | None
) -> PairScore:
    evidence, margin = float(found.evidence[n, 0, j, 0]), float(found.margins[n, 0, j])
    noun, lead = float(found.nouns[n, 0, pair.object]), float(found.lead[n, 0, pair.object])
    strongest = int(found.strongest[n, 0, j])
    probability = None if calibration is None else calibration.probability(margin, evidence, noun)
    absent = lead < 0 if calibration is None else lead < 0 or calibration.absent(noun)
    return PairScore(
        attribute=pair.attribute,
        object=plan.objects[pair.object],
        evidence=evidence,
        competitor=pair.values[strongest],
        margin=margin,
        region=region,
        verdict=verdict(margin, absent, pair.rivals[strongest], probability),
        probability=probability,
    )


def verdict(margin: float, absent: bool, rival: bool, probability: float | None) -> Verdict:
    """What a pair's numbers mean.

    ``not found``: the object's region shows another object of the prompt or (calibrated) nothing like the object.
    ``bound``: the asked value beats every competitor there, and is likelier than not where that is calibrated.
    ``swapped``: a value that the prompt gives to another object beats it. ``weak``: anything else. Ours.
    """
    if absent:
        return "not found"
    if margin > 0 and (probability is None or probability >= 0.5):
        return "bound"
    return "swapped" if margin < 0 and rival else "weak"


def _region(found: Terms, features: ImageFeatures, n: int, k: int) -> Region:
    rows, columns = features.grids[n]
    weights = found.regions[n, : rows * columns, 0, k].float().cpu().numpy().reshape(rows, columns)
    return Region(weights, region_box(weights, features.windows[n]), features.windows[n])


def region_box(weights: np.ndarray, window: Box = (0.0, 0.0, 1.0, 1.0)) -> Box:
    """The box around the patches that hang together with the heaviest one and weigh at least half as much.

    ``weights`` [rows, columns]; patches hang together through shared sides. ``window`` is the part of the image that
    the grid covers, as fractions; the box is in fractions of the image.
    """
    heavy = weights >= 0.5 * weights.max()
    first = np.unravel_index(int(weights.argmax()), weights.shape)
    seen = {(int(first[0]), int(first[1]))}
    open_ = list(seen)
    while open_:
        new = [place for place in _sides(open_.pop(), weights.shape) if heavy[place] and place not in seen]
        seen.update(new)
        open_.extend(new)
    rows, columns = [r for r, _ in seen], [c for _, c in seen]
    height, width = weights.shape
    left, top, right, bottom = window
    return (
        left + (right - left) * min(columns) / width,
        top + (bottom - top) * min(rows) / height,
        left + (right - left) * (max(columns) + 1) / width,
        top + (bottom - top) * (max(rows) + 1) / height,
    )


def _sides(place: tuple[int, int], shape: tuple[int, ...]) -> Iterator[tuple[int, int]]:
    row, column = place
    for r, c in ((row - 1, column), (row + 1, column), (row, column - 1), (row, column + 1)):
        if 0 <= r < shape[0] and 0 <= c < shape[1]:
            yield r, c
