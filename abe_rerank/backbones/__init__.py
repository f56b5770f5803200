"""Adapters to CLIP-like models: the only package that knows their insides."""

from abe_rerank.backbones.dual_encoder import DualEncoder
from abe_rerank.backbones.features import Backbone, ImageFeatures, TokenStates
from abe_rerank.backbones.loading import BUILTIN, load_backbone

__all__ = ["BUILTIN", "Backbone", "DualEncoder", "ImageFeatures", "TokenStates", "load_backbone"]
