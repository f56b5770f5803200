"""The parts of a diffusers pipeline: what ``model_index.json`` names, and its networks, checked as loaded; what is
changed in them: scheduler, LoRAs, and the text encoder that works once."""

from __future__ import annotations

import importlib
import inspect
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from abe_rerank.backbones.model_files import (
    WeightFiles,
    check_complete,
    has_vocabulary,
    hushed,
    refusal,
    refuse_own_code,
    weight_files,
)
from abe_rerank.errors import AbeRerankError, UsageError, first_line
from abe_rerank.files import check_file

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
    import transformers  # noqa: F401  (before it is hushed)

    kind = index.get("_class_name")
    if not isinstance(kind, str):
        raise UsageError(f'{path}: "_class_name" must name a pipeline class of diffusers; code of its own is not run')
    with hushed():  # the class is only imported here
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


@contextmanager
def encoding_once(pipeline: Any) -> Iterator[None]:
    """Within the block, the pipeline's own ``encode_prompt`` works once for each set of arguments; after that it
    returns copies of what it returned, which is equal to the bit.

    Only where ``__call__`` takes ``prompt_embeds``, so that what is encoded depends on the arguments of
    ``encode_prompt`` alone, and no network is in training; other pipelines are left as they are. So is a call with
    arguments that are not plain values.
    """
    encode, own = getattr(pipeline, "encode_prompt", None), vars(pipeline).get("encode_prompt")
    takes = "prompt_embeds" in inspect.signature(pipeline.__call__).parameters
    if encode is None or not takes or any(getattr(part, "training", False) for part in pipeline.components.values()):
        yield
        return
    kept: dict[str, Any] = {}

    def once(*values: Any, **named: Any) -> Any:
        if not _is_plain([values, named]):
            return encode(*values, **named)
        key = repr((values, sorted(named.items())))
        if key not in kept:
            kept[key] = encode(*values, **named)
        return _copied(kept[key])

    pipeline.encode_prompt = once
    try:
        yield
    finally:
        if own is None:
            del pipeline.encode_prompt
        else:
            pipeline.encode_prompt = own


def _is_plain(value: Any) -> bool:
    """Whether the repr of a value says all of it."""
    import torch

    if isinstance(value, (list, tuple)):
        return all(map(_is_plain, value))
    if isinstance(value, dict):
        return all(map(_is_plain, value.values()))
    return value is None or isinstance(value, (str, int, float, torch.device, torch.dtype))


def _copied(value: Any) -> Any:
    """Tensors, and lists of them, that can be changed without changing those kept."""
    import torch

    if isinstance(value, (list, tuple)):
        return type(value)(map(_copied, value))
    return value.clone() if isinstance(value, torch.Tensor) else value


def exchange_scheduler(pipeline: Any, name: str) -> None:
    """Give a pipeline the scheduler of a class of diffusers ("EulerDiscreteScheduler", "euler discrete"), set up from
    its own one. Raises UsageError, listing those that fit, for a class that does not fit the pipeline."""
    present = pipeline.components.get("scheduler")
    fitting = {kind.__name__: kind for kind in getattr(present, "compatibles", [type(present)]) if present is not None}
    asked = name.replace(" ", "").lower().removesuffix("scheduler")
    found = next((kind for known, kind in fitting.items() if known.lower().removesuffix("scheduler") == asked), None)
    if found is None:
        names = ", ".join(sorted(fitting)) or "none"
        raise UsageError(f"{type(pipeline).__name__} takes no scheduler {name!r}; those that fit: {names}")
    try:
        pipeline.register_modules(scheduler=found.from_config(present.config))
    except (ImportError, TypeError, ValueError) as error:
        raise UsageError(f"the scheduler {name} cannot be set up: {first_line(error)}") from None


def add_loras(pipeline: Any, loras: Sequence[str]) -> None:
    """Add LoRA files to a pipeline, each ``FILE`` or ``FILE:weight``; weights are 1 where they are not named.

    Raises UsageError for a file that is not there, is no LoRA of this pipeline, or if peft is not installed.
    """
    from importlib.util import find_spec

    known = [lora_file(lora) for lora in loras]
    if not loras:
        return
    if not hasattr(pipeline, "load_lora_weights"):
        raise UsageError(f"{type(pipeline).__name__} takes no LoRA; leave --lora out")
    if find_spec("peft") is None:
        raise UsageError('--lora needs the package peft: pip install "abe-rerank[lora]"')
    names = [f"lora{number}" for number in range(len(known))]
    for name, (file, _) in zip(names, known, strict=True):
        try:
            pipeline.load_lora_weights(
                str(file.parent), weight_name=file.name, adapter_name=name, use_safetensors=True, local_files_only=True
            )
        except Exception as error:
            raise UsageError(f"the LoRA {file} cannot be used: {first_line(error)}") from error
        if not any(name in adapters for adapters in pipeline.get_list_adapters().values()):
            raise UsageError(f"the LoRA {file} has no tensor of a part of {type(pipeline).__name__}; it is for another")
    pipeline.set_adapters(names, [weight for _, weight in known])


def lora_file(text: str) -> tuple[Path, float]:
    """The file and the weight of ``FILE`` or ``FILE:weight``. Raises UsageError for one that is not there."""
    name, _, number = text.rpartition(":")
    try:
        file, weight = (Path(name), float(number)) if name else (Path(text), 1.0)
    except ValueError:
        file, weight = Path(text), 1.0
    check_file(file, "LoRA file")
    if not (file.suffix == ".safetensors" and math.isfinite(weight)):
        raise UsageError(f"--lora {text}: give a file.safetensors that is there, or FILE:weight with a finite weight")
    return file, weight
