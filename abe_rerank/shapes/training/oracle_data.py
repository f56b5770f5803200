"""What the oracle learns from: rendered scenes on disk, and disturbances that generated images also show."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from abe_rerank.shapes.render import render
from abe_rerank.shapes.training.common import rendered_scenes
from abe_rerank.shapes.training.vae import CALM, to_tensor
from abe_rerank.shapes.world import COLOURS, PATTERNS, SCENES, SHAPES, Scene, sample_scene, split_rng

SIDE = 128
MOST = 4
"""Objects in a scene at most."""
FIRST_SCENE = 10_000_000
"""The oracle's scenes start at this index of the training split, so that it shares no scene with the scorer."""
CROWDED = ((1, 0.2), (2, 0.3), (3, 0.25), (4, 0.25))
CALM_SHARE = 0.25
FIRST_PASSED = 15_000_000
LATENT_NOISE = 0.08
"""Standard deviation of the noise on latents of variance 1, for what a sampled latent lacks in precision."""


def labels_of(scene: Scene) -> NDArray[np.float32]:
    """Float [MOST, 6]: x, y, diameter, and the indices of colour, shape and pattern; rows of -1 where nothing is."""
    rows = np.full((MOST, 6), -1, np.float32)
    for k, thing in enumerate(scene.objects):
        kind = COLOURS.index(thing.colour), SHAPES.index(thing.shape), PATTERNS.index(thing.pattern)
        rows[k] = (thing.x, thing.y, thing.diameter, *kind)
    return rows


def training_scene(index: int) -> Scene:
    """The index-th scene to learn from: the measured world, with more objects at a time and some calmer pictures."""
    rng = split_rng("train", FIRST_SCENE + index)
    settings = replace(SCENES, counts=CROWDED)
    if rng.random() < CALM_SHARE:
        settings = replace(settings, style=0.2)
    return sample_scene(rng, settings)


def learned_from(folder: Path, scenes: int) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """The first ``scenes`` training scenes: images uint8 [scenes, SIDE, SIDE, 3] and labels [scenes, MOST, 6].

    Renders them into ``folder`` (49 kB each, about 3 ms each) unless they are already there.
    """
    images = rendered_scenes(folder, scenes, training_scene, SIDE)
    file = folder / f"labels_{scenes}.npy"
    if not file.exists():
        np.save(file, np.stack([labels_of(training_scene(k)) for k in range(scenes)]))
    return images, np.load(file)


def passed_through(folder: Path, autoencoder: Path, scenes: int) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Scenes of the text-to-image model's world as its autoencoder draws them, with their labels, kept in ``folder``.

    ``autoencoder`` is a diffusers folder of an ``AutoencoderKL``.
    """
    from diffusers import AutoencoderKL

    file = folder / f"passed_{scenes}.npz"
    if not file.exists():
        model = AutoencoderKL.from_pretrained(autoencoder).eval()
        drawn = [sample_scene(split_rng("train", FIRST_PASSED + k), CALM) for k in range(scenes)]
        images = np.empty((scenes, SIDE, SIDE, 3), np.uint8)
        generator = torch.Generator().manual_seed(0)
        for start in range(0, scenes, 20):
            pictures = np.stack([render(scene, SIDE)[0] for scene in drawn[start : start + 20]])
            with torch.inference_mode():
                latents = model.encode(to_tensor(pictures)).latent_dist.mean
                latents = latents + LATENT_NOISE * torch.randn(latents.shape, generator=generator)
                out = (model.decode(latents).sample.clamp(-1, 1) + 1) * 127.5
            images[start : start + 20] = out.round().byte().permute(0, 2, 3, 1).numpy()
        np.savez(file, images=images, labels=np.stack([labels_of(scene) for scene in drawn]))
    kept = np.load(file)
    return kept["images"], kept["labels"]


def disturbed(images: Tensor, labels: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Flips, warps, softens and tints a batch, each image by its own lot; about a third of the images stay clean.

    ``images`` float [B, 3, H, W] in [0, 1] and ``labels`` [B, MOST, 6]; returns the same, changed. Only the
    flip moves labels: warps stay within two pixels.
    """
    count = len(images)
    flip = torch.rand(count, generator=generator) < 0.5
    images = torch.where(flip[:, None, None, None], images.flip(3), images)
    labels = labels.clone()
    there = (labels[..., 0] >= 0) & flip[:, None]
    labels[..., 0] = torch.where(there, 1 - labels[..., 0], labels[..., 0])
    hurt = torch.rand(count, generator=generator) < 0.67
    for change, share in ((_warped, 0.5), (_softened, 0.5), (_tinted, 0.7)):
        chosen = torch.nonzero(hurt & (torch.rand(count, generator=generator) < share)).flatten()
        if len(chosen):
            images[chosen] = change(images[chosen], generator)
    return images.clamp_(0, 1), labels


def _warped(images: Tensor, generator: torch.Generator) -> Tensor:
    """Bends by a smooth random flow of up to about two pixels, as generated shapes are a little out of true."""
    count, _, height, width = images.shape
    cells = 6
    flow = torch.randn(count, 2, cells, cells, generator=generator) * (1.6 / width)
    flow *= torch.rand(count, 1, 1, 1, generator=generator)
    flow = F.interpolate(flow, (height, width), mode="bilinear", align_corners=True).permute(0, 2, 3, 1)
    still = F.affine_grid(torch.eye(2, 3).expand(count, 2, 3), [count, 1, height, width], align_corners=False)
    return F.grid_sample(images, still + flow, padding_mode="border", align_corners=False)


def _softened(images: Tensor, generator: torch.Generator) -> Tensor:
    """Blurs or sharpens each image with its own Gaussian (up to 1.2 pixels) and adds a coarse grain, as VAEs do."""
    count, channels, height, width = images.shape
    sigma = torch.rand(count, 1, generator=generator) * 0.95 + 0.25
    taps = torch.exp(-0.5 * (torch.arange(-3, 4) / sigma) ** 2)
    taps = (taps / taps.sum(1, keepdim=True)).repeat_interleave(channels, 0)
    flat = F.pad(images.reshape(1, count * channels, height, width), (3, 3, 3, 3), "replicate")
    flat = F.conv2d(flat, taps[:, None, :, None], groups=count * channels)
    soft = F.conv2d(flat, taps[:, None, None, :], groups=count * channels).view_as(images)
    sharpen = torch.rand(count, 1, 1, 1, generator=generator) * 0.8 - 0.2
    grain = torch.randn(count, channels, height // 2, width // 2, generator=generator) * 0.04
    grain = F.interpolate(grain, (height, width), mode="bilinear", align_corners=False)
    return soft + sharpen * (soft - images) * -0.6 + grain * torch.rand(count, 1, 1, 1, generator=generator)


def _tinted(images: Tensor, generator: torch.Generator) -> Tensor:
    """Changes brightness, contrast and white balance a little, adds soft blotches and noise."""
    count, channels, height, width = images.shape

    def lot(scale: float, *shape: int) -> Tensor:
        return (torch.rand(count, *shape, generator=generator) * 2 - 1) * scale

    blotches = torch.randn(count, channels, 8, 8, generator=generator) * 0.025
    blotches = F.interpolate(blotches, (height, width), mode="bilinear", align_corners=False)
    noise = torch.randn(images.shape, generator=generator) * lot(0.025, 1, 1, 1)
    tinted = (images - 0.5) * (1 + lot(0.06, 1, 1, 1)) + 0.5 + lot(0.02, channels, 1, 1) + lot(0.03, 1, 1, 1)
    return tinted + blotches + noise
