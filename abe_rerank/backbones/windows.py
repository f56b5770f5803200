"""Windows on a grid of patches, laid by the grid's size whatever the patch size: where regions are read.

Axes: w windows, p patches of a grid, row by row from the top left.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

import torch
from torch import Tensor

from abe_rerank.errors import UsageError

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
