"""Where models run."""

from __future__ import annotations

from abe_rerank.errors import UsageError, first_line


def pick_device(device: str | None) -> str:
    """The device as asked, or the GPU if there is one, else the CPU. Raises UsageError for one that torch lacks."""
    import torch

    if device is None:
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise UsageError(f"the device {device!r} cannot be used here: {first_line(error)}") from None
    return device
