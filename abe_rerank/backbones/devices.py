"""Where models run, with which numbers, and at which size they see pictures."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from abe_rerank.errors import UsageError, first_line

if TYPE_CHECKING:
    import torch


DTYPES = ("float32", "float16", "bfloat16")


@dataclass(frozen=True)
class Place:
    """A device, and the floating-point type of the models on it."""

    device: torch.device
    dtype: torch.dtype


def choose(device: str | torch.device | None = None, dtype: str | torch.dtype | None = None) -> Place:
    """The place that is asked for; None takes a GPU if there is one, with float16, and else the CPU with float32.

    Raises UsageError for a device that torch lacks, and for a dtype that is none of :data:`DTYPES`.
    """
    import torch

    where = torch.device(pick_device(device))
    name = str(dtype or ("float16" if where.type == "cuda" else "float32")).removeprefix("torch.")
    if name not in DTYPES:
        raise UsageError(f"unknown dtype {name!r}; choose one of {', '.join(DTYPES)}")
    return Place(where, getattr(torch, name))


def pick_device(device: str | torch.device | None) -> str:
    """The device as asked, or the GPU if there is one, else the CPU.

    Raises UsageError for one that torch does not know or have, and for ``meta``, which holds no numbers; it names those
    that there are.
    """
    import torch

    if device is None:
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.zeros(1, device=device).cpu()
    except (RuntimeError, AssertionError, NotImplementedError, ValueError) as error:
        raise UsageError(
            f"the device {str(device)!r} cannot be used here ({_reason(str(device), error)}); "
            f"use {', '.join(_devices())}, or leave --device out"
        ) from None
    return str(device)


def _devices() -> list[str]:
    """The devices that there are here."""
    import torch

    found = ["cpu", *(f"cuda:{k}" for k in range(torch.cuda.device_count()))]
    return [*found, "mps"] if torch.backends.mps.is_available() else found


def _reason(device: str, error: Exception) -> str:
    """Why torch refuses a device, in a few words: of its own messages some are lists of all devices that could be."""
    import torch

    try:
        kind = torch.device(device).type
    except (RuntimeError, ValueError):
        return "torch knows no such device"
    return "it holds no numbers" if kind == "meta" else first_line(error).rstrip(".")


ImageSize = int | tuple[int, int]
"""A side in pixels, or (height, width)."""


MOST_PATCHES = 9216
"""Attention from each patch to each, of one head and in single precision, then takes 340 MB."""


def read_size(size: ImageSize | str | None) -> ImageSize | None:
    """``144``, ``"144"``, ``(96, 144)`` or ``"96x144"`` (height x width) as a size; None stays None.

    Raises UsageError for what is none of these, and sides below 1 pixel.
    """
    if size is None:
        return None
    sides = re.fullmatch(r"([+-]?\d{1,9})(?:x([+-]?\d{1,9}))?", size.strip().lower()) if isinstance(size, str) else None
    if sides is not None:
        found: ImageSize = int(sides[1]) if sides[2] is None else (int(sides[1]), int(sides[2]))
    elif isinstance(size, str):
        raise UsageError(f"the image size {size[:40]!r} cannot be read; write 144, or 96x144 for height x width")
    elif isinstance(size, int) or (
        isinstance(size, (tuple, list)) and len(size) == 2 and all(isinstance(side, int) for side in size)
    ):
        found = size
    else:
        raise UsageError(f"the image size {size!r} cannot be read; give a side or (height, width) in pixels")
    if min(_sides(found)) < 1:
        raise UsageError(f"the image size {_words(found)} must be a multiple of the patch size of the model, above 0")
    return found


def check_patches(size: ImageSize | None, patch: int) -> None:
    """Raises UsageError for a size that is not of whole patches of ``patch`` pixels, or of more than MOST_PATCHES."""
    if size is None:
        return
    height, width = _sides(size)
    if height % patch or width % patch:
        raise UsageError(f"the image size {_words(size)} must be a multiple of the patch size, {patch} pixels, above 0")
    patches = (height // patch) * (width // patch)
    if patches > MOST_PATCHES:
        most = patch * int(MOST_PATCHES**0.5)
        raise UsageError(
            f"the image size {_words(size)} is cut into {patches:,} patches of {patch} pixels, and memory grows with "
            f"the square of that: at most {MOST_PATCHES:,} are read, such as {most}x{most}"
        )


def _sides(size: ImageSize) -> tuple[int, int]:
    return (size, size) if isinstance(size, int) else size


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
