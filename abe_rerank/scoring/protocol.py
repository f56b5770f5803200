"""What a scorer is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

from abe_rerank.types import Score, Spec

if TYPE_CHECKING:
    import numpy as np
    from PIL.Image import Image
    from torch import Tensor

    from abe_rerank.backbones import Backbone, ImageFeatures


class Scorer(Protocol):
    """Scores images against what prompts ask for. A score never depends on the other images or prompts.

    A scorer says how one chunk is encoded, prepared and scored; :mod:`abe_rerank.scoring.stream` makes the chunks, and
    :class:`abe_rerank.scoring.feature_scorer.FeatureScorer` has the methods that follow from it.
    """

    @property
    def backbone(self) -> Backbone:
        """The CLIP-like model it reads with."""
        ...

    @property
    def name(self) -> str:
        """The name :func:`make_scorer` knows it by."""
        ...

    @property
    def stamp(self) -> str:
        """Version, settings and backbone with the hash of its weights: equal stamps give equal scores."""
        ...

    @property
    def patch_readout(self) -> str | None:
        """The readout of the backbone's patches that it reads; None is the backbone's default, or that it needs none.

        Scorers with the same one may share features.
        """
        ...

    def encode(self, images: Sequence[Image]) -> ImageFeatures:
        """What this scorer sees of ``images``: one vision forward each, whatever is asked of them later."""
        ...

    def explain_features(self, features: ImageFeatures, spec: Spec) -> list[Score]:
        """One score for each of the encoded images, with its terms, evidence and regions; the prompt is not empty."""
        ...

    def prepare(self, specs: Sequence[Spec]) -> Any:
        """What :meth:`score_features` needs of prompts, read once for any number of images."""
        ...

    def score_features(self, features: ImageFeatures, prepared: Any) -> Tensor:
        """The values alone of encoded images and prepared prompts, [images, prompts]."""
        ...

    def score(self, images: Sequence[Image], specs: Sequence[Spec]) -> np.ndarray:
        """Scores [images, prompts], float32; NaN where a prompt cannot be scored."""
        ...

    def explain(self, images: Sequence[Image], spec: Spec) -> list[Score]:
        """The same scores for one prompt with their terms, evidence and regions, one per image."""
        ...
