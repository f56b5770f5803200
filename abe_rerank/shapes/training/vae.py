"""Trains the autoencoder of the built-in text-to-image model: 128x128 pixels to 32x32 latents of three channels.

A stock ``AutoencoderKL`` whose latents are the mean colours of 4x4 pixels: its encoder is set to average
(:mod:`abe_rerank.shapes.training.identity_start`) and only its decoder learns, namely to draw the edges sharp. Coded
latents would be fewer, but a UNet of this size learns plain small pictures with far fewer samples. The loss is L1 of
pixels and of their differences (edges). Most of a scene is background, so that pictures for training are mosaics of
four crops around objects; whole scenes take their turn towards the end.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer
from diffusers import AutoencoderKL
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from abe_rerank.shapes.training.common import (
    Pace,
    learning_rate,
    load_checkpoint,
    log_to,
    rendered_scenes,
    save_checkpoint,
)
from abe_rerank.shapes.training.identity_start import hold, start_as_identity
from abe_rerank.shapes.training.muon import muon_and_adam
from abe_rerank.shapes.world import Scene, WorldSettings, sample_scene, split_rng

log = logging.getLogger(__name__)

SIDE = 128
CALM = WorldSettings(
    counts=((1, 0.4), (2, 0.5), (3, 0.1)), diameters=(0.24, 0.46), patterned=0.3, twins=0.04, style=0.15
)
"""The world of the text-to-image model: few, well visible objects."""
FIRST_SCENE = 20_000_000
"""Its scenes start at this index of the training split: none is shared with the scorer or the oracle."""
FACTOR = 4
"""Pixels to a latent, along an axis."""
NOISE = 0.03
"""Standard deviation of the noise on latents that the decoder learns to bear: a UNet's latents are never exact."""


def training_scene(index: int) -> Scene:
    """The index-th scene that the text-to-image model learns from."""
    return sample_scene(split_rng("train", FIRST_SCENE + index), CALM)


def new_vae(channels: tuple[int, ...] = (24, 48, 64)) -> AutoencoderKL:
    """An untrained autoencoder with a factor of 2 between neighbouring entries of ``channels``."""
    return AutoencoderKL(
        block_out_channels=channels,
        down_block_types=("DownEncoderBlock2D",) * len(channels),
        up_block_types=("UpDecoderBlock2D",) * len(channels),
        layers_per_block=1,
        latent_channels=3,
        norm_num_groups=1,
        mid_block_add_attention=False,
        sample_size=SIDE,
    )


def to_tensor(images: NDArray[np.uint8]) -> Tensor:
    """Images [n, h, w, 3] of bytes as float [n, 3, h, w] in [-1, 1], channels last in memory."""
    return torch.from_numpy(images.astype(np.float32) / 127.5 - 1).permute(0, 3, 1, 2)


def mosaics(images: NDArray[np.uint8], count: int, whole: float, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Pictures [count, SIDE, SIDE, 3]: whole scenes with the chance ``whole``, else four crops around objects each."""
    half = SIDE // 2
    out = np.empty((count, SIDE, SIDE, 3), np.uint8)
    for k in range(count):
        if rng.random() < whole:
            out[k] = images[rng.integers(len(images))]
            continue
        for y, x in ((0, 0), (0, half), (half, 0), (half, half)):
            index = int(rng.integers(len(images)))
            things = training_scene(index).objects
            thing = things[int(rng.integers(len(things)))]
            top, left = (int(np.clip((c + rng.normal(0, 0.12)) * SIDE - half / 2, 0, half)) for c in (thing.y, thing.x))
            crop = images[index, top : top + half, left : left + half]
            out[k, y : y + half, x : x + half] = crop[:, :: int(rng.choice((-1, 1)))]
    return out


def reconstruction_loss(out: Tensor, image: Tensor) -> Tensor:
    """L1 of the pixels plus L1 of their horizontal and vertical differences."""
    gap = out.float() - image
    return gap.abs().mean() + gap.diff(dim=-1).abs().mean() + gap.diff(dim=-2).abs().mean()


def main(
    out: Annotated[Path, typer.Option(help="folder of the checkpoint and the log")] = Path("checkpoints/vae"),
    steps: Annotated[int, typer.Option(min=1)] = 8000,
    batch: Annotated[int, typer.Option(min=1)] = 4,
    scenes: Annotated[int, typer.Option(min=1, help="rendered scenes to learn from, kept on disk")] = 12_000,
    peak: Annotated[float, typer.Option(help="peak learning rate")] = 2e-3,
    seed: int = 0,
    device: str = "cpu",
    half: Annotated[bool, typer.Option(help="bfloat16 by autocast: faster where the processor knows it")] = False,
) -> None:
    """Trains the autoencoder; the same command goes on from the last checkpoint."""
    log_to(out)
    images = rendered_scenes(out, scenes, training_scene, SIDE)
    torch.manual_seed(seed)
    vae = new_vae()
    held = start_as_identity(vae, to_tensor(images[:16]), FACTOR)
    vae.to(device, memory_format=torch.channels_last)
    optimizers = muon_and_adam(vae.decoder, peak)
    step, pace = 0, Pace(every=60)
    state = load_checkpoint(out / "last.pt", device)
    if state:
        vae.load_state_dict(state["vae"])
        for optimizer, kept in zip(optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(kept)
        step, pace.spent = state["step"], state["seconds"]
    running = 0.0
    while step < steps:
        rng = np.random.default_rng((seed, step))
        x = to_tensor(mosaics(images, batch, 0.1 if step < 0.6 * steps else 0.5, rng)).to(device)
        noise = torch.from_numpy(rng.standard_normal((batch, 3, SIDE // FACTOR, SIDE // FACTOR), np.float32)).to(device)
        with torch.autocast(x.device.type, torch.bfloat16, enabled=half):
            decoded = vae.decode(F.avg_pool2d(x, FACTOR) + NOISE * noise).sample
        loss = reconstruction_loss(decoded, x)
        for optimizer in optimizers:
            for group in optimizer.param_groups:
                group["lr"] = learning_rate(step, steps, peak, warmup=min(100, steps // 4))
            optimizer.zero_grad()
        loss.backward()
        hold(held)
        torch.nn.utils.clip_grad_norm_(vae.parameters(), 1.0)
        for optimizer in optimizers:
            optimizer.step()
        running = loss.item() if step == 0 or not running else 0.98 * running + 0.02 * loss.item()
        step += 1
        if step % 20 == 0:
            log.info("step %d of %d, loss %.4f", step, steps, running)
        if pace.due() or step == steps:
            kept = {"optimizers": [optimizer.state_dict() for optimizer in optimizers], "step": step}
            save_checkpoint(out / "last.pt", {**kept, "vae": vae.state_dict(), "seconds": pace.spent})
    log.info("trained for %.0f s", pace.spent)
