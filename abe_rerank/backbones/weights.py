"""Checks of loaded weights: every tensor was in the files, in its shape, and is a number; errors name the tensors."""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch

from abe_rerank.errors import AbeRerankError, UsageError, first_line

_HARMLESS = re.compile(r"(^|\.)(position_ids|token_type_ids|num_batches_tracked|inv_freq)$")
"""Buffers that older versions of the libraries saved and that follow from the config."""

_NOT_TO_RELAY = re.compile(
    r"\babove\b|\bbelow\b|meta tensor|trust_remote_code|weights_only|stacktrace|from_tf|ignore_mismatched",
    re.IGNORECASE,
)
"""What libraries say that is shown nowhere here, misleads, or advises to switch safety off."""


@contextmanager
def hushed() -> Iterator[None]:
    """The libraries' bars and reports are off while a model loads: what they say of its weights is checked here."""
    logs = [sys.modules[name].utils.logging for name in ("diffusers", "transformers") if name in sys.modules]
    before = [(log.get_verbosity(), log.is_progress_bar_enabled()) for log in logs]
    if not logging.getLogger("abe_rerank").isEnabledFor(logging.DEBUG):
        for log in logs:
            log.set_verbosity_error()
            log.disable_progress_bar()
    try:
        yield
    finally:
        for log, (verbosity, bars) in zip(logs, before, strict=True):
            log.set_verbosity(verbosity)
            if bars:
                log.enable_progress_bar()


def check_complete(info: Mapping[str, Any], what: str) -> None:
    """Raises UsageError, naming tensors, where a ``from_pretrained``'s loading info tells of any that were missing,
    unexpected or wrongly shaped."""
    wrong = [f"{name} has the shape {_size(saved)}, not {_size(own)}" for name, saved, own in info["mismatched_keys"]]
    shaped = {name for name, *_ in info["mismatched_keys"]}
    missing = [name for name in info["missing_keys"] if name not in shaped and not _HARMLESS.search(name)]
    unexpected = [name for name in info["unexpected_keys"] if not _HARMLESS.search(name)]
    parts = [
        f"{kind} {_some(names)}"
        for kind, names in (("missing:", missing), ("not in the model:", unexpected), ("wrong:", wrong))
        if names
    ]
    if not parts and (messages := info.get("error_msgs")):
        parts = [f"not readable: {_some(first_line(RuntimeError(message)) for message in messages)}"]
    if parts:
        raise UsageError(
            f"the weights of {what} do not fit its config ({'; '.join(parts)}); nothing is filled in at random: "
            "get the whole model again"
        )


def check_finite(module: torch.nn.Module, what: str) -> None:
    """Raises UsageError, naming it, for a weight that is not a number or infinite."""
    for name, tensor in module.state_dict().items():
        if not isinstance(tensor, torch.Tensor) or not tensor.is_floating_point() or not tensor.numel():
            continue
        if tensor.element_size() < 2:  # 8-bit floats have no aminmax
            continue
        if not all(torch.isfinite(bound) for bound in tensor.aminmax()):
            kind = str(tensor.dtype).removeprefix("torch.")
            way_out = "try --dtype float32" if kind == "float16" else "get the model again"
            raise UsageError(f"the weights of {what} hold NaN or infinity in {name} (as {kind}); {way_out}")


def refusal(what: str, error: Exception, pickled: bool = False) -> AbeRerankError:
    """The error to raise where a library failed to load ``what``, with its words where they can stand alone."""
    if type(error).__name__ == "UnpicklingError":
        return UsageError(f"{what} cannot be loaded: its pickle file asks for more than weights, which was refused")
    if type(error).__name__ == "SafetensorError":
        return UsageError(f"{what} cannot be loaded: its safetensors file is cut or damaged; get it again")
    words = " ".join(str(error).split())
    if pickled or isinstance(error, (KeyError, RecursionError)) or _NOT_TO_RELAY.search(words) or not words:
        return UsageError(
            f"{what} cannot be loaded: its files are damaged or not of one model ({type(error).__name__}); get it "
            "again, or see --debug"
        )
    return UsageError(f"{what} cannot be loaded: {words if len(words) <= 240 else words[:240] + ' ...'}")


def _size(shape: Iterable[int]) -> str:
    return "x".join(map(str, shape)) or "scalar"


def _some(names: Iterable[str], most: int = 3) -> str:
    listed = sorted(names)
    more = f" and {len(listed) - most} more" if len(listed) > most else ""
    return ", ".join(listed[:most]) + more
