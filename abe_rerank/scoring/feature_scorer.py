"""What the scorers share: many images by way of chunks, and the version stamp that makes scores comparable."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
from PIL.Image import Image
from torch import Tensor

from abe_rerank import __version__
from abe_rerank.backbones import Backbone, ImageFeatures
from abe_rerank.backbones.devices import size_words
from abe_rerank.scoring.stream import score_stream, value_matrix
from abe_rerank.types import Score, Spec, Status


class FeatureScorer(ABC):
    """A scorer that encodes images, and compares what it sees with prompts; see :class:`abe_rerank.scoring.Scorer`.

    ``settings_type`` is the class of its settings, None if it has none.
    """

    name: ClassVar[str]
    settings_type: ClassVar[type | None] = None
    backbone: Backbone

    @property
    @abstractmethod
    def settings_record(self) -> Mapping[str, object]:
        """The settings by name, in a fixed order, for the stamp."""

    @property
    def patch_readout(self) -> str | None:
        """See :class:`abe_rerank.scoring.Scorer`."""
        return None

    @cached_property
    def stamp(self) -> str:
        """``abe-rerank version type | name | weights [size] | setting=value ...``, the same in every process."""
        dtype = str(self.backbone.dtype).removeprefix("torch.")
        return f"abe-rerank {__version__} {dtype} | {self.calibration_key}"

    @cached_property
    def calibration_key(self) -> str:
        """The stamp without package version and number type, which move scores by rounding only."""
        size = size_words(self.backbone.image_size)
        chosen = " ".join(f"{key}={value}" for key, value in self.settings_record.items())
        return f"{self.name} | {self.backbone.weights_hash}{size} | {chosen}".rstrip(" |")

    def encode(self, images: Sequence[Image]) -> ImageFeatures:
        """See :class:`abe_rerank.scoring.Scorer`."""
        return self.backbone.encode_images(images, self.patch_readout)

    @abstractmethod
    def prepare(self, specs: Sequence[Spec]) -> Any:
        """See :class:`abe_rerank.scoring.Scorer`."""

    @abstractmethod
    def score_features(self, features: ImageFeatures, prepared: Any) -> Tensor:
        """See :class:`abe_rerank.scoring.Scorer`."""

    @abstractmethod
    def explain_features(self, features: ImageFeatures, spec: Spec) -> list[Score]:
        """See :class:`abe_rerank.scoring.Scorer`."""

    def score(self, images: Sequence[Image], specs: Sequence[Spec]) -> np.ndarray:
        """Scores [images, prompts], float32; NaN for an empty prompt."""
        return value_matrix(self, images, specs)

    def explain(self, images: Sequence[Image], spec: Spec) -> list[Score]:
        """One Score per image."""
        return list(score_stream(self, ((image, spec) for image in images)))


def status_of(spec: Spec) -> Status:
    """The status of a prompt's score that has a value."""
    return "nothing to bind" if spec.nothing_to_bind else "scored"
