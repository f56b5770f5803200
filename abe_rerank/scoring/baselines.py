"""The baselines that every table shows: CLIPScore (arXiv 2104.08718) and FILIP's max over patches (arXiv 2111.07783).

Both leave out the papers' scaling constants, which change no ranking: CLIPScore here is the plain cosine.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property

import numpy as np
import torch
from PIL.Image import Image
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from abe_rerank.backbones import Backbone, ImageFeatures
from abe_rerank.scoring.alignment import best_patch_means
from abe_rerank.scoring.finite import finite
from abe_rerank.scoring.stamps import stamp
from abe_rerank.types import Score, Spec, Status


def _status(spec: Spec) -> Status:
    return "nothing to bind" if spec.nothing_to_bind else "scored"


class ClipScorer:
    """The global cosine of image and prompt."""

    name = "clip"
    patch_readout = None

    def __init__(self, backbone: Backbone) -> None:
        self.backbone = backbone

    @cached_property
    def stamp(self) -> str:
        """See :class:`abe_rerank.scoring.Scorer`."""
        return stamp(self.name, self.backbone, {})

    def prepare(self, specs: Sequence[Spec]) -> Tensor:
        """Text embeddings [T, D]."""
        return self.backbone.encode_texts([spec.prompt for spec in specs])

    def score_features(self, features: ImageFeatures, prepared: Tensor) -> Tensor:
        """Cosines [images, prompts] of encoded images."""
        return features.global_ @ prepared.T

    def score(self, images: Sequence[Image], specs: Sequence[Spec]) -> np.ndarray:
        """Cosines [images, prompts], float32; NaN for an empty prompt."""
        values = self.score_features(self.encode(images), self.prepare(specs)).cpu().numpy()
        values[:, [not spec.prompt.strip() for spec in specs]] = np.nan
        return np.asarray(values, dtype=np.float32)

    def encode(self, images: Sequence[Image]) -> ImageFeatures:
        """See :class:`abe_rerank.scoring.Scorer`; the grids have no patches."""
        found = self.backbone.encode_global(images)
        n = len(found)
        none = found.new_empty(n, 0, found.shape[1])
        return ImageFeatures(found, none, none[..., 0].bool(), ((0, 0),) * n, ((0.0, 0.0, 1.0, 1.0),) * n)

    def explain(self, images: Sequence[Image], spec: Spec) -> list[Score]:
        """One Score per image with the global cosine alone; it says nothing about pairs."""
        return self.explain_features(self.encode(images), spec)

    def explain_features(self, features: ImageFeatures, spec: Spec) -> list[Score]:
        """See :class:`abe_rerank.scoring.Scorer`."""
        if not spec.prompt.strip():
            return [Score(None, "unscored", self.stamp, reason="the prompt is empty")] * len(features)
        values = self.score_features(features, self.prepare([spec]))[:, 0].tolist()
        return [finite(Score(value, _status(spec), self.stamp, global_score=value)) for value in values]


@dataclass(frozen=True)
class FilipSettings:
    """``patch_readout``: a dense readout of the backbone, None its default."""

    patch_readout: str | None = None


class FilipScorer:
    """Mean over the prompt's tokens of the max over patches of their cosine. Does not bind: each token roams freely."""

    name = "filip"

    def __init__(self, backbone: Backbone, settings: FilipSettings | None = None) -> None:
        self.backbone, self.settings = backbone, settings or FilipSettings()
        self._tokens: dict[str, Tensor] = {}

    @cached_property
    def stamp(self) -> str:
        """See :class:`abe_rerank.scoring.Scorer`."""
        return stamp(self.name, self.backbone, asdict(self.settings))

    @property
    def patch_readout(self) -> str | None:
        """The dense readout that this scorer reads, None the backbone's default."""
        return self.settings.patch_readout

    def score_features(self, features: ImageFeatures, prepared: tuple[Tensor, Tensor]) -> Tensor:
        """Scores [images, prompts] of images encoded with this scorer's patch readout."""
        return best_patch_means(features.patches, features.mask, *prepared)

    def score(self, images: Sequence[Image], specs: Sequence[Spec]) -> np.ndarray:
        """Scores [images, prompts], float32; NaN for a prompt without tokens."""
        prepared, step = self.prepare(specs), self.backbone.batch_size
        chunks = [images[i : i + step] for i in range(0, len(images), step)]
        rows = [self.score_features(self.encode(chunk), prepared) for chunk in chunks]
        return np.asarray(torch.cat(rows).cpu().numpy(), dtype=np.float32)

    def encode(self, images: Sequence[Image]) -> ImageFeatures:
        """See :class:`abe_rerank.scoring.Scorer`."""
        return self.backbone.encode_images(images, self.patch_readout)

    def explain(self, images: Sequence[Image], spec: Spec) -> list[Score]:
        """One Score per image with the FILIP score as its local term."""
        return self.explain_features(self.encode(images), spec)

    def explain_features(self, features: ImageFeatures, spec: Spec) -> list[Score]:
        """See :class:`abe_rerank.scoring.Scorer`."""
        prepared = self.prepare([spec])
        if not prepared[1].any():
            return [Score(None, "unscored", self.stamp, reason="the prompt has no tokens")] * len(features)
        values = self.score_features(features, prepared)[:, 0].tolist()
        return [finite(Score(value, _status(spec), self.stamp, local=value)) for value in values]

    def prepare(self, specs: Sequence[Spec]) -> tuple[Tensor, Tensor]:
        """Token states [T, L, D] and their mask [T, L]."""
        prompts = [spec.prompt for spec in specs]
        missing = [prompt for prompt in dict.fromkeys(prompts) if prompt not in self._tokens]
        states = self.backbone.encode_tokens(missing) if missing else []
        self._tokens.update({prompt: s.states for prompt, s in zip(missing, states, strict=True)})
        found = [self._tokens[prompt] for prompt in prompts]
        lengths = torch.tensor([len(s) for s in found], device=self.backbone.device)
        tokens = pad_sequence(found, batch_first=True)
        return tokens, torch.arange(tokens.shape[1], device=tokens.device) < lengths[:, None]
