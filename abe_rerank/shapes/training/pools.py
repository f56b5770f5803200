"""Rendered scenes kept on disk, so that a training draws each scene once and reads it many times."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from transformers import PreTrainedTokenizerFast

from abe_rerank.shapes.render import render
from abe_rerank.shapes.training.captions import Style, Wording, caption
from abe_rerank.shapes.world import Scene, Split, WorldSettings, sample_scene, split_rng

WORDINGS_KEPT = 4


@dataclass(frozen=True)
class Pool:
    """Pictures with the token ids of several captions each.

    ``images`` is uint8 [scenes, size, size, 3]; ``ids`` is int16 [scenes, captions, tokens], padded.
    """

    images: NDArray[np.uint8]
    ids: NDArray[np.int16]

    def batch(self, rng: np.random.Generator, size: int) -> tuple[NDArray[np.uint8], NDArray[np.int16]]:
        """``size`` pictures by lot with one of their captions each: [size, h, w, 3] and [size, tokens]."""
        rows = np.sort(rng.integers(len(self.images), size=size))
        return self.images[rows], self.ids[rows, rng.integers(self.ids.shape[1], size=size)]


@dataclass(frozen=True)
class PoolPlan:
    """What a pool holds. ``first`` is the index of its first scene in the split, so that pools do not share scenes.

    ``scale`` is the width of a picture in widths of a scene: what is called small or large is so in a scene. ``wide``
    pictures are half as wide again as high, and squeezed to the square as image processors do it.
    """

    settings: WorldSettings
    count: int
    size: int
    style: Style | Wording
    first: int = 0
    split: Split = "train"
    scale: float = 1.0
    wide: bool = False


def open_pool(pools: Path, plan: PoolPlan, tokenizer: PreTrainedTokenizerFast) -> Pool:
    """The pool of a plan, in a folder of its own in ``pools``, rendered first if it is not there."""
    made_by = json.dumps({"plan": repr(plan), "vocabulary": sorted(tokenizer.get_vocab())})
    folder = pools / hashlib.sha256(made_by.encode()).hexdigest()[:12]
    stamp = folder / "plan.json"
    if not stamp.exists():
        _render_pool(folder, plan, tokenizer)
        stamp.write_text(made_by)
    return Pool(np.load(folder / "images.npy", mmap_mode="r"), np.load(folder / "ids.npy"))


def _render_pool(folder: Path, plan: PoolPlan, tokenizer: PreTrainedTokenizerFast) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    shape = (plan.count, plan.size, plan.size, 3)
    images = np.lib.format.open_memmap(folder / "images.npy", mode="w+", dtype=np.uint8, shape=shape)
    texts: list[str] = []
    for k in range(plan.count):
        rng = split_rng(plan.split, plan.first + k)
        scene = sample_scene(rng, plan.settings)
        images[k] = _squeezed(scene, plan.size) if plan.wide else render(scene, plan.size)[0]
        told = replace(scene, objects=tuple(replace(o, diameter=o.diameter * plan.scale) for o in scene.objects))
        texts += [caption(told, rng, plan.style) for _ in range(WORDINGS_KEPT)]
    images.flush()
    padded = tokenizer(texts, padding="max_length", truncation=True)["input_ids"]
    np.save(folder / "ids.npy", np.array(padded, np.int16).reshape(plan.count, WORDINGS_KEPT, -1))


def _squeezed(scene: Scene, size: int) -> NDArray[np.uint8]:
    """The middle two thirds of the scene's height, at its whole width, as a square."""
    drawn = render(scene, size * 3 // 2)[0]
    cut = drawn[size // 4 : size // 4 + size]
    return np.asarray(Image.fromarray(cut).resize((size, size), Image.Resampling.BICUBIC))
