"""Global image embeddings with their lengths, which a cosine forgets and some published scores use."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from PIL import Image
from torch import Tensor

from abe_rerank.backbones.dual_encoder import DualEncoder
from abe_rerank.backbones.families.blocks import read_global
from abe_rerank.backbones.features import Backbone


@torch.no_grad()
def encode_unscaled(backbone: Backbone, images: Sequence[Image.Image]) -> Tensor:
    """The model's own embeddings [N, D], float32, not scaled to length 1, in batches.

    A backbone that is no :class:`DualEncoder` says directions alone: its embeddings have length 1.
    """
    if not isinstance(backbone, DualEncoder):
        return backbone.encode_global(images)
    size = backbone.batch_size
    chunks = [images[i : i + size] for i in range(0, len(images), size)]
    return torch.cat([read_global(backbone.model, backbone._pixels(chunk)).float() for chunk in chunks])
