"""Makes rendered pictures look as generated ones: decoded from imprecise latents, drawn anew in part, a little bent.

The autoencoder and the denoiser are those of the built-in text-to-image model. What a picture shows stays as it is;
its edges wobble, its corners melt.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from abe_rerank import builtin
from abe_rerank.shapes.training.oracle_data import LATENT_NOISE, warped
from abe_rerank.shapes.training.vae import SIDE, to_tensor

AT_ONCE = 25
REDRAWN = (0.08, 0.3)
"""How far towards pure noise a picture is taken before it is drawn anew without a prompt: shares of the schedule."""


@torch.inference_mode()
def melt(images: NDArray[np.uint8], seed: int) -> None:
    """Changes the pictures uint8 [n, size, size, 3] in place; a half of those of the model's own size is drawn anew.

    ``size`` is a multiple of the autoencoder's factor.
    """
    from diffusers import StableDiffusionPipeline

    pipeline = StableDiffusionPipeline.from_pretrained(builtin.path("text-to-image"))
    generator = torch.Generator().manual_seed(seed)
    for number, start in enumerate(range(0, len(images), AT_ONCE)):
        pixels = to_tensor(np.array(images[start : start + AT_ONCE]))
        latents = pipeline.vae.encode(pixels).latent_dist.mean
        if images.shape[1] == SIDE and number % 2 == 0:
            latents = _drawn_anew(pipeline, latents, generator)
        latents = latents + LATENT_NOISE * torch.rand((), generator=generator) * _normal(latents, generator)
        drawn = (pipeline.vae.decode(latents).sample.clamp(-1, 1) + 1) / 2
        bent = warped(drawn, generator)
        images[start : start + AT_ONCE] = (bent * 255).round().byte().permute(0, 2, 3, 1).numpy()


def _drawn_anew(model: Any, latents: Tensor, generator: torch.Generator) -> Tensor:
    """Noises the latents [n, c, h, w] by a share of the schedule and denoises them (SDEdit, arXiv 2108.01073)."""
    share = float(torch.empty(()).uniform_(*REDRAWN, generator=generator))
    model.scheduler.set_timesteps(30)
    steps = model.scheduler.timesteps[-max(1, round(30 * share)) :]
    model.scheduler.set_begin_index(30 - len(steps))
    noisy = model.scheduler.add_noise(latents, _normal(latents, generator), steps[:1].expand(len(latents)))
    blank = model.tokenizer([""], padding="max_length", return_tensors="pt").input_ids
    words = model.text_encoder(blank)[0].expand(len(latents), -1, -1)
    for step in steps:
        noisy = model.scheduler.step(model.unet(noisy, step, words).sample, step, noisy).prev_sample
    return noisy


def _normal(like: Tensor, generator: torch.Generator) -> Tensor:
    return torch.randn(like.shape, generator=generator)
