"""The pictures of the second course as latents, with several captions each, on disk."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F
from transformers import PreTrainedTokenizerFast

from abe_rerank.shapes.render import render
from abe_rerank.shapes.training.asked_scenes import asked_caption, asked_scene
from abe_rerank.shapes.training.latents import MEAN, STD
from abe_rerank.shapes.training.vae import FACTOR, SIDE, to_tensor

log = logging.getLogger(__name__)

WORDINGS_KEPT = 4
PART = 2000


@dataclass(frozen=True)
class LatentPool:
    """Latents float16 [scenes, 3, h, w] and token ids int16 [scenes, WORDINGS_KEPT, tokens] of their captions.

    ``empty`` [tokens] are the ids of the empty prompt.
    """

    latents: NDArray[np.float16]
    ids: NDArray[np.int16]
    empty: NDArray[np.int16]

    def batch(self, rng: np.random.Generator, size: int, dropped: float) -> tuple[Tensor, Tensor]:
        """``size`` scenes by lot: latents float32 [size, 3, h, w], and ids [size, tokens] of one caption each.

        A share ``dropped`` of the captions is empty, for guidance.
        """
        rows = np.sort(rng.integers(len(self.latents), size=size))
        ids = self.ids[rows, rng.integers(WORDINGS_KEPT, size=size)]
        ids[rng.random(size) < dropped] = self.empty
        return torch.from_numpy(self.latents[rows].astype(np.float32)), torch.from_numpy(ids.astype(np.int64))


def asked_pool(folder: Path, scenes: int, tokenizer: PreTrainedTokenizerFast) -> LatentPool:
    """The first scenes of the second course, rendered into ``folder`` in parts unless they are there already."""
    folder.mkdir(parents=True, exist_ok=True)
    parts = []
    for first in range(0, scenes, PART):
        count = min(PART, scenes - first)
        file = folder / f"asked_{first}_{count}.npz"
        if not file.exists():
            written = file.with_suffix(".new.npz")
            latents, ids = _part(first, count, tokenizer)
            np.savez(written, latents=latents, ids=ids)
            written.replace(file)
            log.info("rendered %d of %d scenes", first + count, scenes)
        with np.load(file) as kept:
            parts.append((kept["latents"], kept["ids"]))
    latents, ids = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    return LatentPool(latents, ids, _ids(tokenizer, [""])[0])


def _part(first: int, count: int, tokenizer: PreTrainedTokenizerFast) -> tuple[NDArray[np.float16], NDArray[np.int16]]:
    mean, std = (torch.tensor(values)[:, None, None] for values in (MEAN, STD))
    latents, texts = [], []
    for index in range(first, first + count):
        asked, rng = asked_scene(index), np.random.default_rng((8, index))
        small = F.avg_pool2d(to_tensor(render(asked.scene, SIDE)[0][None]), FACTOR)
        latents.append(((small - mean) / std).numpy().astype(np.float16))
        texts += [asked_caption(asked, rng) for _ in range(WORDINGS_KEPT)]
    return np.concatenate(latents), _ids(tokenizer, texts).reshape(count, WORDINGS_KEPT, -1)


def _ids(tokenizer: PreTrainedTokenizerFast, texts: list[str]) -> NDArray[np.int16]:
    return np.array(tokenizer(texts, padding="max_length", truncation=True)["input_ids"], np.int16)
