"""Muon: momentum whose matrices are made nearly orthogonal (Keller Jordan and others, 2024, "Muon").

``torch.optim.Muon`` takes matrices only; a UNet's weights are mostly convolutions, which this one flattens to matrices.
The scale of the step is that of Moonlight (arXiv 2502.16982): one learning rate serves Muon and Adam.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn


class Muon(torch.optim.Optimizer):
    """Nesterov momentum 0.95, five Newton-Schulz steps, for parameters of at least two dimensions."""

    def __init__(self, params: Iterable[nn.Parameter], lr: float, momentum: float = 0.95) -> None:
        super().__init__(list(params), {"lr": lr, "momentum": momentum})

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        """One step; parameters without a gradient stay."""
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is None:
                    continue
                held = self.state[p].setdefault("momentum", torch.zeros_like(p))
                held.lerp_(p.grad, 1 - group["momentum"])
                update = orthogonalised(p.grad.lerp(held, group["momentum"]).flatten(1))
                scale = 0.2 * max(update.shape) ** 0.5
                p.add_(update.view_as(p), alpha=-group["lr"] * scale)


def muon_and_adam(module: nn.Module, rate: float) -> list[torch.optim.Optimizer]:
    """Muon for inner matrices and convolutions, Adam for first and last layers, embeddings, norms and biases."""
    matrices: list[nn.Parameter] = []
    others: list[nn.Parameter] = []
    for name, parameter in module.named_parameters():
        outer = any(part in name for part in ("conv_in", "conv_out", "embedding"))
        (others if parameter.ndim < 2 or outer else matrices).append(parameter)
    return [Muon(matrices, lr=rate), torch.optim.AdamW(others, lr=rate, betas=(0.9, 0.99), weight_decay=0)]


def orthogonalised(matrix: Tensor) -> Tensor:
    """The nearest matrix whose singular values are about 1, by the quintic iteration of Muon; same shape and dtype.

    In float32: on a processor that does not know bfloat16 its products took most of a step.
    """
    a, b, c = 3.4445, -4.7750, 2.0315
    tall = matrix.shape[0] > matrix.shape[1]
    x = (matrix.T if tall else matrix).float()
    x = x / (x.norm() + 1e-7)
    for _ in range(5):
        square = x @ x.T
        x = a * x + (b * square + c * square @ square) @ x
    out: Tensor = (x.T if tall else x).to(matrix.dtype).contiguous()
    return out
