"""Where the files of a text-to-image model are: in a folder, on a hub, or one file with configurations beside it."""

from __future__ import annotations

import os
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from abe_rerank import builtin
from abe_rerank.backbones.hub import Hub, at_revision, fetched, split_revision
from abe_rerank.backbones.model_files import check_complete, hushed, json_object, refuse_own_code, weight_files
from abe_rerank.drawing.components import INDEX, check_files, dtype_keyword, index_of
from abe_rerank.errors import UsageError
from abe_rerank.files import check_file, check_folder

if TYPE_CHECKING:
    import torch

CONFIGURATIONS = ("*.json", "*/*.json", "*.txt", "*/*.txt", "*/*.model")
"""The files of a hub's model that say how its parts are made."""


def check_single_file(
    model: str | Path | None, config: str | Path | None, revision: str | None, variant: str | None
) -> Path | None:
    """The file, where a model is one; None where it is not. Raises UsageError for a file of another kind than
    safetensors, and for what goes with a single file alone, or with a folder alone."""
    file = None if model is None or not os.path.isfile(model) else Path(model)
    if file is None:
        if config is not None:
            raise UsageError("--model-config is for a --model that is a single file; leave it out")
        return None
    check_file(file)
    if file.suffix != ".safetensors":
        raise UsageError(f"{file} is no safetensors file, and no other single file is read; save it as safetensors")
    if given := [name for name, value in (("--revision", revision), ("--variant", variant)) if value is not None]:
        raise UsageError(f"{given[0]} is for a model of several files, and {file} is one; leave it out")
    return file


def config_folder(file: Path, config: str | Path | None, hub: Hub) -> Path:
    """The folder with the configurations of a single file's parts: the one that is given, or that of a hub id, given
    or what diffusers takes the file for, from the local cache, else from the hub. Raises UsageError where it is not."""
    from huggingface_hub import snapshot_download

    if config is not None and os.path.lexists(config):
        check_folder(config, "folder of configurations")
        if not os.path.isfile(Path(config) / INDEX):
            raise UsageError(f"--model-config {config} holds no diffusers pipeline (no {INDEX}); give one that does")
        return Path(config)
    name = _looks_like(file) if config is None else str(config)
    got: dict[str, Any] = {**vars(hub), "allow_patterns": list(CONFIGURATIONS)}
    try:
        return fetched(
            name,
            "configuration",
            lambda local: Path(snapshot_download(name, **{**got, "local_files_only": local})),
            hub.local_files_only,
        )
    except UsageError:
        told = "what it says of its parts is not here" if config is None else "no such folder, and not in the cache"
        raise UsageError(
            f"{file} holds weights alone, of a model like {name}: {told}; give --model-config DIR, a diffusers folder "
            f"of such a model ({INDEX}, the configs of its parts, its tokenizer; no weights are needed in it)"
        ) from None


def _looks_like(file: Path) -> str:
    """The hub id of the model that diffusers takes a file's weights for. Raises UsageError for a damaged file."""
    from diffusers.loaders.single_file_utils import fetch_diffusers_config, load_single_file_checkpoint

    try:
        with hushed():
            return str(fetch_diffusers_config(load_single_file_checkpoint(str(file)))["pretrained_model_name_or_path"])
    except Exception as error:
        raise UsageError(f"{file} cannot be read ({type(error).__name__}); it may be cut: get it again") from error


def from_single_file(file: Path, folder: Path, dtype: torch.dtype, allow_pickle: bool = False) -> Any:
    """The pipeline of a single file, made as ``folder`` says, on the CPU; a part that the file lacks comes from there.

    Raises UsageError for a class that diffusers does not make from one, tensors that are missing or wrongly shaped, and
    for parts whose weights are nowhere.
    """
    import diffusers
    import torch
    from diffusers.loaders.single_file_utils import SingleFileComponentError

    named = json_object(folder / INDEX)
    index = index_of(folder / INDEX, named)
    for part in index.parts:
        refuse_own_code(part.folder)
        if issubclass(part.kind, torch.nn.Module) and any(part.folder.glob("*.bin")):
            weight_files(part.folder, None, allow_pickle)
    loader: Any = getattr(diffusers, named["_class_name"])
    if not hasattr(loader, "from_single_file"):
        raise UsageError(f"diffusers makes no {named['_class_name']} from a single file; save it as a folder")
    options = {dtype_keyword("diffusers"): dtype, **dict.fromkeys(index.nulls)}
    try:
        pipeline = loader.from_single_file(str(file), config=str(folder), local_files_only=True, **options)
    except SingleFileComponentError as error:
        told = str(error).partition("\n")[0]
        raise UsageError(f"{told} Give a --model-config that has its weights, too") from error
    except NotImplementedError as error:  # diffusers moves tensors that it left empty
        raise UsageError(
            f"tensors that {folder} asks for are missing in {file.name}, and nothing is filled in at random: get the "
            "file again, or give the --model-config of its own model"
        ) from error
    for name, part in pipeline.components.items():
        if isinstance(part, torch.nn.Module):
            missing = [key for key, tensor in part.state_dict().items() if tensor.is_meta]
            check_complete(
                {"missing_keys": missing, "unexpected_keys": [], "mismatched_keys": []}, f"{name} ({file.name})"
            )
    return pipeline


def model_folder(model: str | Path | None, variant: str | None, allow_pickle: bool, hub: Hub) -> Path:
    """The local folder of a pipeline, None the built-in one; a hub id is looked up in the local cache, else on the hub.

    Raises UsageError for what is neither.
    """
    model = at_revision(model, hub.revision)
    if model is None:
        return builtin.path("text-to-image")
    path = Path(model)
    if os.path.lexists(path):
        check_folder(path, "model folder")
        if os.path.isfile(path / INDEX):
            return path
        other = "; it is a model for --backbone (config.json)" if os.path.isfile(path / "config.json") else ""
        raise UsageError(f"{path} holds no diffusers pipeline (no model_index.json){other}")
    known = split_revision(str(model))
    if isinstance(model, Path) or known is None or "/" not in known[0]:
        raise UsageError(
            f"no text-to-image model at {model}; give a folder with a model_index.json, or a hub id owner/name"
        )
    found = replace(hub, revision=known[1])
    get = partial(_download, known[0], variant, allow_pickle, found)
    return fetched(str(model), "text-to-image model", get, hub.local_files_only)


def _download(name: str, variant: str | None, allow_pickle: bool, hub: Hub, local: bool) -> Path:
    """The cached files of a hub model; downloaded where they are not there, unless ``local``."""
    import diffusers
    from huggingface_hub import snapshot_download

    if local:  # diffusers would ask the hub all the same
        folder = Path(snapshot_download(name, **vars(replace(hub, local_files_only=True))))
        check_files(index_of(folder / INDEX, json_object(folder / INDEX)).parts, variant, allow_pickle)
        return folder
    loader: Any = diffusers.DiffusionPipeline
    with hushed():
        downloaded = loader.download(
            name,
            revision=hub.revision,
            cache_dir=hub.cache_dir,
            token=hub.token,
            variant=variant,
            use_safetensors=None if allow_pickle else True,
            trust_remote_code=False,
        )
    return Path(downloaded)
