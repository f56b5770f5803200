"""SigLIP and SigLIP 2, which pool with an attention head; SigLIP 2 may keep each picture's shape (NaFlex)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from functools import cached_property
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from abe_rerank.backbones.families import reads
from abe_rerank.backbones.families.blocks import Reading, read_global, reread, watch
from abe_rerank.backbones.families.regions import HeadReads, head_reads, late_crops, pool_windows
from abe_rerank.backbones.features import RegionPlan, lay_windows

_ROWS = 1536


@reads("Siglip2Model")
class Siglip2Reader:
    """``value`` reads each patch as the head would if all its attention lay on that patch: out_proj(v_proj(x_p)), then
    the head's residual LayerNorm and MLP. An image of one patch gives exactly its global embedding. ``csa`` and
    ``clear`` first run the last block again with that attention. ``regions``: late crops of windows; a patch of a crop
    sees no more than the head does, so that half of the layers do what region tokens need three quarters for.
    """

    readouts: tuple[str, ...] = ("value", "csa", "clear", str(RegionPlan(depth=0.5)))
    pads_to_window = True
    unread: tuple[str, ...] = ()

    def read_images(
        self, model: Any, inputs: Mapping[str, Tensor], readouts: Sequence[str | RegionPlan]
    ) -> tuple[Tensor, list[Tensor]]:
        """See :class:`abe_rerank.backbones.families.Reader`."""
        vision = model.vision_model
        with ExitStack() as stack:
            regions = _Regions(stack, vision, inputs)
            readings = [
                regions.reading(readout)
                if isinstance(readout, RegionPlan)
                else self._reading(stack, vision, inputs, readout)
                for readout in readouts
            ]
            features = read_global(model, inputs)
        return features, [finish() for finish in readings]

    def _reading(self, stack: ExitStack, vision: Any, inputs: Mapping[str, Tensor], readout: str) -> Reading:
        if readout == "value":
            normed = stack.enter_context(watch(vision.post_layernorm))
            return lambda: self._head_value(vision.head, normed.came_out)
        mask = inputs.get("pixel_attention_mask")
        real = None if mask is None else mask.bool()
        last = stack.enter_context(watch(vision.encoder.layers[-1]))
        return lambda: self._head_value(
            vision.head, vision.post_layernorm(reread(vision.encoder.layers[-1], last.went_in, readout, real))
        )

    @staticmethod
    def _head_value(head: Any, states: Tensor) -> Tensor:
        """v_proj and out_proj are applied as the one matrix they are without attention between them.

        The MLP is added in place to some rows at a time, which stay in the processor's cache; without gradients only.
        """
        c = states.shape[-1]
        inner, outer = head.attention, head.attention.out_proj
        weight = outer.weight @ inner.in_proj_weight[2 * c :]
        mixed = F.linear(states, weight, outer.weight @ inner.in_proj_bias[2 * c :] + outer.bias)
        for rows in mixed.view(-1, c).split(_ROWS):
            rows += head.mlp(head.layernorm(rows))
        return mixed

    def project_tokens(self, model: Any, states: Tensor) -> Tensor:
        """See :class:`abe_rerank.backbones.families.Reader`."""
        projected: Tensor = model.text_model.head(states)
        return projected


@reads("SiglipModel")
class SiglipReader(Siglip2Reader):
    """The readouts of SigLIP 2."""


class _Regions:
    """Reads windows of one forward; images of one grid go through together."""

    def __init__(self, stack: ExitStack, vision: Any, inputs: Mapping[str, Tensor]) -> None:
        self.stack, self.vision, self.inputs = stack, vision, inputs
        self.normed = stack.enter_context(watch(vision.post_layernorm))

    def reading(self, plan: RegionPlan) -> Reading:
        """The windows of ``plan`` [N, W, D]."""
        layers = self.vision.encoder.layers
        last = layers[len(layers) - plan.layers(len(layers)) :]
        if not len(last):
            return lambda: self._joined(plan, lambda g, windows: pool_windows(self.vision.head, self.kept[g], windows))
        entry = self.stack.enter_context(watch(last[0]))
        return lambda: self._joined(
            plan, lambda g, windows: late_crops(self.vision, self._patches(g, entry.went_in), windows, last)
        )

    @cached_property
    def kept(self) -> list[HeadReads]:
        """What the head takes of the patches of each grid, once for all windows."""
        return [head_reads(self.vision.head, self._patches(g, self.normed.came_out)) for g in range(len(self.grids))]

    @cached_property
    def grids(self) -> list[tuple[Tensor, tuple[int, int]]]:
        """The images of each grid: (their indices, (rows, columns))."""
        pixels = self.inputs["pixel_values"]
        if "spatial_shapes" not in self.inputs:
            size = self.vision.config.patch_size
            return [(torch.arange(len(pixels)), (pixels.shape[-2] // size, pixels.shape[-1] // size))]
        shapes = [(int(rows), int(columns)) for rows, columns in self.inputs["spatial_shapes"].tolist()]
        return [
            (torch.tensor([n for n, shape in enumerate(shapes) if shape == grid]), grid)
            for grid in dict.fromkeys(shapes)
        ]

    def _patches(self, g: int, states: Tensor) -> Tensor:
        index, (rows, columns) = self.grids[g]
        return states[index, : rows * columns]

    def _joined(self, plan: RegionPlan, read: Callable[[int, Tensor], Tensor]) -> Tensor:
        """``read`` gives the windows of the images of a grid; padded to the most of any."""
        device = self.inputs["pixel_values"].device
        found = [read(g, lay_windows(*grid, plan).to(device)) for g, (_, grid) in enumerate(self.grids)]
        most = max(vectors.shape[1] for vectors in found)
        regions = found[0].new_zeros(len(self.inputs["pixel_values"]), most, found[0].shape[-1])
        for (index, _), vectors in zip(self.grids, found, strict=True):
            regions[index, : vectors.shape[1]] = vectors
        return regions
