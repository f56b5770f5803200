"""Where the training of the built-in CLIP-like model starts from, so that it learns shapes in minutes on two cores.

A vision transformer on 8x8 patches sees colours at once, but takes hundreds of thousands of pictures to find out that
neighbouring patches belong together. So its attention starts as a convolution (structured initialisation, after
arXiv 2305.09828 and 2404.01139): each head looks at one neighbour of a patch, by positions of sines whose shift is a
rotation. The patch embedding starts as a whitening of the patches, and the text encoder as a bag of words.
All of it is a start only: every weight is free to move.
"""

from __future__ import annotations

import logging
import math
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import CLIPTextModel, CLIPVisionModel, SiglipTextModel, SiglipVisionModel

from abe_rerank.shapes.training.captions import content_words

log = logging.getLogger(__name__)

OFFSETS = ((0, 0), (1, 0), (-1, 0), (0, 1), (0, -1))
"""(rows, columns) from a patch to the neighbour that each of five heads looks at."""
SHARPNESS = 3.5
RATES = 8


def start_as_convolution(vision: SiglipVisionModel | CLIPVisionModel, patches: Tensor) -> None:
    """Sets the weights of a vision tower in place; heads beyond the five offsets start near zero.

    ``patches`` [n, 3 * p * p] are flattened patches of training pictures, channels first, for the whitening. The first
    4 * RATES channels hold the position and are written by nothing else at the start; the others hold the content. A
    class token has no position, so it starts by reading all patches alike.
    """
    width = vision.config.hidden_size
    place = 4 * RATES
    rates = torch.linspace(0.2, 2.2, RATES)
    with torch.no_grad():
        embeddings: Any = vision.embeddings
        positions = embeddings.position_embedding.weight
        tokens = len(positions) - math.isqrt(len(positions)) ** 2  # 1 with a class token, else 0
        positions[:tokens] = 0
        if tokens:
            embeddings.class_embedding.normal_(0, 0.5)[:place] = 0
        _set_positions(positions[tokens:], rates)
        shift = _set_whitening(embeddings.patch_embedding, patches, width - place)
        if embeddings.patch_embedding.bias is None:
            positions[tokens:] += shift
        else:
            embeddings.patch_embedding.bias.copy_(shift)
        layers: Any = vision.encoder.layers
        for layer in layers:
            _set_heads(layer.self_attn, rates, vision.config.num_attention_heads)
            for last in (layer.self_attn.out_proj, layer.mlp.fc2):
                last.weight[:place] = 0
                last.bias.zero_()


def _set_positions(positions: Tensor, rates: Tensor) -> None:
    side = math.isqrt(len(positions))
    angles = torch.arange(side)[:, None] * rates
    line = torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(1)
    grid = torch.zeros(side, side, positions.shape[1])
    half = line.shape[1]
    grid[:, :, :half] = line[:, None]
    grid[:, :, half : 2 * half] = line[None]
    positions.copy_(grid.flatten(0, 1))


def _set_whitening(conv: nn.Conv2d, patches: Tensor, channels: int) -> Tensor:
    """Sets the kernels of the last ``channels`` channels, zero for the others; the bias that goes with them."""
    mean = patches.mean(0)
    centred = patches - mean
    values, vectors = torch.linalg.eigh(centred.T @ centred / len(patches))
    white = (vectors / (values + 1e-2).sqrt()).T.flip(0)[:channels]
    conv.weight.zero_()
    conv.weight[-len(white) :] = white.reshape(-1, *conv.weight.shape[1:])
    return F.pad(-white @ mean, (len(conv.weight) - len(white), 0))


def _set_heads(attention: Any, rates: Tensor, heads: int) -> None:
    """Queries are positions moved by the head's offset, keys are positions: their product peaks at the neighbour."""
    place, size = 4 * len(rates), attention.q_proj.out_features // heads
    for name in ("q_proj", "k_proj"):
        projection = getattr(attention, name)
        projection.weight.normal_(0, 0.02)
        projection.bias.zero_()
    for head, offset in enumerate(OFFSETS[:heads]):
        rows = slice(size * head, size * head + place)
        attention.q_proj.weight[rows, :place] += SHARPNESS**0.5 * _shift(offset, rates)
        attention.k_proj.weight[rows, :place] += SHARPNESS**0.5 * torch.eye(place)


def _shift(offset: tuple[int, int], rates: Tensor) -> Tensor:
    """The matrix that takes the position code of a patch to that of the patch ``offset`` away."""
    blocks = []
    for distance in offset:
        for angle in (rates * distance).tolist():
            c, s = math.cos(angle), math.sin(angle)
            blocks.append(torch.tensor([[c, s], [-s, c]]))
    matrix: Tensor = torch.block_diag(*blocks)
    return matrix


def start_as_bag_of_words(
    text: SiglipTextModel, ids: np.ndarray, vocabulary: dict[str, int], steps: int = 120, batch: int = 256
) -> None:
    """Trains a text tower, without any image, to sum fixed random codes of the words it reads.

    ``ids`` [captions, tokens] are token ids; words that name no object or attribute count for nothing. Without it all
    captions start almost equal, since most of a padded text is padding, and the images have nothing to be drawn to.
    """
    generator = torch.Generator().manual_seed(1)
    device = next(text.parameters()).device
    codes = _word_codes(vocabulary, text.head.out_features, generator)
    optimizer = torch.optim.AdamW(text.parameters(), lr=2e-3, betas=(0.9, 0.98))
    for step in range(steps):
        _set_rate(optimizer, step, steps)
        rows = torch.from_numpy(ids[np.random.default_rng((7, step)).integers(len(ids), size=batch)]).long()
        rows = torch.unique(rows, dim=0)
        wanted = codes[rows].sum(1)
        says = wanted.norm(dim=-1) > 0
        out = text(rows[says].to(device)).pooler_output
        loss = 1 - F.cosine_similarity(out, wanted[says].to(device)).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def start_as_prefix_sums(text: CLIPTextModel, ids: Tensor, vocabulary: dict[str, int], steps: int = 200) -> None:
    """Trains a causal text encoder so that each position sums fixed random codes of the words up to it.

    ``ids`` [captions, tokens], padded; the position's own word counts twice, and the padding behind a caption says the
    whole of it. A UNet that starts by averaging over all positions is then told every word from its first step on.
    """
    generator = torch.Generator().manual_seed(2)
    device = next(text.parameters()).device
    codes = _word_codes(vocabulary, text.config.hidden_size, generator)
    optimizer = torch.optim.AdamW(text.parameters(), lr=2e-3, betas=(0.9, 0.98))
    for step in range(steps):
        _set_rate(optimizer, step, steps)
        rows = ids[torch.randint(len(ids), (64,), generator=generator)]
        own = codes[rows]
        wanted = own.cumsum(1) + own
        says = wanted.norm(dim=-1) > 0
        states = text(rows.to(device)).last_hidden_state
        loss = 1 - F.cosine_similarity(states[says.to(device)], wanted[says].to(device), dim=-1).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    log.info("text encoder starts at 1 - cosine = %.3f to the sums of its words", loss.item())


def _word_codes(vocabulary: dict[str, int], width: int, generator: torch.Generator) -> Tensor:
    """A random direction for each word that names an object or an attribute, zero for all others: [words, width]."""
    codes = torch.zeros(len(vocabulary), width)
    for word in content_words():
        codes[vocabulary[word]] = F.normalize(torch.randn(width, generator=generator), dim=0)
    return codes


def _set_rate(optimizer: torch.optim.Optimizer, step: int, steps: int) -> None:
    for group in optimizer.param_groups:
        group["lr"] = 2e-3 * min(1.0, (step + 1) / 20, 2 * (1 - step / steps))
