"""Adapters to CLIP-like models: the only package that knows their insides."""

from abe_rerank.backbones.base import Backbone
from abe_rerank.backbones.features import ImageFeatures, TokenStates
from abe_rerank.backbones.loading import BUILTIN, load_backbone

__all__ = ["BUILTIN", "Backbone", "ImageFeatures", "TokenStates", "load_backbone"]
