"""What the CLIP-like model's training does to pictures and captions: other light, other proportions, cut-outs."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from abe_rerank.shapes.training.clip_stages import PATCH

STRETCHED, STRETCH = 0.3, 0.25
"""The share of close-up batches that are stretched along an axis, and the largest part cut off for it."""
WARP = 0.06
"""The standard deviation of a push, in halves of a picture's side."""


def relit(pixels: Tensor, rng: np.random.Generator) -> Tensor:
    """Half of the pictures [n, 3, h, w] in [-1, 1] under another light: gain, tint and contrast; clipped as before."""
    n = len(pixels)
    gain = rng.uniform(0.78, 1.1, (n, 1)) * rng.uniform(0.95, 1.05, (n, 3))
    power = np.exp(rng.uniform(-0.2, 0.2, (n, 1)))
    keeps = rng.random((n, 1)) < 0.5
    gain, power = np.where(keeps, 1.0, gain), np.where(keeps, 1.0, power)
    factor, exponent = (torch.from_numpy(x).float().to(pixels.device)[:, :, None, None] for x in (gain, power))
    return ((pixels + 1) / 2).pow(exponent).mul(factor).clamp(0, 1) * 2 - 1


def stretched(pixels: Tensor, rng: np.random.Generator) -> Tensor:
    """Now and then the pictures without some of their rows or columns at the edges: wider or taller when resized."""
    if rng.random() >= STRETCHED:
        return pixels
    side = pixels.shape[-1]
    kept = side - int(rng.integers(1, max(2, int(STRETCH * side) + 1)))
    first, axis = int(rng.integers(side - kept + 1)), int(rng.integers(2, 4))
    return pixels.narrow(axis, first, kept)


def warped(pixels: Tensor, rng: np.random.Generator) -> Tensor:
    """Half of the pictures [n, 3, h, w] with their parts pushed about smoothly, as generated pictures wobble."""
    n = len(pixels)
    pushes = rng.normal(0, WARP, (n, 2, 5, 5)) * (rng.random((n, 1, 1, 1)) < 0.5)
    coarse = torch.from_numpy(pushes).float().to(pixels.device)
    field = F.interpolate(coarse, size=pixels.shape[-2:], mode="bicubic", align_corners=False).permute(0, 2, 3, 1)
    still = torch.eye(2, 3, device=pixels.device).expand(n, 2, 3)
    grid = F.affine_grid(still, list(pixels.shape), align_corners=False) + field
    return F.grid_sample(pixels, grid, padding_mode="border", align_corners=False)


def cut_out(pixels: Tensor, corner: Tensor, side: int) -> Tensor:
    """The patch-aligned squares [n, 3, side * PATCH, side * PATCH] of pictures at corners [2, n]."""
    reach = torch.arange(side * PATCH, device=pixels.device)
    rows, columns = corner[0][:, None] * PATCH + reach, corner[1][:, None] * PATCH + reach
    n = torch.arange(len(pixels), device=pixels.device)[:, None, None]
    return pixels.permute(0, 2, 3, 1)[n, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)


def with_unknown_words(ids: NDArray[np.int16], rng: np.random.Generator) -> NDArray[np.int16]:
    """Puts an unknown word in front of a fifth of the captions that have room for it: one word more must not matter."""
    shifted = np.roll(ids, 1, axis=1)
    shifted[:, 0] = 1
    fits = (ids[:, -1] == 0) & (rng.random(len(ids)) < 0.2)
    return np.where(fits[:, None], shifted, ids)
