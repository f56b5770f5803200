"""The size at which pictures are shown to a model, where it is not the model's own."""

from __future__ import annotations

import re
from typing import Any

from abe_rerank.errors import UsageError

ImageSize = int | tuple[int, int]
"""A side in pixels, or (height, width)."""


def read_size(size: ImageSize | str | None, patch: int) -> ImageSize | None:
    """``144``, ``"144"``, ``(96, 144)`` or ``"96x144"`` (height x width) as a size; None stays None.

    Raises UsageError for what is none of these, or is not made of whole patches of ``patch`` pixels.
    """
    if size is None:
        return None
    sides = re.fullmatch(r"(\d{1,5})(?:x(\d{1,5}))?", size.strip().lower()) if isinstance(size, str) else None
    if sides is not None:
        found: ImageSize = int(sides[1]) if sides[2] is None else (int(sides[1]), int(sides[2]))
    elif isinstance(size, str):
        raise UsageError(f"the image size {size!r} cannot be read; write 144, or 96x144 for height x width")
    elif isinstance(size, int) or (
        isinstance(size, (tuple, list)) and len(size) == 2 and all(isinstance(side, int) for side in size)
    ):
        found = size
    else:
        raise UsageError(f"the image size {size!r} cannot be read; give a side or (height, width) in pixels")
    for side in (found,) if isinstance(found, int) else found:
        if side < patch or side % patch:
            raise UsageError(f"the image size {_words(found)} must be a multiple of the patch size, {patch} pixels")
    return found


def overrides(processor: Any, size: ImageSize | None) -> dict[str, Any]:
    """What to tell an image processor so that pictures get this size.

    A side keeps the processor's manner, cropping or squeezing to a square. (height, width) squeezes the whole picture
    into that, without a crop. A processor that keeps each picture's shape (NaFlex) takes as many patches as the size
    has.
    """
    if size is None:
        return {}
    height, width = (size, size) if isinstance(size, int) else size
    if hasattr(processor, "max_num_patches"):
        return {"max_num_patches": (height // processor.patch_size) * (width // processor.patch_size)}
    sides = {"height": height, "width": width}
    if not getattr(processor, "do_center_crop", False):
        return {"size": sides}
    if isinstance(size, int):
        return {"size": {"shortest_edge": size}, "crop_size": sides}
    return {"size": sides, "do_center_crop": False}


def size_words(size: ImageSize | None) -> str:
    """`` 144px`` or `` 96x144px`` as a stamp has it; nothing for the model's own size."""
    return "" if size is None else f" {_words(size)}px"


def _words(size: ImageSize) -> str:
    return str(size) if isinstance(size, int) else "x".join(map(str, size))
