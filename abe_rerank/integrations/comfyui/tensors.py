"""ComfyUI's pictures and latents: batches taken apart, made into what is scored, and put together in another order.

An IMAGE is a tensor [batch, height, width, channels] of floats, 0 to 1; a LATENT a mapping with ``samples``
[batch, channels, ...]. Of both there may be several in a list, as nodes upstream make them for several sizes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from abe_rerank.errors import UsageError
from abe_rerank.types import NoPicture

if TYPE_CHECKING:
    import torch
    from PIL.Image import Image

OVERSHOOT = 0.5
"""How far a value may lie outside of 0 to 1 before the tensor is taken for none of ComfyUI's: resizing by sharp kernels
and upscaling models overshoot by less, and ComfyUI's own nodes that save pictures cut it off."""

Latent = Mapping[str, Any]


def apart(images: Sequence[torch.Tensor]) -> list[torch.Tensor]:
    """The pictures of all batches in their order, each [1, height, width, channels].

    Raises UsageError for what is no batch of pictures, and where there is none.
    """
    import torch

    for batch in images:
        if not isinstance(batch, torch.Tensor):
            raise UsageError(f"images holds a {type(batch).__name__}; connect an IMAGE output")
        if batch.ndim != 4 or batch.shape[3] not in (1, 3, 4) or not batch.is_floating_point():
            raise UsageError(
                f"images holds a tensor {list(batch.shape)} of {batch.dtype}; "
                "an IMAGE is [batch, height, width, 1|3|4] of floats"
            )
    found = [batch[k : k + 1] for batch in images for k in range(len(batch))]
    if not found:
        raise UsageError("images holds no picture; connect at least one")
    return found


def picture(image: torch.Tensor, name: str) -> tuple[Image, str | None]:
    """A tensor [1, height, width, channels] as an RGB picture, transparent parts on white, and why it is none: None
    where it is one. Values that are no numbers are black. Raises UsageError for values far outside of 0 to 1."""
    from abe_rerank.drawing.failures import failure_of
    from abe_rerank.images import to_pil

    values = image[0].detach().cpu().float()
    finite = values.isfinite()
    if not finite.all():
        broken = "it holds NaN or infinity: what drew or decoded it broke down"
        return to_pil(values.where(finite, 0.0).clamp(0, 1).numpy(), name), broken
    low, high = values.min().item(), values.max().item()
    if low < -OVERSHOOT or high > 1 + OVERSHOOT:
        raise UsageError(f"{name} holds values from {low:.3g} to {high:.3g}; an IMAGE holds floats from 0 to 1")
    made = to_pil(values.clamp(0, 1).numpy(), name)
    return made, failure_of(made, blanked=False, broken=False)


def shown(image: Image) -> torch.Tensor:
    """A picture as an IMAGE [1, height, width, 3]."""
    import numpy as np
    import torch

    return torch.from_numpy(np.asarray(image.convert("RGB"), dtype=np.float32) / 255)[None]


def to_be_scored(image: Image, reason: str | None) -> Image | NoPicture:
    """The picture, or that there is none."""
    return image if reason is None else NoPicture(reason)


def picked_images(images: Sequence[torch.Tensor], indices: Sequence[int]) -> list[torch.Tensor]:
    """The pictures at ``indices`` in that order, channels as they were: one batch of one batch, else a list."""
    import torch

    chosen = [apart(images)[k] for k in indices]
    return [torch.cat(chosen)] if len(images) == 1 else chosen


def picked_latents(latents: Sequence[Latent], indices: Sequence[int], pictures: int) -> list[dict[str, Any]]:
    """The latents at ``indices`` in that order, with what belongs to each: one batch of one batch, else a list.

    ``batch_index`` says of each latent which noise of its batch was its own, so that drawing goes on with that;
    where it is not there it is its place. ``noise_mask`` [masks, ...] is each latent's own, or, where there are fewer
    masks, repeated as ComfyUI repeats them. Raises UsageError unless there is one latent for each of ``pictures``.
    """
    places = [(latent, k) for latent in latents for k in range(_count(latent))]
    if len(places) != pictures:
        raise UsageError(f"{pictures} pictures and {len(places)} latents; connect those that were decoded to these")
    if len(latents) == 1:
        return [_taken(latents[0], indices)]
    return [_taken(latent, [k]) for latent, k in (places[index] for index in indices)]


def _count(latent: Latent) -> int:
    import torch

    samples = latent.get("samples") if isinstance(latent, Mapping) else None
    if not isinstance(samples, torch.Tensor) or samples.ndim < 3:
        raise UsageError("latents holds no samples [batch, channels, height, width]; connect a LATENT output")
    return len(samples)


def _taken(latent: Latent, indices: Sequence[int]) -> dict[str, Any]:
    taken = dict(latent)
    taken["samples"] = latent["samples"][list(indices)]
    numbers = latent.get("batch_index")
    taken["batch_index"] = [k if numbers is None else numbers[k] for k in indices]
    if (mask := latent.get("noise_mask")) is not None:
        taken["noise_mask"] = mask[[k % len(mask) for k in indices]] if mask.ndim > 2 else mask
    return taken
