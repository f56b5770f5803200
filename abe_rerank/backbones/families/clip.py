"""CLIP-type ViTs pooled at a class token: CLIP, MetaCLIP 2, AltCLIP, Chinese-CLIP, the CLIP inside CLIPSeg."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from typing import Any

from torch import Tensor

from abe_rerank.backbones.families import reads
from abe_rerank.backbones.families.blocks import read_global, reread, run_watched
from abe_rerank.backbones.families.regions import RegionTokens
from abe_rerank.backbones.features import REGIONS, RegionPlan, lay_windows, window_mask


@reads("CLIPModel", "MetaClip2Model", "AltCLIPModel", "ChineseCLIPModel")
class ClipReader:
    """``regions``: copies of the class token that see a window. ``clear``, ``csa``, ``value``: the last block run
    again, see :func:`abe_rerank.backbones.families.blocks.self_attend`. ``last``: its own output at the patches."""

    readouts: tuple[str, ...] = ("clear", "csa", "value", "last", REGIONS)
    pads_to_window = False
    unread: tuple[str, ...] = ()

    def read_images(self, model: Any, inputs: Mapping[str, Tensor], readout: str) -> tuple[Tensor, Tensor]:
        """See :class:`abe_rerank.backbones.families.Reader`."""
        vision = model.vision_model
        last = vision.encoder.layers[-1]
        features, entered, left = run_watched(model, inputs, last)
        dense = left if readout == "last" else reread(last, entered, readout)
        return features, model.visual_projection(vision.post_layernorm(dense[:, 1:]))

    def read_regions(self, model: Any, inputs: Mapping[str, Tensor], plan: RegionPlan) -> tuple[Tensor, Tensor]:
        """See :class:`abe_rerank.backbones.families.Reader`."""
        features, (regions,) = self._regions(model, inputs, [plan])
        return features, regions

    def read_windows(self, model: Any, inputs: Mapping[str, Tensor], plans: Sequence[RegionPlan]) -> tuple[Tensor, ...]:
        """See :class:`abe_rerank.backbones.families.Reader`. Region tokens walk to the end, so all of it is run."""
        return self._regions(model, inputs, plans)[1]

    @staticmethod
    def _regions(
        model: Any, inputs: Mapping[str, Tensor], plans: Sequence[RegionPlan]
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """(global [N, D], windows [N, W, D] by each plan) of one forward."""
        vision, pixels = model.vision_model, inputs["pixel_values"]
        size = vision.config.patch_size
        rows, columns = pixels.shape[-2] // size, pixels.shape[-1] // size
        layers = vision.encoder.layers
        walking = []
        with ExitStack() as stack:
            for plan in plans:
                windows = lay_windows(rows, columns, plan).to(pixels.device)
                beside = layers[len(layers) - max(1, plan.layers(len(layers))) :]
                walking.append(stack.enter_context(RegionTokens(window_mask(windows, rows * columns)).beside(beside)))
            features = read_global(model, inputs)
        return features, tuple(model.visual_projection(vision.post_layernorm(each.tokens)) for each in walking)

    def project_tokens(self, model: Any, states: Tensor) -> Tensor:
        """See :class:`abe_rerank.backbones.families.Reader`."""
        projected: Tensor = model.text_projection(states)
        return projected


@reads("CLIPSegModel")
class ClipSegReader(ClipReader):
    """The readouts of CLIP; the decoder of masks, which a CLIPSeg checkpoint has beside its CLIP, is not read."""

    unread: tuple[str, ...] = ("decoder.",)
