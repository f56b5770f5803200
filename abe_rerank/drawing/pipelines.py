"""Loading a diffusers text-to-image pipeline, what is needed of one, and the arguments that its call takes."""

from __future__ import annotations

import inspect
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from abe_rerank.backbones.devices import choose
from abe_rerank.backbones.hub import Hub
from abe_rerank.backbones.model_files import check_finite, hushed, json_object, refusal
from abe_rerank.drawing.components import (
    INDEX,
    add_loras,
    dtype_keyword,
    exchange_scheduler,
    index_of,
    load_networks,
    lora_file,
)
from abe_rerank.drawing.model_sources import check_single_file, config_folder, from_single_file, model_folder
from abe_rerank.drawing.placement import take_in_parts
from abe_rerank.errors import AbeRerankError, UsageError
from abe_rerank.recipes import LARGEST_SIDE, MOST_STEPS

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


@dataclass(frozen=True)
class ModelChoices:
    """What is chosen of a model, or changed in it: see :func:`load_pipeline`; None is the model's own."""

    variant: str | None = None
    revision: str | None = None
    scheduler: str | None = None
    lora: tuple[str, ...] = ()
    slices: tuple[str, ...] = ()
    model_config: str | None = None

    @property
    def settings(self) -> dict[str, Any]:
        """Those that were made, as a run keeps them; a scheduler is part of how images are drawn."""
        lists = {"lora": list(self.lora) or None, "slices": list(self.slices) or None}
        found = {"variant": self.variant, "revision": self.revision, **lists, "model_config": self.model_config}
        return {name: value for name, value in found.items() if value is not None}


def load_pipeline(
    model: str | Path | None = None,
    device: str | torch.device | None = None,
    dtype: str | torch.dtype | None = None,
    *,
    variant: str | None = None,
    revision: str | None = None,
    scheduler: str | None = None,
    lora: Sequence[str] = (),
    slices: Sequence[str] = (),
    model_config: str | Path | None = None,
    allow_pickle: bool = False,
    cache_dir: str | Path | None = None,
    local_files_only: bool = False,
    token: str | bool | None = None,
) -> Pipeline:
    """A text-to-image pipeline from a diffusers folder or a hub id (``owner/name@revision``); None is the built-in one.

    ``model`` may be a single safetensors file, too, whose configuration is that of the diffusers folder or hub id
    ``model_config``, or else that of the model that diffusers takes it for, where it is in the local cache.

    ``device`` and ``dtype`` are what :func:`abe_rerank.backbones.devices.choose` takes; ``variant`` names the weight
    files ("fp16"), None the plain ones or the only ones; ``scheduler``, ``lora`` and ``slices`` are what
    :func:`exchange_scheduler`, :func:`add_loras` and :func:`take_in_parts` take. Pickle files are read only with
    ``allow_pickle``; code of the model's own never is. ``revision``, ``cache_dir``, ``local_files_only`` and ``token``
    are for a hub id: see :class:`abe_rerank.backbones.hub.Hub`. Raises UsageError for a model that is not there, does
    not draw from text alone, or whose files do not fit together (tensors missing, unexpected, misshapen, not finite),
    AbeRerankError if it cannot be loaded.
    """
    hub = Hub(revision, cache_dir, local_files_only, token)
    single, folder = find_pipeline(model, lora, model_config, hub, variant, allow_pickle)
    place = choose(device, dtype)
    what = f"the text-to-image model {folder if model is None else model}"
    try:
        with hushed():
            pipeline: Pipeline = (
                from_single_file(single, folder, place.dtype, allow_pickle)
                if single
                else _from_folder(folder, place.dtype, variant, allow_pickle)
            ).to(place.device)
    except AbeRerankError as error:
        raise type(error)(f"{what} cannot be loaded: {error}") from error
    except Exception as error:
        raise refusal(what, error) from error
    check_text_to_image(pipeline)
    if scheduler is not None:
        exchange_scheduler(pipeline, scheduler)
    take_in_parts(pipeline, slices)
    with hushed():
        add_loras(pipeline, lora)
    for name, network in modules(pipeline).items():
        check_finite(network, f"{name} of {what}")
    return pipeline


def find_pipeline(
    model: str | Path | None,
    lora: Sequence[str],
    model_config: str | Path | None,
    hub: Hub,
    variant: str | None = None,
    allow_pickle: bool = False,
) -> tuple[Path | None, Path]:
    """The single file, if the model is one, and the folder with its parts or their configurations; nothing is loaded.

    Raises UsageError for what is not there, a LoRA too.
    """
    for text in lora:
        lora_file(text)
    import diffusers  # noqa: F401  (before it is hushed)

    single = check_single_file(model, model_config, hub.revision, variant)
    if single is not None:
        return single, config_folder(single, model_config, hub)
    return None, model_folder(model, variant, allow_pickle, hub)


def _from_folder(folder: Path, dtype: torch.dtype, variant: str | None, allow_pickle: bool) -> Any:
    import diffusers

    loader: Any = diffusers.DiffusionPipeline
    index = index_of(folder / INDEX, json_object(folder / INDEX))
    networks = load_networks(index.parts, dtype, variant, allow_pickle)
    pipeline = loader.from_pretrained(
        str(folder),
        trust_remote_code=False,
        local_files_only=True,
        **networks,
        **dict.fromkeys(index.nulls),
        **{dtype_keyword("diffusers"): dtype},
    )
    if unchecked := sorted(set(modules(pipeline)) - set(networks)):
        raise UsageError(f"its part {unchecked[0]} is of a class whose weights cannot be checked; use another model")
    return pipeline


def modules(pipeline: Pipeline) -> dict[str, torch.nn.Module]:
    """The pipeline's networks by their component names."""
    import torch

    return {name: part for name, part in pipeline.components.items() if isinstance(part, torch.nn.Module)}


OURS = frozenset(
    ("self", "args", "kwargs", "prompt", "generator", "latents", "num_images_per_prompt", "output_type", "return_dict")
)
"""Arguments that say what is drawn and how it is handed over: these are ours, as are callbacks and embeddings."""


def settable(pipeline: Pipeline) -> dict[str, inspect.Parameter]:
    """The arguments of the pipeline's ``__call__`` that may be set: all but those that drawing itself gives."""
    parameters = inspect.signature(pipeline.__call__).parameters
    ours = ("callback", "embeds", "embeds_mask", "attention_mask", "image")
    return {
        name: parameter
        for name, parameter in parameters.items()
        if name not in OURS and not name.startswith("callback") and not name.endswith(ours)
    }


def read_arguments(pipeline: Pipeline, asked: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments of the pipeline's ``__call__``; texts become values of the types that its signature names ("0.5" a
    number, "[1, 2]" a list).

    Raises UsageError for an argument that it does not take, listing those it takes, one that drawing itself gives, and
    a value of another type.
    """
    known = settable(pipeline)
    kind = type(pipeline).__name__
    taken = inspect.signature(pipeline.__call__).parameters
    if ours := [name for name in asked if name in taken and name not in known]:
        raise UsageError(f"{ours[0]} of {kind} is given by abe-rerank itself and cannot be set; leave it out")
    if unknown := [name for name in asked if name not in known]:
        raise UsageError(f"{kind} does not take {', '.join(unknown)}; it takes {', '.join(known)}")
    found = {name: _typed(name, value, known[name], kind) for name, value in asked.items()}
    check_numbers(found)
    return found


def check_numbers(arguments: Mapping[str, Any]) -> None:
    """Raises UsageError for steps or sides that are no whole number that can be drawn, and a guidance that is no finite
    number."""
    for name, most in (("num_inference_steps", MOST_STEPS), ("width", LARGEST_SIDE), ("height", LARGEST_SIDE)):
        number = arguments.get(name, 1)
        if number is None and name != "num_inference_steps":
            continue
        if isinstance(number, bool) or not isinstance(number, int) or not 1 <= number <= most:
            raise UsageError(f"{name} must be a whole number from 1 to {most}, not {str(number)[:40]}")
    for name in ("guidance_scale", "true_cfg_scale"):
        guidance = arguments.get(name, 1.0)
        if isinstance(guidance, bool) or not isinstance(guidance, (int, float)) or not math.isfinite(guidance):
            raise UsageError(f"{name} must be a finite number, not {guidance!r}")


def guidance_name(pipeline: Pipeline) -> str:
    """The argument that is the weight of classifier-free guidance: ``true_cfg_scale`` where there is one (Qwen-Image),
    unless the network itself reads ``guidance_scale`` (``guidance_embeds`` of its configuration, Flux)."""
    parameters = inspect.signature(pipeline.__call__).parameters
    reads_it = getattr(getattr(_denoiser(pipeline), "config", None), "guidance_embeds", False)
    is_true = {"true_cfg_scale", "negative_prompt"} <= set(parameters) and not reads_it
    return "true_cfg_scale" if is_true else "guidance_scale"


def image_pixels(pipeline: Pipeline, arguments: Mapping[str, Any]) -> int | None:
    """How many pixels an image will have, from the arguments or the sizes that the networks were made for; None where
    neither says."""
    sides: list[Any] = [arguments.get(name) or side for name, side in own_sides(pipeline).items()]
    return None if None in sides else math.prod(sides)


def own_sides(pipeline: Pipeline) -> dict[str, int | None]:
    """The height and the width in pixels that a pipeline's networks were made for; None where they do not say."""
    latent = getattr(getattr(_denoiser(pipeline), "config", None), "sample_size", None)
    factor = getattr(pipeline, "vae_scale_factor", None)
    sides = latent if isinstance(latent, (list, tuple)) and len(latent) == 2 else (latent, latent)
    return {
        name: side * factor if isinstance(side, int) and isinstance(factor, int) else None
        for name, side in zip(("height", "width"), sides, strict=True)
    }


def _denoiser(pipeline: Pipeline) -> Any:
    return pipeline.components.get("transformer") or pipeline.components.get("unet")


def _typed(name: str, value: Any, parameter: inspect.Parameter, kind: str) -> Any:
    """A text as a value of the type that the signature gives to an argument; other values as they are."""
    from pydantic import ConfigDict, PydanticUserError, TypeAdapter, ValidationError

    if not isinstance(value, str) or name.endswith(("prompt", "prompt_2", "prompt_3")):
        return value
    plain = value.strip().lower() in ("none", "null", "true", "false") or value.lstrip().startswith(("[", "{"))
    try:
        read = (
            json.loads(value.strip().lower().replace("none", "null") if len(value) < 6 else value) if plain else value
        )
        wanted = parameter.annotation
        if wanted is parameter.empty:
            wanted = Any if parameter.default is None else type(parameter.default)
        return TypeAdapter(wanted, config=ConfigDict(arbitrary_types_allowed=True)).validate_python(read)
    except (ValidationError, ValueError, PydanticUserError):
        wanted = inspect.formatannotation(parameter.annotation)
        raise UsageError(f"{name} of {kind} must be {wanted}, not {value!r}") from None


def check_text_to_image(pipeline: Pipeline) -> None:
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
