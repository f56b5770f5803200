"""Images that are no pictures: told before they are scored, with the reason."""

from __future__ import annotations

from typing import TYPE_CHECKING

from abe_rerank.types import PAINTED_OVER

if TYPE_CHECKING:
    import torch
    from PIL.Image import Image

NOT_FINITE = "drawing broke down: its latents are NaN or infinite; try a smaller --guidance, or --dtype float32"
ONE_COLOUR = "drawing broke down: the picture is {} all over"


def broken_of(latents: torch.Tensor | None, batch_size: int) -> list[bool]:
    """Which images of a batch have latents [batch, ...] that are not finite."""
    if latents is None or latents.shape[:1] != (batch_size,):
        return [False] * batch_size
    finite: list[bool] = latents.isfinite().flatten(1).all(dim=1).tolist()
    return [not one for one in finite]


def failure_of(image: Image, blanked: bool, broken: bool) -> str | None:
    """Why an image is no picture: the safety checker painted it over, its latents are not finite, or every pixel of it
    has exactly the same value, as those of NaN have.

    Nothing else is a failure: a picture of a white wall passes if one pixel of it differs by one grey level.
    """
    if blanked:
        return PAINTED_OVER
    if broken:
        return NOT_FINITE
    if len(image.getcolors(1) or ()) == 1:
        return ONE_COLOUR.format(f"#{bytes(image.tobytes()[:3]).hex()}")
    return None
