"""Loading a diffusers text-to-image pipeline, and what is needed of one."""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from abe_rerank import builtin
from abe_rerank.backbones.devices import choose
from abe_rerank.errors import AbeRerankError, UsageError, first_line

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
    model: str | Path | None = None, device: str | torch.device | None = None, dtype: str | torch.dtype | None = None
) -> Pipeline:
    """A text-to-image pipeline from a diffusers folder or a hub id; None is the built-in model.

    ``device`` and ``dtype`` are what :func:`abe_rerank.backbones.devices.choose` takes. Raises UsageError for a model
    that is not there or does not draw from text alone, AbeRerankError if it cannot be loaded.
    """
    import diffusers
    from packaging.version import Version

    keyword = "dtype" if Version(diffusers.__version__) >= Version("0.42") else "torch_dtype"
    name = _model_name(model)
    place = choose(device, dtype)
    loader: Any = diffusers.DiffusionPipeline
    try:
        pipeline: Pipeline = loader.from_pretrained(name, **{keyword: place.dtype}).to(place.device)
    except Exception as error:
        raise AbeRerankError(f"the text-to-image model {name} cannot be loaded: {first_line(error)}") from error
    _check_text_to_image(pipeline)
    return pipeline


def modules(pipeline: Pipeline) -> dict[str, torch.nn.Module]:
    """The pipeline's networks by their component names."""
    import torch

    return {name: part for name, part in pipeline.components.items() if isinstance(part, torch.nn.Module)}


def _model_name(model: str | Path | None) -> str:
    """A folder that holds a pipeline, or a hub id. Raises UsageError for what is neither."""
    if model is None:
        return str(builtin.path("text-to-image"))
    path = Path(model)
    if path.is_dir():
        if not (path / "model_index.json").is_file():
            raise UsageError(f"{path} holds no diffusers pipeline (no model_index.json)")
        return str(path)
    if isinstance(model, Path) or path.exists() or not re.fullmatch(r"[\w-][\w.-]*/[\w.-]+", model):
        raise UsageError(
            f"no text-to-image model at {model}; give a folder with a model_index.json, or a hub id owner/name"
        )
    return model


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
