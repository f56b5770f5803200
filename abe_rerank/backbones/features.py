"""What a backbone returns: image features with their grid, token states with their character spans."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from abe_rerank.backbones.windows import RegionPlan, spread
from abe_rerank.types import Box, Span


@dataclass(frozen=True)
class ImageFeatures:
    """Features of N images in the shared space, all vectors of length 1, float32.

    ``global_`` [N, D]; ``patches`` [N, P, D], row by row from the top left; ``mask`` [N, P] is False where a patch is
    padding (NaFlex only); ``grids`` gives (rows, columns) per image; ``windows`` the part of each image that the grid
    covers as (left, top, right, bottom) fractions (a processor that crops the centre sees less than the whole).
    Where ``plan`` is set, ``patches`` and ``mask`` hold windows in place of patches, laid by it on each image's grid.
    """

    global_: Tensor = field(repr=False)
    patches: Tensor = field(repr=False)
    mask: Tensor = field(repr=False)
    grids: tuple[tuple[int, int], ...]
    windows: tuple[Box, ...]
    plan: RegionPlan | None = None

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
        """The features of several batches of one backbone as one. Raises ValueError for no batches."""
        if not parts:
            raise ValueError("no image features to join")
        return ImageFeatures(
            global_=torch.cat([part.global_ for part in parts]),
            patches=torch.cat([part.patches for part in parts]),
            mask=torch.cat([part.mask for part in parts]),
            grids=tuple(grid for part in parts for grid in part.grids),
            windows=tuple(window for part in parts for window in part.windows),
            plan=parts[0].plan,
        )


@dataclass(frozen=True)
class TokenStates:
    """The tokens of one text, special ones left out: ``states`` [L, D] of length 1, and each token's span."""

    states: Tensor = field(repr=False)
    spans: tuple[Span, ...]

    def indices(self, span: Span) -> list[int]:
        """The tokens that overlap the half-open character ``span``."""
        return [i for i, (start, end) in enumerate(self.spans) if start < span[1] and end > span[0]]
