"""What a scorer asks of a backbone, and gets: image features over patches or windows, token states with their spans."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from abe_rerank.backbones.devices import ImageSize
from abe_rerank.errors import UsageError
from abe_rerank.types import Box, Span


@dataclass(frozen=True)
class ImageFeatures:
    """Features of N images in the shared space, all vectors of length 1, float32.

    ``global_`` [N, D]; ``patches`` [N, P, D], row by row from the top left; ``mask`` [N, P] is False where a patch is
    padding (NaFlex only); ``grids`` gives (rows, columns) per image; ``windows`` the part of each image that the grid
    covers as (left, top, right, bottom) fractions (a processor that crops the centre sees less than the whole).
    Where ``plan`` is set, ``patches`` and ``mask`` hold windows in place of patches, laid by it on each image's grid.
    ``beside`` has the same images' windows by other plans, as far as they were asked for.
    """

    global_: Tensor = field(repr=False)
    patches: Tensor = field(repr=False)
    mask: Tensor = field(repr=False)
    grids: tuple[tuple[int, int], ...]
    windows: tuple[Box, ...]
    plan: RegionPlan | None = None
    beside: tuple[ImageFeatures, ...] = ()

    def __len__(self) -> int:
        return len(self.grids)

    @property
    def grid(self) -> tuple[int, int]:
        """(rows, columns) shared by all images. Raises ValueError if they differ, which only NaFlex models do."""
        if len(set(self.grids)) != 1:
            raise ValueError(f"the images have different patch grids: {sorted(set(self.grids))}")
        return self.grids[0]

    def take(self, images: Sequence[int]) -> ImageFeatures:
        """The features of some of the images, in the order of ``images``."""
        rows = torch.tensor(images, dtype=torch.long, device=self.global_.device)
        return ImageFeatures(
            global_=self.global_[rows],
            patches=self.patches[rows],
            mask=self.mask[rows],
            grids=tuple(self.grids[n] for n in images),
            windows=tuple(self.windows[n] for n in images),
            plan=self.plan,
            beside=tuple(other.take(images) for other in self.beside),
        )

    def on_grid(self, n: int, values: Tensor) -> Tensor:
        """Values of image ``n``'s patches or windows [P, ...] on its grid: [rows, columns, ...].

        A patch has the mean of the windows that cover it.
        """
        rows, columns = self.grids[n]
        if self.plan is None:
            return values[: rows * columns].view(rows, columns, *values.shape[1:])
        return spread(values[self.mask[n]], rows, columns, self.plan)

    @staticmethod
    def cat(parts: Sequence[ImageFeatures]) -> ImageFeatures:
        """The features of several batches of one backbone as one, padded to the most patches or windows of any.

        Raises ValueError for no batches.
        """
        if not parts:
            raise ValueError("no image features to join")
        most = max(part.patches.shape[1] for part in parts)
        lacks = [most - part.patches.shape[1] for part in parts]
        return ImageFeatures(
            global_=torch.cat([part.global_ for part in parts]),
            patches=torch.cat([F.pad(part.patches, (0, 0, 0, n)) for part, n in zip(parts, lacks, strict=True)]),
            mask=torch.cat([F.pad(part.mask, (0, n)) for part, n in zip(parts, lacks, strict=True)]),
            grids=tuple(grid for part in parts for grid in part.grids),
            windows=tuple(window for part in parts for window in part.windows),
            plan=parts[0].plan,
            beside=tuple(ImageFeatures.cat(others) for others in zip(*(part.beside for part in parts), strict=True)),
        )


@dataclass(frozen=True)
class TokenStates:
    """The tokens of one text, special ones left out: ``states`` [L, D] of length 1, and each token's span."""

    states: Tensor = field(repr=False)
    spans: tuple[Span, ...]

    def indices(self, span: Span) -> list[int]:
        """The tokens that overlap the half-open character ``span``."""
        return [i for i, (start, end) in enumerate(self.spans) if start < span[1] and end > span[0]]


REGIONS = "regions"
_SHARE = r"(\d+(?:\.\d+)?)"
_PLAN = re.compile(rf"{REGIONS}(?: {_SHARE}/{_SHARE}/{_SHARE})?")


@dataclass(frozen=True)
class RegionPlan:
    """How regions are read: overlapping square windows, and how much of the model sees its window alone.

    ``side`` and ``stride`` are shares of the grid's shorter side, ``depth`` is the share of the vision encoder's
    layers, the last ones, in which a window sees nothing but itself. ``str`` of it is how settings and stamps write it.
    """

    side: float = 0.375
    stride: float = 0.125
    depth: float = 0.75

    def __post_init__(self) -> None:
        for name in ("side", "stride", "depth"):
            share = getattr(self, name)
            if not (0 <= share <= 1 and (share > 0 or name == "depth")):
                raise UsageError(f"the {name} of regions must be a share, more than 0 and at most 1, got {share}")

    def __str__(self) -> str:
        return f"{REGIONS} {self.side:g}/{self.stride:g}/{self.depth:g}"

    def layers(self, count: int) -> int:
        """How many of ``count`` layers see the window alone: the nearest whole number."""
        return math.floor(self.depth * count + 0.5)


def read_plan(readout: str) -> RegionPlan | None:
    """The plan of a readout called ``regions`` or ``regions SIDE/STRIDE/DEPTH``, None for a readout of patches."""
    found = _PLAN.fullmatch(readout)
    if found is None:
        return None
    shares = [float(share) for share in found.groups() if share is not None]
    return RegionPlan(*shares)


def lay_windows(rows: int, columns: int, plan: RegionPlan) -> Tensor:
    """The patches of each window: indices [w, side * side], windows row by row.

    The first and the last window of a row touch the edges, and steps between are as even as whole patches allow, none
    larger than the stride or a window's side: every patch is covered.
    """
    side = _patches(plan.side, rows, columns)
    step = min(side, _patches(plan.stride, rows, columns))
    steps = torch.arange(side)
    down, across = (_starts(length, side, step)[:, None] + steps for length in (rows, columns))
    index = down[:, None, :, None] * columns + across[None, :, None, :]
    return index.reshape(-1, side * side)


def window_count(rows: int, columns: int, plan: RegionPlan) -> int:
    """How many windows :func:`lay_windows` lays."""
    return len(lay_windows(rows, columns, plan))


def window_mask(windows: Tensor, patches: int) -> Tensor:
    """[w, p], True where a patch belongs to a window; ``windows`` [w, s] are indices of patches."""
    return torch.zeros(len(windows), patches, dtype=torch.bool, device=windows.device).scatter_(1, windows, True)


def spread(weights: Tensor, rows: int, columns: int, plan: RegionPlan) -> Tensor:
    """Weights of windows [w, ...] on the patches [rows, columns, ...]: the mean over the windows that cover one."""
    covers = window_mask(lay_windows(rows, columns, plan), rows * columns).to(weights)
    shares = covers / covers.sum(dim=0)
    laid: Tensor = torch.einsum("wp,w...->p...", shares, weights)
    return laid.view(rows, columns, *weights.shape[1:])


def _patches(share: float, rows: int, columns: int) -> int:
    """The share of the shorter side in whole patches, at least one."""
    return max(1, math.floor(share * min(rows, columns) + 0.5))


def _starts(length: int, side: int, step: int) -> Tensor:
    """The first patch of each window along an axis of ``length`` patches."""
    count = math.ceil((length - side) / step) + 1
    return torch.linspace(0, length - side, count).round().long()


class Backbone(Protocol):
    """Images and texts in, float32 vectors of length 1 in a space of D dimensions that both share out.

    A vector depends on its own image or text alone. :class:`abe_rerank.backbones.DualEncoder` is the implementation
    for the models of transformers.
    """

    @property
    def name(self) -> str:
        """What it was asked for by: a folder, a hub id, ..."""
        ...

    @property
    def kind(self) -> str:
        """The class of the model, for records."""
        ...

    @property
    def weights_hash(self) -> str:
        """Hex digits that differ for other weights; a part of every stamp."""
        ...

    @property
    def folder(self) -> Path | None:
        """Where ``abe.json`` and ``calibration.json`` of the model lie; None if it has no folder."""
        ...

    @property
    def image_size(self) -> ImageSize | None:
        """The size in pixels to which images are scaled; None is the model's own."""
        ...

    @property
    def device(self) -> torch.device:
        """Where it computes, and where the vectors that it returns are."""
        ...

    @property
    def dtype(self) -> torch.dtype:
        """The floating-point type it computes with."""
        ...

    @property
    def logit_scale(self) -> float:
        """What the model's cosines are multiplied by to give its logits: the unit that its differences count in."""
        ...

    @property
    def readouts(self) -> tuple[str, ...]:
        """The names of the ways to read its patches, the default one first; at least one."""
        ...

    @property
    def tokenizer(self) -> Any:
        """The Hugging Face tokenizer that tells which words it has no token for; None if there is none."""
        ...

    def encode_images(
        self, images: Sequence[Image.Image], readout: str | None = None, beside: Sequence[RegionPlan] = ()
    ) -> ImageFeatures:
        """Global and patch features of ``images``, their patches by ``readout``, None the default one, and their
        windows by the plans ``beside``.

        Raises UsageError for an unknown readout, or no images.
        """
        ...

    def encode_global(self, images: Sequence[Image.Image]) -> Tensor:
        """The global vectors [N, D] alone."""
        ...

    def encode_texts(self, texts: Sequence[str]) -> Tensor:
        """The vector of each whole text, [T, D]."""
        ...

    def forget_texts(self) -> None:
        """Forget the vectors of texts that were kept: what comes next does not depend on them, to the bit."""
        ...

    def encode_tokens(self, texts: Sequence[str]) -> list[TokenStates]:
        """The vectors of the tokens of each text."""
        ...

    def text_windows(self, text: str) -> list[Span]:
        """The spans of the parts in which ``text`` is read: one if it is read at once."""
        ...
