"""What lies in a model's folder, looked at before any library loads it: configs, code of its own, weight files.

A model's folder may come from anybody. Nothing in it is run: code of its own is refused by name, pickle files only
count where they are allowed, and a sharded model's index cannot name a file outside of its folder.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from abe_rerank.errors import UsageError

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
