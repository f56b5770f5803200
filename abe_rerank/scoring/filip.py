"""FILIP's max over patches (arXiv 2111.07783, equation 4), a baseline: each token looks for its own patch.

The paper's scaling constants are left out; they change no ranking.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from abe_rerank.backbones import Backbone, ImageFeatures
from abe_rerank.scoring.alignment import best_patch_means
from abe_rerank.scoring.stream import FeatureScorer, status_of
from abe_rerank.types import Score, Spec


@dataclass(frozen=True)
class FilipSettings:
    """``patch_readout``: a dense readout of the backbone, None its default."""

    patch_readout: str | None = None


class FilipScorer(FeatureScorer):
    """Mean over the prompt's tokens of the max over patches of their cosine. Does not bind: each token roams freely."""

    name = "filip"
    settings_type = FilipSettings

    def __init__(self, backbone: Backbone, settings: FilipSettings | None = None) -> None:
        self.backbone, self.settings = backbone, settings or FilipSettings()

    @property
    def settings_record(self) -> Mapping[str, object]:
        """The settings by name."""
        return asdict(self.settings)

    @property
    def patch_readout(self) -> str | None:
        """The dense readout that this scorer reads, None the backbone's default."""
        return self.settings.patch_readout

    def prepare(self, specs: Sequence[Spec]) -> tuple[Tensor, Tensor]:
        """Token states [T, L, D] and their mask [T, L]."""
        found = [tokens.states for tokens in self.backbone.encode_tokens([spec.prompt for spec in specs])]
        lengths = torch.tensor([len(s) for s in found], device=self.backbone.device)
        tokens = pad_sequence(found, batch_first=True)
        return tokens, torch.arange(tokens.shape[1], device=tokens.device) < lengths[:, None]

    def score_features(self, features: ImageFeatures, prepared: tuple[Tensor, Tensor]) -> Tensor:
        """Scores [images, prompts] of images encoded with this scorer's patch readout; NaN without tokens."""
        return best_patch_means(features.patches, features.mask, *prepared)

    @torch.no_grad()
    def explain_features(self, features: ImageFeatures, spec: Spec) -> list[Score]:
        """One Score per image with the FILIP score as its local term."""
        prepared = self.prepare([spec])
        if not prepared[1].any():
            return [Score(None, "unscored", self.stamp, reason="the prompt has no tokens")] * len(features)
        values = self.score_features(features, prepared)[:, 0].tolist()
        return [Score(value, status_of(spec), self.stamp, local=value) for value in values]
