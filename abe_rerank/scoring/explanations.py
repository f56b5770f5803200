"""From tensors to what a reader sees: each pair's evidence, margin, region, verdict and probability."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from abe_rerank.backbones import ImageFeatures
from abe_rerank.scoring.calibration import Calibration
from abe_rerank.scoring.phrase_table import PromptTable
from abe_rerank.scoring.readings import PairPlan, PromptPlan
from abe_rerank.scoring.terms import Terms
from abe_rerank.types import Box, PairScore, Region, Verdict


@dataclass(frozen=True)
class Explained:
    """What the numbers of one prompt (t = 0 of ``table`` and ``found``) on the images of ``features`` stand on."""

    plan: PromptPlan
    table: PromptTable
    features: ImageFeatures
    found: Terms
    calibration: Calibration | None


def explain_pairs(seen: Explained, n: int) -> tuple[PairScore, ...]:
    """The pairs of image ``n``."""
    regions = [_region(seen.found, seen.features, n, k) for k in range(len(seen.plan.objects))]
    return tuple(_pair(seen, pair, j, n, regions[pair.object]) for j, pair in enumerate(seen.plan.pairs))


def _pair(seen: Explained, pair: PairPlan, j: int, n: int, region: Region) -> PairScore:
    found, calibration = seen.found, seen.calibration
    evidence, margin = float(found.evidence[n, 0, j, 0]), float(found.margins[n, 0, j])
    noun, lead = float(found.nouns[n, 0, pair.object]), float(found.lead[n, 0, pair.object])
    strongest = int(found.strongest[n, 0, j])
    probability = None if calibration is None else calibration.probability(margin, evidence, noun)
    absent = lead < 0 if calibration is None or calibration.found_above is None else calibration.absent(noun)
    values = found.evidence[n, 0, j, : len(pair.values)].tolist()
    return PairScore(
        attribute=pair.attribute,
        object=seen.plan.objects[pair.object],
        evidence=evidence,
        competitor=pair.values[strongest],
        margin=margin,
        region=region,
        verdict=verdict(margin, absent, pair.rivals[strongest], probability),
        probability=probability,
        competitor_probability=None if calibration is None else _of_value(values, strongest, noun, calibration),
        contrast=_contrast(seen, j, strongest, n),
    )


def _of_value(values: Sequence[float], c: int, noun: float, calibration: Calibration) -> float:
    """The probability of value ``c`` of a pair, as if the prompt had asked for it. ``values``: each one's evidence."""
    others = [value for k, value in enumerate(values) if k != c]
    return calibration.probability(values[c] - max(others), values[c], noun)


def _contrast(seen: Explained, j: int, strongest: int, n: int) -> np.ndarray:
    """[rows, columns]: each patch's cosine with the asked value minus that with the strongest competitor."""
    phrases = seen.table.candidates[0, j]
    cosines = seen.features.patches[n] @ (phrases[0] - phrases[strongest])
    return np.asarray(seen.features.on_grid(n, cosines).float().cpu().numpy())


def verdict(margin: float, absent: bool, rival: bool, probability: float | None) -> Verdict:
    """What a pair's numbers mean.

    ``not found``: the object's region shows nothing like the object, or, where that is not calibrated, another object
    of the prompt.
    ``bound``: the asked value beats every competitor there, and is likelier than not where that is calibrated.
    ``swapped``: a value that the prompt gives to another object beats it. ``weak``: anything else. Ours.
    """
    if absent:
        return "not found"
    if margin > 0 and (probability is None or probability >= 0.5):
        return "bound"
    return "swapped" if margin < 0 and rival else "weak"


def _region(found: Terms, features: ImageFeatures, n: int, k: int) -> Region:
    weights = features.on_grid(n, found.regions[n, :, 0, k]).float().cpu().numpy()
    if features.plan is not None:
        weights /= weights.sum()
    return Region(weights, region_box(weights, features.windows[n]), features.windows[n])


def peak(weights: np.ndarray) -> tuple[int, int]:
    """(row, column) of the heaviest patch of ``weights`` [rows, columns]; of equal ones the middle one."""
    known = np.nan_to_num(weights)
    heaviest = np.argwhere(known == known.max())
    row, column = heaviest[((heaviest - heaviest.mean(axis=0)) ** 2).sum(axis=1).argmin()]
    return int(row), int(column)


def region_box(weights: np.ndarray, window: Box = (0.0, 0.0, 1.0, 1.0)) -> Box:
    """The box around the patches that hang together with the heaviest one and weigh at least half as much.

    ``weights`` [rows, columns]; patches hang together through shared sides. ``window`` is the part of the image that
    the grid covers, as fractions; the box is in fractions of the image.
    """
    from scipy.ndimage import label

    heaviest = peak(weights)
    heavy = weights >= 0.5 * weights.max()
    heavy[heaviest] = True  # even where a weight is no number
    parts, _ = label(heavy)
    rows, columns = np.nonzero(parts == parts[heaviest])
    height, width = weights.shape
    left, top, right, bottom = window
    return (
        left + (right - left) * int(columns.min()) / width,
        top + (bottom - top) * int(rows.min()) / height,
        left + (right - left) * (int(columns.max()) + 1) / width,
        top + (bottom - top) * (int(rows.max()) + 1) / height,
    )
