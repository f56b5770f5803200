"""Where models run, and with which numbers: chosen once, for the text-to-image model and the backbone alike."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

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
