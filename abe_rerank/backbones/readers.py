"""How the inside of each model family is read: one reader per family, chosen by model class.

Every reader runs the model's own ``get_image_features``, so the global embedding is the model's own to the last digit,
and watches the last block through hooks to compute a dense readout of the patches beside it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from abe_rerank.types import Box


class Reader(Protocol):
    """Reads one family of models. ``readouts`` lists the dense readouts of its patches, the default one first."""

    readouts: tuple[str, ...]
    pads_to_window: bool

    def read_images(self, model: nn.Module, inputs: Mapping[str, Tensor], readout: str) -> tuple[Tensor, Tensor]:
        """(global [N, D], patches [N, P, D]) in the shared space, not normalised."""
        ...

    def layout(self, rows: int, columns: int, readout: str) -> tuple[tuple[int, int], Box]:
        """The grid that a readout gives for an image of rows x columns patches, and the part of it that it covers."""
        ...

    def project_tokens(self, model: nn.Module, states: Tensor) -> Tensor:
        """Last text states [T, L, C] -> shared space [T, L, D], not normalised."""
        ...


@dataclass
class _LastBlock:
    """What went into the vision encoder's last block and what came out, [N, tokens, C]."""

    entered: Tensor | None = None
    left: Tensor | None = None


@contextmanager
def _watch(layer: nn.Module) -> Iterator[_LastBlock]:
    seen = _LastBlock()

    def enter(_: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        seen.entered = args[0] if args else kwargs["hidden_states"]

    def leave(_: nn.Module, __: Any, output: Any) -> None:
        seen.left = output[0] if isinstance(output, tuple) else output

    handles = (layer.register_forward_pre_hook(enter, with_kwargs=True), layer.register_forward_hook(leave))
    try:
        yield seen
    finally:
        for handle in handles:
            handle.remove()


def pooled(output: Any) -> Tensor:
    """The feature tensor of ``get_*_features``: a tensor in transformers 4, an output object in transformers 5."""
    if isinstance(output, Tensor):
        return output
    tensor: Tensor = output.pooler_output
    return tensor


def read_global(model: Any, inputs: Mapping[str, Tensor]) -> Tensor:
    """The model's own image features [N, D], not normalised; positions are interpolated to the input's size."""
    extra = {} if "spatial_shapes" in inputs else {"interpolate_pos_encoding": True}
    return pooled(model.get_image_features(**inputs, **extra))


def _run(model: Any, inputs: Mapping[str, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
    """(global features [N, D], input and output of the last vision block [N, tokens, C])."""
    with _watch(model.vision_model.encoder.layers[-1]) as seen:
        features = read_global(model, inputs)
    assert seen.entered is not None and seen.left is not None  # noqa: PT018
    return features, seen.entered, seen.left


def _attend(attention: Any, states: Tensor, readout: str, mask: Tensor | None) -> Tensor:
    """The last block's attention with another weighting; ``states`` [N, T, C], ``mask`` [N, T] True where real.

    ``value``: each position attends to itself alone (MaskCLIP, arXiv 2112.01071, section 3.2). ``csa``:
    softmax(qq^T) + softmax(kk^T) (SCLIP, arXiv 2312.01597, equation 3). ``clear``: softmax(qq^T) (ClearCLIP,
    arXiv 2407.12442, section 3.3).
    """
    values: Tensor = attention.v_proj(states)
    if readout != "value":
        n, t, c = states.shape
        heads = attention.num_heads

        def split(x: Tensor) -> Tensor:
            return x.view(n, t, heads, c // heads).transpose(1, 2)

        def correlate(x: Tensor) -> Tensor:
            scores = x @ x.transpose(-1, -2) * (c // heads) ** -0.5
            if mask is not None:
                scores = scores.masked_fill(~mask[:, None, None, :], torch.finfo(scores.dtype).min)
            weights: Tensor = scores.softmax(dim=-1)
            return weights

        weights = correlate(split(attention.q_proj(states)))
        if readout == "csa":
            weights = weights + correlate(split(attention.k_proj(states)))
        values = (weights @ split(values)).transpose(1, 2).reshape(n, t, c)
    result: Tensor = attention.out_proj(values)
    return result


def _reread(layer: Any, states: Tensor, readout: str, mask: Tensor | None = None) -> Tensor:
    """The last block run again on its input [N, T, C] with the readout's attention (``clear``: nothing else)."""
    attended = _attend(layer.self_attn, layer.layer_norm1(states), readout, mask)
    if readout == "clear":
        return attended
    states = states + attended
    result: Tensor = states + layer.mlp(layer.layer_norm2(states))
    return result


class _WholeGrid:
    """The layout of readouts that give one vector for each patch."""

    def layout(self, rows: int, columns: int, readout: str) -> tuple[tuple[int, int], Box]:
        """See :class:`Reader`."""
        return (rows, columns), (0.0, 0.0, 1.0, 1.0)


class ClipReader(_WholeGrid):
    """CLIP-type ViTs pooled at a class token: CLIP, MetaCLIP 2, AltCLIP, Chinese-CLIP."""

    readouts: tuple[str, ...] = ("clear", "csa", "value", "last")
    pads_to_window = False

    def read_images(self, model: Any, inputs: Mapping[str, Tensor], readout: str) -> tuple[Tensor, Tensor]:
        """See :class:`Reader`. ``last`` is the last block's own output at the patch positions."""
        vision = model.vision_model
        features, entered, left = _run(model, inputs)
        dense = left if readout == "last" else _reread(vision.encoder.layers[-1], entered, readout)
        return features, model.visual_projection(vision.post_layernorm(dense[:, 1:]))

    def project_tokens(self, model: Any, states: Tensor) -> Tensor:
        """See :class:`Reader`."""
        projected: Tensor = model.text_projection(states)
        return projected


_ROWS = 1536


class Siglip2Reader(_WholeGrid):
    """SigLIP 2, which pools with an attention head.

    ``value`` reads each patch as the head would if all its attention lay on that patch: out_proj(v_proj(x_p)), then the
    head's residual LayerNorm and MLP. An image of one patch gives exactly its global embedding. ``csa`` and ``clear``
    first run the last block again with that attention.
    """

    readouts: tuple[str, ...] = ("value", "csa", "clear")
    pads_to_window = True

    def read_images(self, model: Any, inputs: Mapping[str, Tensor], readout: str) -> tuple[Tensor, Tensor]:
        """See :class:`Reader`."""
        vision = model.vision_model
        if readout == "value":
            with _watch(vision.post_layernorm) as seen:
                features = read_global(model, inputs)
            assert seen.left is not None
            return features, self._head_value(vision.head, seen.left)
        features, entered, _ = _run(model, inputs)
        mask = inputs.get("pixel_attention_mask")
        left = _reread(vision.encoder.layers[-1], entered, readout, None if mask is None else mask.bool())
        return features, self._head_value(vision.head, vision.post_layernorm(left))

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
        """See :class:`Reader`."""
        projected: Tensor = model.text_model.head(states)
        return projected


class SiglipReader(Siglip2Reader):
    """SigLIP: the readouts of SigLIP 2 and ``windows``.

    ``windows`` (ours) runs the encoder and its head on overlapping square windows of a third of the image's side, each
    with the positions it has in the image: what a window shows cannot leak into another. It costs a multiple of the
    plain forward, and gives a coarser grid of one vector for each window.
    """

    readouts: tuple[str, ...] = ("value", "csa", "clear", "windows")

    def read_images(self, model: Any, inputs: Mapping[str, Tensor], readout: str) -> tuple[Tensor, Tensor]:
        """See :class:`Reader`."""
        if readout != "windows":
            return super().read_images(model, inputs, readout)
        vision, pixels = model.vision_model, inputs["pixel_values"]
        size = vision.config.patch_size
        rows, columns = pixels.shape[-2] // size, pixels.shape[-1] // size
        embedded = vision.embeddings(pixels, interpolate_pos_encoding=True)
        index = _window_patches(rows, columns).to(embedded.device)
        cut = embedded[:, index].flatten(0, 1)
        states = vision.post_layernorm(vision.encoder(inputs_embeds=cut).last_hidden_state)
        return read_global(model, inputs), vision.head(states).unflatten(0, (len(pixels), len(index)))

    def layout(self, rows: int, columns: int, readout: str) -> tuple[tuple[int, int], Box]:
        """See :class:`Reader`. The cell of a window is the middle of it, a stride wide."""
        if readout != "windows":
            return super().layout(rows, columns, readout)
        side, stride = _window_size(rows, columns)
        down, across = (rows - side) // stride + 1, (columns - side) // stride + 1
        edge = (side - stride) / 2
        ends = ((edge + across * stride) / columns, (edge + down * stride) / rows)
        return (down, across), (edge / columns, edge / rows, *ends)


def _window_size(rows: int, columns: int) -> tuple[int, int]:
    """(side, stride) in patches."""
    shorter = min(rows, columns)
    side = min(shorter, max(2, round(shorter / 3)))
    return side, max(1, side // 2)


def _window_patches(rows: int, columns: int) -> Tensor:
    """The patches of each window: indices [windows, side * side], windows row by row."""
    side, stride = _window_size(rows, columns)
    patches = torch.arange(rows * columns).view(rows, columns)
    return patches.unfold(0, side, stride).unfold(1, side, stride).reshape(-1, side * side)
