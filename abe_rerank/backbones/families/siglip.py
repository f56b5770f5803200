"""SigLIP and SigLIP 2, which pool with an attention head; SigLIP 2 may keep each picture's shape (NaFlex)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from abe_rerank.backbones.families import reads
from abe_rerank.backbones.families.blocks import Reading, read_global, reread, watch
from abe_rerank.backbones.families.regions import late_crops
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
        with ExitStack() as stack:
            readings = [self._reading(stack, model.vision_model, inputs, readout) for readout in readouts]
            features = read_global(model, inputs)
        return features, [finish() for finish in readings]

    def _reading(
        self, stack: ExitStack, vision: Any, inputs: Mapping[str, Tensor], readout: str | RegionPlan
    ) -> Reading:
        layers = vision.encoder.layers
        if isinstance(readout, RegionPlan):
            first = len(layers) - readout.layers(len(layers))
            entry = stack.enter_context(watch(layers[first] if first < len(layers) else vision.post_layernorm))
            return lambda: self._crops(vision, inputs, entry.went_in, readout, layers[first:])
        if readout == "value":
            normed = stack.enter_context(watch(vision.post_layernorm))
            return lambda: self._head_value(vision.head, normed.came_out)
        mask = inputs.get("pixel_attention_mask")
        real = None if mask is None else mask.bool()
        last = stack.enter_context(watch(layers[-1]))
        return lambda: self._head_value(
            vision.head, vision.post_layernorm(reread(layers[-1], last.went_in, readout, real))
        )

    def _crops(
        self, vision: Any, inputs: Mapping[str, Tensor], states: Tensor, plan: RegionPlan, layers: Sequence[Any]
    ) -> Tensor:
        """The windows of ``plan`` [N, W, D] of what enters ``layers``; images of one grid go through together."""
        found = []
        for index, (rows, columns) in self._grids(vision, inputs):
            windows = lay_windows(rows, columns, plan).to(states.device)
            found.append((index, late_crops(vision, states[index, : rows * columns], windows, layers)))
        most = max(vectors.shape[1] for _, vectors in found)
        regions = states.new_zeros(len(states), most, found[0][1].shape[-1])
        for index, vectors in found:
            regions[index, : vectors.shape[1]] = vectors
        return regions

    @staticmethod
    def _grids(vision: Any, inputs: Mapping[str, Tensor]) -> list[tuple[Tensor, tuple[int, int]]]:
        """The images of each grid: (their indices, (rows, columns))."""
        pixels = inputs["pixel_values"]
        if "spatial_shapes" not in inputs:
            size = vision.config.patch_size
            return [(torch.arange(len(pixels)), (pixels.shape[-2] // size, pixels.shape[-1] // size))]
        shapes = [(int(rows), int(columns)) for rows, columns in inputs["spatial_shapes"].tolist()]
        return [
            (torch.tensor([n for n, shape in enumerate(shapes) if shape == grid]), grid)
            for grid in dict.fromkeys(shapes)
        ]

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
