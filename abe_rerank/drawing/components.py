"""The parts of a diffusers pipeline: what ``model_index.json`` names, and its networks, checked as loaded."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from abe_rerank.backbones.model_files import (
    WeightFiles,
    check_complete,
    has_vocabulary,
    refusal,
    refuse_own_code,
    weight_files,
)
from abe_rerank.errors import AbeRerankError, UsageError

if TYPE_CHECKING:
    import torch

INDEX = "model_index.json"


@dataclass(frozen=True)
class Part:
    """A component by its name in the pipeline, its class, ``object`` where only diffusers knows it, and its folder."""

    name: str
    kind: type
    folder: Path


@dataclass(frozen=True)
class Index:
    """What a pipeline's folder names: its components, and those that it says are not there."""

    parts: tuple[Part, ...]
    nulls: tuple[str, ...]


def index_of(path: Path, index: Mapping[str, Any]) -> Index:
    """The components that a pipeline's index names, the object that the file at ``path`` holds.

    Raises UsageError for an index that is broken, names code of the model's own, a class that is not installed, or a
    folder that is not there.
    """
    import diffusers

    kind = index.get("_class_name")
    if not isinstance(kind, str):
        raise UsageError(f'{path}: "_class_name" must name a pipeline class of diffusers; code of its own is not run')
    found = getattr(diffusers, kind, None)
    if not (inspect.isclass(found) and issubclass(found, diffusers.DiffusionPipeline)):
        raise UsageError(f"{path} names the pipeline class {kind}, which diffusers {diffusers.__version__} lacks")
    entries = {name: entry for name, entry in index.items() if isinstance(entry, list)}
    taken = inspect.signature(found.__init__).parameters
    nulls = tuple(name for name, entry in entries.items() if entry == [None, None] and name in taken)
    return Index(tuple(_part(path, name, entry) for name, entry in entries.items() if any(entry)), nulls)


def load_networks(
    parts: Sequence[Part], dtype: torch.dtype, variant: str | None = None, allow_pickle: bool = False
) -> dict[str, torch.nn.Module]:
    """The components that are networks, by their names, on the CPU.

    ``variant`` counts for the parts that have it, the others give their plain weights. Raises UsageError for tensors
    that are missing, unexpected or wrongly shaped, and what :func:`weight_files` raises.
    """
    files = check_files(parts, variant, allow_pickle)
    return {part.name: _load(part, dtype, files[part.name]) for part in parts if part.name in files}


def check_files(parts: Iterable[Part], variant: str | None, allow_pickle: bool) -> dict[str, WeightFiles]:
    """The weight files of each part that is a network. Raises UsageError as :func:`load_networks` does."""
    import torch

    files = {}
    for part in parts:
        refuse_own_code(part.folder)
        if issubclass(part.kind, torch.nn.Module):
            has_variant = variant is not None and any(part.folder.glob(f"*.{variant}*"))
            files[part.name] = weight_files(part.folder, variant if has_variant else None, allow_pickle)
    if variant is not None and all(found.variant != variant for found in files.values()):
        raise UsageError(f"no part of the model has weights of the variant {variant!r}; leave it out")
    return files


def _part(path: Path, name: str, entry: list[Any]) -> Part:
    """A component of the index at ``path``."""
    import diffusers
    from transformers import PreTrainedTokenizerBase

    if len(entry) != 2 or not all(isinstance(word, str) for word in entry):
        raise UsageError(f"{path}: {name} must be [library, class], or [null, null] for none")
    library, kind = entry
    folder = path.parent / name
    if Path(name).name != name or not folder.is_dir():
        raise UsageError(f"{path} names {name}, but {folder} is not there; get the whole model again")
    found = _class(library, kind)
    if found is None or issubclass(found, diffusers.DiffusionPipeline):
        raise UsageError(
            f"{path}: {name} is {library}.{kind}, which is no part that diffusers and transformers have here; code "
            "of a model's own is not run"
        )
    if issubclass(found, PreTrainedTokenizerBase) and not has_vocabulary(folder):
        raise UsageError(f"{folder} holds no tokenizer; get the whole model again")
    return Part(name, found, folder)


def _class(library: str, kind: str) -> type | None:
    """A class of diffusers, of transformers, or of the module of a pipeline in diffusers; None for one of elsewhere.

    What diffusers loads in place of a class that transformers no longer have (CLIPFeatureExtractor) is left to it.
    """
    import diffusers.pipelines

    if library in ("diffusers", "transformers"):
        module: Any = importlib.import_module(library)
    else:
        module = getattr(diffusers.pipelines, library, None)
    found = getattr(module, kind, None)
    if found is None and library == "transformers":
        return object
    return found if inspect.isclass(found) else None


def _load(part: Part, dtype: torch.dtype, weights: WeightFiles) -> torch.nn.Module:
    import transformers

    what = f"{part.name} ({part.folder})"
    ours = issubclass(part.kind, transformers.PreTrainedModel)
    options: dict[str, Any] = {
        dtype_keyword("transformers" if ours else "diffusers"): dtype,
        "use_safetensors": not weights.pickled,
        "variant": weights.variant,
        "local_files_only": True,
        "output_loading_info": True,
        "ignore_mismatched_sizes": True,  # so that they are named by check_complete
    }
    try:
        loader: Any = part.kind
        network, info = loader.from_pretrained(part.folder, **options, **({"trust_remote_code": False} if ours else {}))
        check_complete(info, what)
    except AbeRerankError:
        raise
    except Exception as error:
        raise refusal(what, error, weights.pickled) from error
    module: torch.nn.Module = network
    return module


def dtype_keyword(library: str) -> str:
    """What a library's ``from_pretrained`` calls the type of the weights."""
    from packaging.version import Version

    first = {"transformers": "5", "diffusers": "0.42"}[library]
    return "dtype" if Version(importlib.import_module(library).__version__) >= Version(first) else "torch_dtype"
