"""What the readers of all families share: the model's own forward, watched, and its blocks run again another way.

Every reader runs the model's own ``get_image_features``, so the global embedding is the model's own to the last digit,
and watches some blocks through hooks to compute a readout beside it. Blocks are those of a ViT with LayerNorms before
attention and MLP, under the names that transformers gives them in CLIP and in SigLIP.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn


@dataclass
class Passed:
    """What went into a module and what came out, [N, tokens, C]."""

    entered: Tensor | None = None
    left: Tensor | None = None

    @property
    def went_in(self) -> Tensor:
        """What went in, after the forward."""
        assert self.entered is not None
        return self.entered

    @property
    def came_out(self) -> Tensor:
        """What came out, after the forward."""
        assert self.left is not None
        return self.left


Reading = Callable[[], Tensor]
"""Gives what one readout saw of a forward that is over, [N, P, ...]."""


@contextmanager
def watch(module: nn.Module) -> Iterator[Passed]:
    """Keeps what the module's next forward takes and gives."""
    seen = Passed()

    def enter(_: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        seen.entered = args[0] if args else kwargs["hidden_states"]

    def leave(_: nn.Module, __: Any, output: Any) -> None:
        seen.left = output[0] if isinstance(output, tuple) else output

    handles = (module.register_forward_pre_hook(enter, with_kwargs=True), module.register_forward_hook(leave))
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


def self_attend(attention: Any, states: Tensor, readout: str, mask: Tensor | None) -> Tensor:
    """A block's attention with another weighting; ``states`` [N, T, C], ``mask`` [N, T] True where real.

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


def reread(layer: Any, states: Tensor, readout: str, mask: Tensor | None = None) -> Tensor:
    """A block run again on its input [N, T, C] with the readout's attention (``clear``: nothing else)."""
    attended = self_attend(layer.self_attn, layer.layer_norm1(states), readout, mask)
    if readout == "clear":
        return attended
    states = states + attended
    result: Tensor = states + layer.mlp(layer.layer_norm2(states))
    return result
