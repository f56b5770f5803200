"""A start for the autoencoder from which it already averages and repeats pixels, instead of a random one.

Five channels are carried unchanged through every residual block: red, green, blue, and two constants that hold the
scale which the group norms would otherwise divide away. Pooling and upsampling act on them as mean and repetition,
and the two last convolutions are fitted by least squares. This path stays as it is; what is trained is the detail
beside it.
"""

from __future__ import annotations

from typing import Any

import torch
from diffusers import AutoencoderKL
from diffusers.models.resnet import ResnetBlock2D
from torch import Tensor, nn
from torch.nn import functional as F

KEPT, CONSTANT, LIFT = 5, 2.0, 2.0
LOG_VARIANCE = -12.0
"""What the encoder says of its latents: hardly any noise."""


@torch.no_grad()
def start_as_identity(vae: AutoencoderKL, images: Tensor, factor: int) -> list[nn.Parameter]:
    """Sets the weights in place; ``images`` [n, 3, h, w] in [-1, 1] are what the last convolutions are fitted to,
    ``factor`` the width of a latent in pixels.

    Returns the parameters whose first ``KEPT`` rows make the path: their gradients there are to be set to 0
    (:func:`hold`), since a step of Adam along the constants moves every pixel.
    """
    held: list[nn.Parameter] = []
    for side in (vae.encoder, vae.decoder):
        held += _keep(side.conv_in, tap=1, into=3)
        side.conv_in.bias[3:KEPT] = torch.tensor([CONSTANT, -CONSTANT])
        for module in side.modules():
            if isinstance(module, ResnetBlock2D):
                module.conv2.weight[:KEPT] = 0
                module.conv2.bias[:KEPT] = 0
                held += [module.conv2.weight, module.conv2.bias]
                if module.conv_shortcut is not None:
                    held += _keep(module.conv_shortcut, tap=0)
        side.conv_norm_out.bias[:3] = LIFT
    for block in vae.encoder.down_blocks:
        for down in block.downsamplers or ():
            held += _keep(down.conv, tap=0)
            down.conv.weight[range(KEPT), range(KEPT), :2, :2] = 0.25
    for block in vae.decoder.up_blocks:
        for up in block.upsamplers or ():
            held += _keep(up.conv, tap=1)
    for mix in (vae.quant_conv, vae.post_quant_conv):
        nn.init.dirac_(mix.weight)
        nn.init.zeros_(mix.bias)
    latents = F.avg_pool2d(images, factor)
    _fit(vae.encoder, images, latents)
    vae.encoder.conv_out.weight[3:] = 0
    vae.encoder.conv_out.bias[3:] = LOG_VARIANCE
    _fit(vae.decoder, latents, images)
    return held


def hold(held: list[nn.Parameter]) -> None:
    """Keeps the path's rows from being trained; to be called between the backward pass and the optimizer's step."""
    for parameter in held:
        if parameter.grad is not None:
            parameter.grad[:KEPT] = 0


def _keep(conv: Any, tap: int, into: int = KEPT) -> list[nn.Parameter]:
    """The first channels go through: of their kernels only the number at (tap, tap) of the own channel is 1."""
    conv.weight[:KEPT] = 0
    conv.bias[:KEPT] = 0
    conv.weight[range(into), range(into), tap, tap] = 1
    return [conv.weight, conv.bias]


def _fit(side: nn.Module, inputs: Tensor, target: Tensor) -> None:
    """Fits the middle tap of the last convolution's first three outputs by ridge regression."""
    seen: list[Tensor] = []
    handle = side.conv_act.register_forward_hook(lambda _m, _i, output: seen.append(output))  # type: ignore[union-attr]
    side(inputs)
    handle.remove()
    rows = seen[0].movedim(1, -1).flatten(0, -2)
    rows = torch.cat([rows, torch.ones_like(rows[:, :1])], dim=1).double()
    wanted = target.movedim(1, -1).flatten(0, -2).double()
    ridge = 1e-3 * len(rows) * torch.eye(rows.shape[1], dtype=torch.float64)
    fitted = torch.linalg.solve(rows.T @ rows + ridge, rows.T @ wanted).float()
    last = side.conv_out
    assert isinstance(last, nn.Conv2d)
    assert last.bias is not None
    last.weight[:3] = 0
    last.weight[:3, :, 1, 1] = fitted[:-1].T
    last.bias[:3] = fitted[-1]
