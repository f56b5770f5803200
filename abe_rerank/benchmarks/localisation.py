"""Does the scorer look where the object is? Pointing, and the share of its heat that lies on the object's mask."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import tee

import numpy as np
from PIL import Image

from abe_rerank.parsing import parse
from abe_rerank.scoring.abe import AbeScorer
from abe_rerank.scoring.explanations import peak
from abe_rerank.scoring.stream import score_stream
from abe_rerank.types import Box, Region


@dataclass(frozen=True)
class Target:
    """One object of a picture that its caption names: the words, the box in fractions, the mask [h, w] in [0, 1]."""

    colour: str
    shape: str
    box: Box
    mask: np.ndarray


@dataclass(frozen=True)
class Seen:
    """A picture with its caption and where the caption's objects are."""

    image: Image.Image
    caption: str
    targets: tuple[Target, ...]


@dataclass(frozen=True)
class Localisation:
    """Per object: ``pointing``, 1 if the centre of its heaviest patch lies in its box; ``heat``, the share of the
    region's weight on the object's mask; ``chance``, the share of the image that the mask covers.
    """

    pointing: np.ndarray
    heat: np.ndarray
    chance: np.ndarray


def localise(scorer: AbeScorer, pictures: Iterable[Seen]) -> Localisation:
    """Where the scorer finds the objects that each picture's caption names, asked with that caption."""
    rows = []
    seen, asked = tee(pictures)
    scores = score_stream(scorer, ((picture.image, parse(picture.caption)) for picture in asked))
    for picture, score in zip(seen, scores, strict=True):
        regions = {(pair.attribute.text, pair.object.text): pair.region for pair in score.pairs}
        for target in picture.targets:
            if (target.colour, target.shape) in regions:
                region = regions[target.colour, target.shape]
                rows.append((pointed_at(region, target.box), heat_on(region, target.mask), float(target.mask.mean())))
    pointing, heat, chance = np.array(rows, dtype=np.float64).reshape(-1, 3).T
    return Localisation(pointing, heat, chance)


def pointed_at(region: Region, box: Box) -> float:
    """1.0 if the centre of the heaviest patch lies in the box (fractions of the image), else 0.0."""
    rows, columns = region.weights.shape
    row, column = peak(region.weights)
    left, top, right, bottom = region.window
    x, y = left + (right - left) * (column + 0.5) / columns, top + (bottom - top) * (row + 0.5) / rows
    return float(box[0] <= x <= box[2] and box[1] <= y <= box[3])


def heat_on(region: Region, mask: np.ndarray) -> float:
    """The share of the region's weight on ``mask`` [h, w] in [0, 1], each weight spread evenly over its patch."""
    rows, columns = region.weights.shape
    left, top, right, bottom = region.window
    row, inside_rows = _cells(mask.shape[0], rows, top, bottom)
    column, inside_columns = _cells(mask.shape[1], columns, left, right)
    spread = region.weights[row[:, None], column[None, :]] * inside_rows[:, None] * inside_columns[None, :]
    return float((spread * mask).sum() / spread.sum())


def _cells(pixels: int, cells: int, start: float, end: float) -> tuple[np.ndarray, np.ndarray]:
    """The grid cell of each pixel along one axis, and whether the grid covers the pixel."""
    place = ((np.arange(pixels) + 0.5) / pixels - start) / (end - start)
    return np.clip((place * cells).astype(int), 0, cells - 1), (place >= 0) & (place < 1)
