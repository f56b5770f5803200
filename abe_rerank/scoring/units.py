"""Evidence in a backbone's own units: by how many of its logits a phrase beats neutral phrases in the same place. Ours.

Cosines of one model lie within tenths of one another, those of another within hundredths, and around another level.
Times the model's logit scale their differences mean the same, the odds that it was trained to give, and the level is
taken off with the mean of phrases that nobody asked for. So one threshold serves models of any scale.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from abe_rerank.scoring.phrase_table import PhraseReader
from abe_rerank.scoring.readings import read_words
from abe_rerank.shapes.world import COLOURS, SHAPES

PHRASES = tuple(
    (colour, shape) for i, colour in enumerate(COLOURS) for j, shape in enumerate(SHAPES) if (i + j) % 3 == 0
)
"""The neutral phrases: every colour and every shape four times."""


@dataclass(frozen=True)
class Units:
    """``logit_scale`` of a backbone, and ``neutral`` [d], the mean of the neutral phrases as its scorer reads them."""

    logit_scale: float
    neutral: Tensor


def units_of(reader: PhraseReader, template: str) -> Units:
    """The units of the reader's backbone."""
    vectors = reader.apart(read_words(f"{colour} {shape}", template) for colour, shape in PHRASES)
    return Units(reader.backbone.logit_scale, torch.stack(list(vectors.values())).mean(dim=0))
