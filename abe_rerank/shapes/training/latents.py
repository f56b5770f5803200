"""The latents of the training scenes, on disk, and the autoencoder whose latents have mean 0 and variance 1."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from abe_rerank.errors import AbeRerankError
from abe_rerank.shapes.render import render
from abe_rerank.shapes.training.calm_scenes import placed_scene
from abe_rerank.shapes.training.common import load_checkpoint
from abe_rerank.shapes.training.vae import FACTOR, SIDE, new_vae, to_tensor

log = logging.getLogger(__name__)

MEAN, STD = (0.23, 0.23, 0.23), (0.44, 0.44, 0.44)
"""Of the averaged colours in [-1, 1] over the scenes; the latents are (colour - MEAN) / STD."""


def finished_vae(checkpoint: Path) -> AutoencoderKL:
    """The autoencoder of a checkpoint with the latents' shift and scale in its weights: its scaling factor is 1."""
    state = load_checkpoint(checkpoint)
    if state is None:
        raise AbeRerankError(
            f"no autoencoder at {checkpoint}: train it with `python -m abe_rerank.shapes.training vae`"
        )
    vae = new_vae()
    vae.load_state_dict(state["vae"])
    vae.eval().requires_grad_(False)
    fold_normalisation(vae, torch.tensor(MEAN), torch.tensor(STD))
    vae.register_to_config(scaling_factor=1.0)
    return vae


@torch.no_grad()
def fold_normalisation(vae: AutoencoderKL, mean: Tensor, std: Tensor) -> None:
    """Makes latents z come out as (z - mean) / std, by the two 1x1 convolutions around them; pictures stay the same."""
    into, back, n = vae.quant_conv, vae.post_quant_conv, len(mean)
    into.weight[:n] /= std[:, None, None, None]
    into.bias[:n] = (into.bias[:n] - mean) / std
    into.bias[n:] -= 2 * std.log()
    back.bias += back.weight[:, :, 0, 0] @ mean
    back.weight *= std[None, :, None, None]


def scene_latents(folder: Path, scenes: int) -> NDArray[np.float16]:
    """Latents float16 [scenes, 3, SIDE / FACTOR, SIDE / FACTOR] of the first training scenes, kept in ``folder``."""
    path = folder / f"placed_{scenes}.npy"
    if not path.exists():
        rows = []
        for index in range(scenes):
            small = F.avg_pool2d(to_tensor(render(placed_scene(index), SIDE)[0][None]), FACTOR)
            small = (small - torch.tensor(MEAN)[:, None, None]) / torch.tensor(STD)[:, None, None]
            rows.append(small.numpy().astype(np.float16))
            if index % 4000 == 0:
                log.info("rendered %d of %d scenes", index, scenes)
        np.save(path, np.concatenate(rows))
    latents: NDArray[np.float16] = np.load(path)
    return latents
