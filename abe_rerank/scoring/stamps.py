"""The version stamp of a scorer: what must be equal for two scores to be comparable."""

from __future__ import annotations

from collections.abc import Mapping

from abe_rerank import __version__
from abe_rerank.backbones import Backbone
from abe_rerank.backbones.sizes import size_words


def stamp(name: str, backbone: Backbone, settings: Mapping[str, object]) -> str:
    """``abe-rerank version type | name | weights [size] | setting=value ...``, the same in every process."""
    dtype = str(backbone.dtype).removeprefix("torch.")
    return f"abe-rerank {__version__} {dtype} | {calibration_key(name, backbone, settings)}"


def calibration_key(name: str, backbone: Backbone, settings: Mapping[str, object]) -> str:
    """The stamp without package version and number type, which move scores by rounding only."""
    size = size_words(backbone.image_size)
    chosen = " ".join(f"{key}={value}" for key, value in settings.items())
    return f"{name} | {backbone.weights_hash}{size} | {chosen}".rstrip(" |")
