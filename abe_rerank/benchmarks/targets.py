"""What the foreign worlds share: ground truth as masks and boxes, and seeds of their own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from PIL import Image

from abe_rerank.types import Box

ForeignSplit = Literal["choose", "report"]
_KEYS: dict[str, int] = {"choose": 70_022, "report": 70_033}


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


def foreign_rng(split: ForeignSplit, world: str, index: int) -> np.random.Generator:
    """The generator of one scene; no other part of the package draws from it."""
    return np.random.default_rng((_KEYS[split], *world.encode(), index))


def box_of(mask: np.ndarray) -> Box:
    """(left, top, right, bottom) in fractions of the pixels that mostly show the object."""
    rows, columns = np.nonzero(mask >= min(0.5, float(mask.max())))
    height, width = mask.shape
    return (
        float(columns.min() / width),
        float(rows.min() / height),
        float((columns.max() + 1) / width),
        float((rows.max() + 1) / height),
    )
