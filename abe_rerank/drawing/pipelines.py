"""Loading a diffusers text-to-image pipeline, and what is needed of one."""

from __future__ import annotations

import inspect
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from abe_rerank import builtin
from abe_rerank.backbones.devices import choose
from abe_rerank.backbones.model_files import check_finite, fetched, hushed, json_object, refusal, split_revision
from abe_rerank.drawing.components import INDEX, check_files, dtype_keyword, index_of, load_networks
from abe_rerank.errors import AbeRerankError, UsageError

if TYPE_CHECKING:
    import torch


class Pipeline(Protocol):
    """What is needed of a diffusers text-to-image pipeline; every ``diffusers.DiffusionPipeline`` has it."""

    config: Mapping[str, Any]
    components: dict[str, Any]
    device: torch.device
    dtype: torch.dtype

    def __call__(self, **arguments: Any) -> Any:
        """Draw ``prompt`` with ``generator``; the output has ``images``."""
        ...

    def set_progress_bar_config(self, **options: Any) -> None:
        """Options of the bar over the steps."""
        ...


def load_pipeline(
    model: str | Path | None = None,
    device: str | torch.device | None = None,
    dtype: str | torch.dtype | None = None,
    *,
    variant: str | None = None,
    allow_pickle: bool = False,
) -> Pipeline:
    """A text-to-image pipeline from a diffusers folder or a hub id (``owner/name@revision``); None is the built-in one.

    ``device`` and ``dtype`` are what :func:`abe_rerank.backbones.devices.choose` takes; ``variant`` names the weight
    files ("fp16"), None the plain ones or the only ones. Pickle files are read only with ``allow_pickle``; code of the
    model's own never is. Raises UsageError for a model that is not there, does not draw from text alone, or whose files
    do not fit together (tensors missing, unexpected, wrongly shaped, not finite), AbeRerankError if it cannot be
    loaded.
    """
    import diffusers

    folder = _model_folder(model, variant, allow_pickle)
    place = choose(device, dtype)
    what = f"the text-to-image model {folder if model is None else model}"
    loader: Any = diffusers.DiffusionPipeline
    try:
        named = json_object(folder / INDEX)
        index = index_of(folder / INDEX, named)
        with hushed():
            networks = load_networks(index.parts, place.dtype, variant, allow_pickle)
            pipeline: Pipeline = loader.from_pretrained(
                str(folder),
                trust_remote_code=False,
                local_files_only=True,
                **networks,
                **dict.fromkeys(index.nulls),
                **{dtype_keyword("diffusers"): place.dtype},
            ).to(place.device)
        if unchecked := sorted(set(modules(pipeline)) - set(networks)):
            raise UsageError(
                f"its part {unchecked[0]} is of a class whose weights cannot be checked; use another model"
            )
    except AbeRerankError as error:
        raise type(error)(f"{what} cannot be loaded: {error}") from error
    except Exception as error:
        raise refusal(what, error) from error
    _check_text_to_image(pipeline)
    for name, network in modules(pipeline).items():
        check_finite(network, f"{name} of {what}")
    return pipeline


def modules(pipeline: Pipeline) -> dict[str, torch.nn.Module]:
    """The pipeline's networks by their component names."""
    import torch

    return {name: part for name, part in pipeline.components.items() if isinstance(part, torch.nn.Module)}


def _model_folder(model: str | Path | None, variant: str | None, allow_pickle: bool) -> Path:
    """The local folder of a pipeline; a hub id is looked up in the local cache, else on the hub.

    Raises UsageError for what is neither.
    """
    if model is None:
        return builtin.path("text-to-image")
    path = Path(model)
    if os.path.isdir(path):
        if os.path.isfile(path / INDEX):
            return path
        other = "; it is a model for --backbone (config.json)" if os.path.isfile(path / "config.json") else ""
        raise UsageError(f"{path} holds no diffusers pipeline (no model_index.json){other}")
    known = split_revision(str(model))
    if isinstance(model, Path) or os.path.lexists(path) or known is None or "/" not in known[0]:
        raise UsageError(
            f"no text-to-image model at {model}; give a folder with a model_index.json, or a hub id owner/name"
        )
    return fetched(str(model), "text-to-image model", lambda local: _download(*known, variant, allow_pickle, local))


def _download(name: str, revision: str | None, variant: str | None, allow_pickle: bool, local: bool) -> Path:
    """The cached files of a hub model; downloaded where they are not there, unless ``local``."""
    import diffusers
    from huggingface_hub import snapshot_download

    if local:  # diffusers would ask the hub all the same
        folder = Path(snapshot_download(name, revision=revision, local_files_only=True))
        check_files(index_of(folder / INDEX, json_object(folder / INDEX)).parts, variant, allow_pickle)
        return folder
    loader: Any = diffusers.DiffusionPipeline
    with hushed():
        downloaded = loader.download(
            name,
            revision=revision,
            variant=variant,
            use_safetensors=None if allow_pickle else True,
            trust_remote_code=False,
        )
    return Path(downloaded)


def _check_text_to_image(pipeline: Pipeline) -> None:
    """Raises UsageError for a pipeline that needs more than a prompt: diffusers' editing pipelines take an image but no
    height, inpainting takes a mask, other tasks take no prompt."""
    parameters = inspect.signature(pipeline.__call__).parameters
    kinds = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    needed = {name for name, p in parameters.items() if p.default is p.empty and p.kind in kinds}
    edits = "image" in parameters and ("height" not in parameters or "mask_image" in parameters)
    if edits or needed - {"prompt"} or not {"prompt", "generator"} <= set(parameters):
        raise UsageError(
            f"{type(pipeline).__name__} is not a text-to-image pipeline; name one that draws from a prompt alone"
        )
