"""Scorers: images and prompts in, scores with their reasons out. One file per method."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

from abe_rerank.errors import UsageError
from abe_rerank.types import Score, Spec

if TYPE_CHECKING:
    import numpy as np
    from PIL.Image import Image

    from abe_rerank.backbones import Backbone, ImageFeatures


class Scorer(Protocol):
    """Scores images against what prompts ask for. A score never depends on the other images or prompts."""

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

    def score(self, images: Sequence[Image], specs: Sequence[Spec]) -> np.ndarray:
        """Scores [images, prompts], float32; NaN where a prompt cannot be scored."""
        ...

    def explain(self, images: Sequence[Image], spec: Spec) -> list[Score]:
        """The same scores for one prompt with their terms, evidence and regions, one per image."""
        ...

    def encode(self, images: Sequence[Image]) -> ImageFeatures:
        """What this scorer sees of ``images``: one vision forward each, whatever is asked of them later."""
        ...

    def explain_features(self, features: ImageFeatures, spec: Spec) -> list[Score]:
        """:meth:`explain` for images that this scorer has encoded already."""
        ...


NAMES = ("abe", "clip", "filip")


def make_scorer(name: str, backbone: Backbone, settings: Any = None) -> Scorer:
    """The scorer called ``name`` on ``backbone``; ``settings`` is the scorer's own settings object; None takes its
    defaults, for ``abe`` those measured for the backbone where ``abe.json`` lies beside it.

    Raises UsageError for an unknown name, or settings that are not the scorer's.
    """
    from abe_rerank.scoring.abe import AbeScorer
    from abe_rerank.scoring.baselines import ClipScorer, FilipScorer, FilipSettings
    from abe_rerank.scoring.terms import AbeSettings

    if name == "abe" and isinstance(settings, AbeSettings | None):
        return AbeScorer(backbone, settings)
    if name == "clip" and settings is None:
        return ClipScorer(backbone)
    if name == "filip" and isinstance(settings, FilipSettings | None):
        return FilipScorer(backbone, settings)
    if name not in NAMES:
        raise UsageError(f"unknown scorer {name!r}; choose from {', '.join(NAMES)}")
    raise UsageError(f"{type(settings).__name__} does not hold settings of the scorer {name!r}")
