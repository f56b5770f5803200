"""Where objects are: boxes of regions, and what the regions of two objects say of their relation. No tensors. Ours.

Of relations only what places can answer is read: left, right, above and below. Whether one thing lies *on* or *in*
another, or is near it, is not. What is read stands beside the score, and in it where
:mod:`abe_rerank.scoring.counted_relations` is asked for.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import numpy as np

from abe_rerank.types import Box, ObjectPhrase, Part, Region, Relation

STEEPNESS = 22.5
"""By how much the log odds rise with the distance between two regions' centres, a whole picture being 1: fitted on the
choosing split, where objects stand more than a twentieth of the picture apart."""
SURE = 0.98
"""A region may be another object's: no place is surer than this."""
_BESIDE = re.compile(r"(?:(?:to|on|at) the )?(left|right)(?: side)? of")
_SIDES: Mapping[str, tuple[int, int]] = {"left": (0, 1), "right": (0, -1)}
_LEVELS: Mapping[str, tuple[int, int]] = {
    "above": (1, 1),
    "over": (1, 1),
    "below": (1, -1),
    "under": (1, -1),
    "beneath": (1, -1),
    "underneath": (1, -1),
}


def direction(text: str) -> tuple[int, int] | None:
    """(axis, sign) of a relation: along the axis (0 across, 1 down) the object lies ahead of the subject by the sign;
    None for a relation that places do not answer."""
    lowered = " ".join(text.lower().split())
    beside = _BESIDE.fullmatch(lowered)
    return _SIDES[beside[1]] if beside else _LEVELS.get(lowered)


def in_words(subject: str, relation: str, other: str) -> str:
    """A relation between two objects by their nouns, as reports call it: "cube to the left of ring"."""
    return f"{subject} {relation} {other}"


def relation_parts(
    objects: Sequence[ObjectPhrase], relations: Sequence[Relation], regions: Sequence[Region], there: Sequence[float]
) -> tuple[Part, ...]:
    """The probability that each relation holds that places can answer.

    ``relations`` are between the ``objects``, whose ``regions`` are found; ``there`` is how likely each object is in
    the picture at all.
    """
    found = []
    centres = {k: centre_of(region.weights, region.window) for k, region in enumerate(regions)}
    placed = sides([(r.subject, r.text, r.object) for r in relations], centres)
    for relation, side in zip(relations, placed, strict=True):
        if side is not None:
            subject, other = relation.subject, relation.object
            text = in_words(objects[subject].text, relation.text, objects[other].text)
            found.append(Part("relation", text, side * there[subject] * there[other]))
    return tuple(found)


def sides(relations: Sequence[tuple[int, str, int]], centres: Mapping[int, tuple[float, float]]) -> list[float | None]:
    """For each relation (subject, text, object) how likely its objects, if that is where their ``centres`` are, stand
    so; None where places do not answer it."""
    found: list[float | None] = []
    for subject, text, other in relations:
        wanted = direction(text)
        if wanted is None:
            found.append(None)
            continue
        axis, sign = wanted
        ahead = sign * (centres[other][axis] - centres[subject][axis])
        found.append(float((1 - SURE) + (2 * SURE - 1) / (1 + np.exp(-STEEPNESS * ahead))))
    return found


def centre_of(weights: np.ndarray, window: Box) -> tuple[float, float]:
    """(across, down) in fractions of the image of a region's ``weights`` [rows, columns], whose grid covers the
    ``window``."""
    weights = np.nan_to_num(weights)
    left, top, right, bottom = window
    down, across = (weights.sum(axis=axis) / max(float(weights.sum()), 1e-12) for axis in (1, 0))
    x = float(across @ (np.arange(len(across)) + 0.5)) / len(across)
    y = float(down @ (np.arange(len(down)) + 0.5)) / len(down)
    return left + (right - left) * x, top + (bottom - top) * y


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
