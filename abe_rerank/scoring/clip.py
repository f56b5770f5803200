"""CLIPScore (arXiv 2104.08718): the global cosine of image and prompt, the baseline of every table.

The paper's scaling constants are left out; they change no ranking.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from PIL.Image import Image
from torch import Tensor

from abe_rerank.backbones import Backbone, ImageFeatures
from abe_rerank.scoring.stream import FeatureScorer, status_of
from abe_rerank.types import Score, Spec


class ClipScorer(FeatureScorer):
    """The global cosine of image and prompt."""

    name = "clip"

    def __init__(self, backbone: Backbone) -> None:
        self.backbone = backbone

    @property
    def settings_record(self) -> Mapping[str, object]:
        """It has none."""
        return {}

    def encode(self, images: Sequence[Image]) -> ImageFeatures:
        """See :class:`abe_rerank.scoring.Scorer`; the grids have no patches."""
        found = self.backbone.encode_global(images)
        n = len(found)
        none = found.new_empty(n, 0, found.shape[1])
        return ImageFeatures(found, none, none[..., 0].bool(), ((0, 0),) * n, ((0.0, 0.0, 1.0, 1.0),) * n)

    def prepare(self, specs: Sequence[Spec]) -> Tensor:
        """Text embeddings [T, D]."""
        return self.backbone.encode_texts([spec.prompt for spec in specs])

    def score_features(self, features: ImageFeatures, prepared: Tensor) -> Tensor:
        """Cosines [images, prompts] of encoded images."""
        return features.global_ @ prepared.T

    @torch.no_grad()
    def explain_features(self, features: ImageFeatures, spec: Spec) -> list[Score]:
        """One Score per image with the global cosine alone; it says nothing about pairs."""
        values = self.score_features(features, self.prepare([spec]))[:, 0].tolist()
        return [Score(value, status_of(spec), self.stamp, global_score=value) for value in values]
