"""A score by lot, for tables: what picking without looking gives. Equal pixels and prompts draw equal lots."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from PIL.Image import Image
from torch import Tensor

from abe_rerank.backbones import Backbone
from abe_rerank.scoring.stream import FeatureScorer, status_of
from abe_rerank.types import Score, Spec


@dataclass(frozen=True)
class Digests:
    """A SHA-256 of the pixels of each image."""

    each: tuple[bytes, ...]

    def __len__(self) -> int:
        return len(self.each)

    def take(self, images: Sequence[int]) -> Digests:
        """Those of some of the images."""
        return Digests(tuple(self.each[n] for n in images))


class RandomScorer(FeatureScorer):
    """A number in [0, 1) for each image and prompt, uniform, from their hash alone: it depends on nothing else."""

    name = "random"
    shares_features = False

    def __init__(self, backbone: Backbone) -> None:
        self.backbone = backbone

    @property
    def settings_record(self) -> Mapping[str, object]:
        """It has none."""
        return {}

    def encode(self, images: Sequence[Image]) -> Digests:
        """See :class:`abe_rerank.scoring.Scorer`."""
        return Digests(tuple(hashlib.sha256(image.convert("RGB").tobytes()).digest() for image in images))

    def prepare(self, specs: Sequence[Spec]) -> Sequence[bytes]:
        """The prompts as bytes."""
        return [spec.prompt.encode() for spec in specs]

    def score_features(self, features: Digests, prepared: Any) -> Tensor:
        """Lots [images, prompts]."""
        lots = [[_lot(digest + prompt) for prompt in prepared] for digest in features.each]
        return torch.tensor(lots).view(len(features), len(prepared))

    def explain_features(self, features: Digests, spec: Spec) -> list[Score]:
        """One Score per image; it says nothing about pairs."""
        values = self.score_features(features, self.prepare([spec]))[:, 0].tolist()
        return [Score(value, status_of(spec), self.stamp) for value in values]


def _lot(text: bytes) -> float:
    return float(np.random.default_rng(list(hashlib.sha256(text).digest())).random())
