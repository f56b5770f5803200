"""CLIP-type ViTs pooled at a class token: CLIP, MetaCLIP 2, AltCLIP, Chinese-CLIP, the CLIP inside CLIPSeg."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from typing import Any

from torch import Tensor

from abe_rerank.backbones.families import reads
from abe_rerank.backbones.families.blocks import Reading, read_global, reread, watch
from abe_rerank.backbones.families.regions import RegionTokens
from abe_rerank.backbones.features import REGIONS, RegionPlan, lay_windows, window_mask


@reads("CLIPModel", "MetaClip2Model", "AltCLIPModel", "ChineseCLIPModel")
class ClipReader:
    """``regions``: copies of the class token that see a window. ``clear``, ``csa``, ``value``: the last block run
    again, see :func:`abe_rerank.backbones.families.blocks.self_attend`. ``last``: its own output at the patches."""

    readouts: tuple[str, ...] = ("clear", "csa", "value", "last", REGIONS)
    pads_to_window = False
    unread: tuple[str, ...] = ()

    def read_images(
        self, model: Any, inputs: Mapping[str, Tensor], readouts: Sequence[str | RegionPlan]
    ) -> tuple[Tensor, list[Tensor]]:
        """See :class:`abe_rerank.backbones.families.Reader`."""
        vision = model.vision_model
        with ExitStack() as stack:
            readings = [self._reading(stack, vision, inputs, readout) for readout in readouts]
            features = read_global(model, inputs)
        return features, [model.visual_projection(vision.post_layernorm(finish())) for finish in readings]

    @staticmethod
    def _reading(stack: ExitStack, vision: Any, inputs: Mapping[str, Tensor], readout: str | RegionPlan) -> Reading:
        """The last states of the patches, or of the tokens of a plan's windows."""
        layers = vision.encoder.layers
        if isinstance(readout, RegionPlan):
            rows, columns = (length // vision.config.patch_size for length in inputs["pixel_values"].shape[-2:])
            windows = lay_windows(rows, columns, readout).to(inputs["pixel_values"].device)
            beside = layers[len(layers) - max(1, readout.layers(len(layers))) :]
            walking = stack.enter_context(RegionTokens(window_mask(windows, rows * columns)).beside(beside))
            return lambda: walking.found
        seen = stack.enter_context(watch(layers[-1]))
        if readout == "last":
            return lambda: seen.came_out[:, 1:]
        return lambda: reread(layers[-1], seen.went_in, readout)[:, 1:]

    def project_tokens(self, model: Any, states: Tensor) -> Tensor:
        """See :class:`abe_rerank.backbones.families.Reader`."""
        projected: Tensor = model.text_projection(states)
        return projected


@reads("CLIPSegModel")
class ClipSegReader(ClipReader):
    """The readouts of CLIP; the decoder of masks, which a CLIPSeg checkpoint has beside its CLIP, is not read."""

    unread: tuple[str, ...] = ("decoder.",)
