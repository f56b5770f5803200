"""Regions read through a model's own pooling: pure functions of hidden states and blocks (methods.md 1b).

Patches of a pooled model were never trained to mean anything one by one; its pooled vector was. So in the last layers
the pooling sees a window alone: copies of the class token (after the mask class tokens of MaskCLIP, arXiv 2208.08984),
or, where a head pools, the window's patches by themselves. Training-free, beside the plain forward.

Axes: n images, w windows, p patches, s patches of a window, c channels, h heads.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from abe_rerank.backbones.families.blocks import Passed, watch


def region_step(layer: Any, tokens: Tensor, keys: Tensor, values: Tensor, mask: Tensor) -> Tensor:
    """Region tokens [n, w, c] after one block, in which each attends to itself and to its window's patches.

    ``keys`` and ``values`` [n, p, c] are the block's own for the patches, shared by all windows; ``mask`` [w, p] is
    True where a patch belongs to a window.
    """
    attention = layer.self_attn
    heads, width = attention.num_heads, tokens.shape[-1] // attention.num_heads

    def split(x: Tensor) -> Tensor:
        return x.view(*x.shape[:-1], heads, width).transpose(1, 2)

    normed = layer.layer_norm1(tokens)
    # by forward, past the hooks by which region tokens of other windows watch these projections
    projections = (attention.q_proj, attention.k_proj, attention.v_proj)
    query, own_key, own_value = (split(projection.forward(normed)) for projection in projections)
    query = query * width**-0.5
    there = (query @ split(keys).transpose(-1, -2)).masked_fill(~mask, torch.finfo(query.dtype).min)
    itself = (query * own_key).sum(dim=-1, keepdim=True)
    shares = torch.cat([there, itself], dim=-1).softmax(dim=-1, dtype=torch.float32).to(query.dtype)
    read = shares[..., :-1] @ split(values) + shares[..., -1:] * own_value
    tokens = tokens + attention.out_proj(read.transpose(1, 2).flatten(2))
    result: Tensor = tokens + layer.mlp(layer.layer_norm2(tokens))
    return result


class RegionTokens:
    """Region tokens that walk beside a model's own forward: one step after each of its last layers.

    ``tokens`` [n, w, c] after the forward. The patches' keys and values are taken from the layer as it computes them.
    """

    def __init__(self, mask: Tensor) -> None:
        self.mask = mask
        self.tokens: Tensor | None = None

    @property
    def found(self) -> Tensor:
        """The tokens, after the forward."""
        assert self.tokens is not None
        return self.tokens

    @contextmanager
    def beside(self, layers: Sequence[Any]) -> Iterator[RegionTokens]:
        """Follows the next forward through ``layers``, whose first token is the class token."""
        with ExitStack() as stack:
            for layer in layers:
                parts = [stack.enter_context(watch(part)) for part in (layer.self_attn.k_proj, layer.self_attn.v_proj)]
                handle = layer.register_forward_hook(self._step(layer, *parts), with_kwargs=True)
                stack.callback(handle.remove)
            yield self

    def _step(self, layer: Any, keys: Passed, values: Passed) -> Any:
        def step(_: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], __: Any) -> None:
            entered: Tensor = args[0] if args else kwargs["hidden_states"]
            if self.tokens is None:
                self.tokens = entered[:, :1].expand(-1, len(self.mask), -1)
            assert keys.left is not None and values.left is not None  # noqa: PT018
            self.tokens = region_step(layer, self.tokens, keys.left[:, 1:], values.left[:, 1:], self.mask)
            keys.left = values.left = keys.entered = values.entered = None

        return step


def attend(layer: Any, states: Tensor) -> Tensor:
    """One block on states [n, p, c] that all see each other, whatever attention the model is set to."""
    attention = layer.self_attn

    def split(x: Tensor) -> Tensor:
        return x.view(*x.shape[:-1], attention.num_heads, -1).transpose(1, 2)

    normed = layer.layer_norm1(states)
    query, key, value = (split(p(normed)) for p in (attention.q_proj, attention.k_proj, attention.v_proj))
    read = F.scaled_dot_product_attention(query, key, value)
    states = states + attention.out_proj(read.transpose(1, 2).flatten(2))
    result: Tensor = states + layer.mlp(layer.layer_norm2(states))
    return result


TOKENS_AT_ONCE = 16_384
"""How many patches of crops go through a block together, which bounds the memory."""


def late_crops(vision: Any, states: Tensor, windows: Tensor, layers: Sequence[Any]) -> Tensor:
    """Each window's pooled vector [n, w, c] where its patches alone go through the last ``layers`` and the head.

    ``states`` [n, p, c] enter the first of ``layers``, one at least; ``windows`` [w, s] are indices of patches.
    """
    count = len(windows)
    found = []
    every = torch.arange(len(states) * count, device=states.device)
    for crops in every.split(max(1, TOKENS_AT_ONCE // windows.shape[1])):
        image, window = crops.div(count, rounding_mode="floor"), crops % count
        seen = states[image[:, None], windows[window]]
        for layer in layers:
            seen = attend(layer, seen)
        found.append(vision.head(vision.post_layernorm(seen)))
    return torch.cat(found).view(len(states), count, -1)


@dataclass(frozen=True)
class HeadReads:
    """What a pooling head takes of each patch, the same for all windows: how much its probe attends to it, ``scores``
    [n, p, h] before the softmax, and ``values`` [n, p, h, d]."""

    scores: Tensor
    values: Tensor


def head_reads(head: Any, states: Tensor) -> HeadReads:
    """Of patches ``states`` [n, p, c] as they come to the head."""
    attention = head.attention
    width = attention.embed_dim // attention.num_heads
    weights, biases = attention.in_proj_weight.chunk(3), attention.in_proj_bias.chunk(3)
    query, keys, values = (
        F.linear(x, weight, bias).unflatten(-1, (-1, width))
        for x, weight, bias in zip((head.probe, states, states), weights, biases, strict=True)
    )
    return HeadReads((keys * query).sum(dim=-1) * width**-0.5, values)


def pool_windows(head: Any, patches: HeadReads, windows: Tensor) -> Tensor:
    """What a pooling head makes of the patches of each window alone [n, w, c]; ``windows`` [w, s]."""
    shares = patches.scores[:, windows].softmax(dim=2, dtype=torch.float32).to(patches.values.dtype)
    read = torch.einsum("nwsh,nwshd->nwhd", shares, patches.values[:, windows]).flatten(2)
    pooled: Tensor = head.attention.out_proj(read)
    result: Tensor = pooled + head.mlp(head.layernorm(pooled))
    return result
