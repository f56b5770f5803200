"""Where a pipeline's networks lie while it draws, and how much of a picture they take at a time: what makes a large
model fit into a small memory.

Offloading was not run on a GPU, as there is none where this is built: "model" was with the CPU in its place, and
"sequential" not at all.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from abe_rerank.errors import UsageError, first_line

if TYPE_CHECKING:
    import torch

OFFLOADS = {"none": None, "model": "enable_model_cpu_offload", "sequential": "enable_sequential_cpu_offload"}
"""How networks wait on the CPU: not at all; each as a whole, and the one at work on the GPU; layer by layer."""

SLICES = {
    "vae": "one picture of a batch is decoded at a time",
    "tiles": "a large picture is decoded in tiles, which may show",
    "attention": "attention is computed in parts",
}
"""What can be taken in parts."""


def execution_device(pipeline: Any) -> torch.device:
    """Where a pipeline works, which for one whose networks wait on the CPU is not where they are."""
    device: torch.device = getattr(pipeline, "_execution_device", None) or pipeline.device
    return device


def check_offload(how: str, device: torch.device) -> None:
    """Raises UsageError for a way of offloading that there is not, or where there is no GPU to offload from."""
    if how not in OFFLOADS:
        raise UsageError(f"unknown --offload {how!r}; choose from {', '.join(OFFLOADS)}")
    if device.type == "cpu":
        raise UsageError(f"--offload {how} frees the memory of a GPU, and the models are on the CPU; leave it out")


def offload(pipeline: Any, how: str, device: str | torch.device) -> None:
    """Let a pipeline on the CPU work on ``device``, as :data:`OFFLOADS` says.

    Weights must be hashed before: "sequential" takes them out of the networks. Raises UsageError for a pipeline that
    cannot be.
    """
    method = OFFLOADS[how]
    if method is None:
        return
    try:
        getattr(pipeline, method)(device=device)
    except (AttributeError, ValueError, ImportError, RuntimeError) as error:
        raise UsageError(f"{type(pipeline).__name__} cannot be offloaded ({how}): {first_line(error)}") from None


def take_in_parts(pipeline: Any, slices: Sequence[str]) -> None:
    """Let a pipeline take less at a time, as :data:`SLICES` says; equal settings give equal pictures.

    Raises UsageError for another word, and for a pipeline whose classes cannot do it.
    """
    vae: Any = pipeline.components.get("vae")
    switches = {
        "vae": getattr(vae, "enable_slicing", None),
        "tiles": getattr(vae, "enable_tiling", None),
        "attention": getattr(pipeline, "enable_attention_slicing", None),
    }
    for name in slices:
        if name not in SLICES:
            raise UsageError(f"unknown --slice {name!r}; choose from {', '.join(SLICES)}")
        switch = switches[name]
        if switch is None or (name == "attention" and not _has_sliceable_attention(pipeline)):
            raise UsageError(f"{type(pipeline).__name__} has nothing that --slice {name} could slice; leave it out")
        switch()


def _has_sliceable_attention(pipeline: Any) -> bool:
    return any(hasattr(part, "set_attention_slice") for part in pipeline.components.values())
