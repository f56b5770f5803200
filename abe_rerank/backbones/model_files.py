"""A model's folder, looked at before and after a library loads it: configs, code of its own, weights.

A model's folder may come from anybody. Nothing in it is run: code of its own is refused by name, pickle files only
count where they are allowed, a sharded model's index cannot name a file outside of its folder, and tensors that are
missing, unexpected, misshapen or not finite are errors.
"""

from __future__ import annotations

import json
import logging
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from abe_rerank.errors import AbeRerankError, UsageError, first_line
from abe_rerank.files import check_file

_WEIGHTS = re.compile(
    r"(?:model|diffusion_pytorch_model|pytorch_model)"
    r"(?:\.(?P<variant>\w+))?(?:-\d+-of-\d+)?(?:\.(?P<old>\w+))?\.(?P<kind>safetensors|bin)"
)
_VOCABULARIES = ("tokenizer.json", "vocab.json", "vocab.txt", "*.model")


@dataclass(frozen=True)
class WeightFiles:
    """Which weight files of a folder are read: their ``variant`` ("fp16", None for the plain ones), and if pickle."""

    variant: str | None
    pickled: bool


def json_object(path: Path) -> dict[str, Any]:
    """The object in a JSON file. Raises UsageError, naming the file, for anything else."""
    check_file(path)
    try:
        found = json.loads(path.read_bytes())
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from None
    except RecursionError:
        raise UsageError(f"{path} is nested too deeply to be read") from None
    except ValueError:  # no JSON, no UTF-8, or a number of thousands of digits
        raise UsageError(f"{path} is not JSON; it may be cut or damaged: get the file again") from None
    if not isinstance(found, dict):
        raise UsageError(f"{path} holds a {type(found).__name__} where an object {{...}} is expected")
    return found


def refuse_own_code(folder: Path) -> None:
    """Raises UsageError, naming it, for a class that the folder brings along as code, or an adapter without a model."""
    for path in sorted(folder.glob("*config.json")):
        config = json_object(path)
        if classes := config.get("auto_map"):
            named = ", ".join(_names(classes))
            raise UsageError(f"{path} names code of its own ({named}), and none is run; use a model without auto_map")
        for key in ("attn_implementation", "_attn_implementation"):
            if "/" in str(config.get(key)):
                raise UsageError(f"{path} names code of its own ({config[key]}), and none is run; remove {key} there")
    if (folder / "adapter_config.json").is_file():
        raise UsageError(f"{folder} holds an adapter, not a model; merge it into its model and save that")


def weight_files(folder: Path, variant: str | None = None, allow_pickle: bool = False) -> WeightFiles:
    """Which weights of a folder to read: safetensors before pickle, plain before the folder's only variant.

    Raises UsageError for no weights, a variant that is not there, pickle files that are not allowed, or a broken index.
    """
    found = [match for path in sorted(folder.iterdir()) if (match := _WEIGHTS.fullmatch(path.name))]
    safe = [match for match in found if match["kind"] == "safetensors"]
    if not found:
        raise UsageError(f"{folder} holds no weights; expected safetensors files, as save_pretrained writes them")
    if not safe and not allow_pickle:
        raise UsageError(
            f"{folder} holds its weights only as pickle ({found[0][0]}), which can run code; save it as safetensors, "
            "or, if you trust its maker, allow it: --allow-pickle, allow_pickle=True"
        )
    _check_indexes(folder)
    variants = {match["variant"] or match["old"] for match in safe or found}
    return WeightFiles(_choice(folder, variants, variant), pickled=not safe)


def has_vocabulary(folder: Path) -> bool:
    """Whether a folder holds a tokenizer's words; without them some tokenizers load empty, without a word."""
    return any(any(folder.glob(pattern)) for pattern in _VOCABULARIES)


def _choice(folder: Path, variants: set[str | None], asked: str | None) -> str | None:
    if asked in variants:
        return asked
    named = sorted(name for name in variants if name)
    if asked is None and len(named) == 1:
        return named[0]
    there = ", ".join(named) or "the plain weights only"
    wish = f"no weights of the variant {asked!r}" if asked else "weights of several variants and no plain ones"
    raise UsageError(f"{folder} holds {wish}; there: {there}")


def _check_indexes(folder: Path) -> None:
    """Raises UsageError for the index of a sharded model that is broken, or names a file that is not in the folder."""
    for path in sorted(folder.glob("*.index*.json")):
        shards = json_object(path).get("weight_map")
        if not isinstance(shards, dict) or not all(isinstance(name, str) for name in shards.values()):
            raise UsageError(f'{path} has no "weight_map" of tensors to files; get the file again')
        for name in sorted(set(shards.values())):
            if Path(name).name != name or "\\" in name:
                raise UsageError(f"{path} names {name}, a file outside of its folder, which is not read")
            if not (folder / name).is_file():
                raise UsageError(f"{path} names {name}, which is not there; get the missing file")


def _names(classes: object) -> list[str]:
    """The classes that an ``auto_map`` names, whatever its form."""
    values = list(classes.values()) if isinstance(classes, dict) else [classes]
    flat = [name for value in values for name in (value if isinstance(value, list) else [value])]
    return sorted({str(name) for name in flat if name})


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
    from huggingface_hub.utils.tqdm import are_progress_bars_disabled, disable_progress_bars

    logs = [sys.modules[name].utils.logging for name in ("diffusers", "transformers") if name in sys.modules]
    before = [(log.get_verbosity(), log.is_progress_bar_enabled()) for log in logs]
    hub_bars = not are_progress_bars_disabled()
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
        if not hub_bars:  # transformers' switch is the hub's too
            disable_progress_bars()


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


_OF_CODE = (LookupError, RecursionError, TypeError, AttributeError, ZeroDivisionError)
"""Errors whose words are about a library's own code."""


def refusal(what: str, error: Exception, pickled: bool = False) -> AbeRerankError:
    """The error to raise where a library failed to load ``what``, with its words where they can stand alone."""
    if type(error).__name__ == "UnpicklingError":
        return UsageError(f"{what} cannot be loaded: its pickle file asks for more than weights, which was refused")
    if type(error).__name__ == "SafetensorError":
        return UsageError(f"{what} cannot be loaded: its safetensors file is cut or damaged; get it again")
    words = " ".join(str(error).split())
    if "allocate memory" in words or isinstance(error, MemoryError):
        return UsageError(f"{what} cannot be loaded: its files ask for more memory than there is; get it again")
    if pickled or isinstance(error, _OF_CODE) or _NOT_TO_RELAY.search(words) or not words:
        return UsageError(
            f"{what} cannot be loaded: its files are damaged or not of one model ({type(error).__name__}); get it "
            "again, or see --debug"
        )
    words = words.rstrip(".") if len(words) <= 240 else words[:240] + " ..."
    return UsageError(f"{what} cannot be loaded: {words}; get it again, or see --debug")


def _size(shape: Iterable[int]) -> str:
    return "x".join(map(str, shape)) or "scalar"


def _some(names: Iterable[str], most: int = 3) -> str:
    listed = sorted(names)
    more = f" and {len(listed) - most} more" if len(listed) > most else ""
    return ", ".join(listed[:most]) + more
