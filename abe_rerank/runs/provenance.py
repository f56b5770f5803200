"""Hashes of weights and pixels, versions of libraries and settings as others read them, so that a result says what made
it."""

from __future__ import annotations

import hashlib
import json
import platform
import sys
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING

from abe_rerank.runs.records import ModelRecord

if TYPE_CHECKING:
    import torch
    from PIL.Image import Image

    from abe_rerank.drawing.pipelines import Pipeline
    from abe_rerank.scoring import Scorer

_LIBRARIES = ("torch", "diffusers", "transformers", "accelerate", "spacy", "numpy", "pillow")


def weights_sha256(modules: Mapping[str, torch.nn.Module]) -> str:
    """SHA-256 over the names, dtypes, shapes and bytes of all parameters and buffers, as loaded, in the order of names.

    It does not depend on the device; it does on the dtype, since other bits draw other images.
    """
    import torch

    digest = hashlib.sha256()
    for module_name in sorted(modules):
        for name, tensor in sorted(modules[module_name].state_dict().items()):
            digest.update(f"{module_name}.{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
            digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def pixels_sha256(image: Image) -> str:
    """SHA-256 of an image's RGB bytes, row by row."""
    return hashlib.sha256(image.convert("RGB").tobytes()).hexdigest()


def parameters_text(
    prompt: str, settings: Mapping[str, object], seed: int | None, size: tuple[int, int], model: str
) -> str:
    """What image browsers of the ecosystem read of an image of ``size`` (width, height): the text that the web UI of
    AUTOMATIC1111 writes, prompt, negative prompt and a line of "Name: value" pairs, values with commas in quotes."""
    values = {
        "Steps": settings.get("num_inference_steps"),
        "Sampler": settings.get("scheduler"),
        "CFG scale": settings.get("true_cfg_scale") or settings.get("guidance_scale"),
        "Seed": seed,
        "Size": f"{size[0]}x{size[1]}",
        "Model": model,
    }
    negative = str(settings.get("negative_prompt") or "").strip()
    pairs = [f"{name}: {_quoted(str(value))}" for name, value in values.items() if value is not None]
    return "\n".join([prompt, *([f"Negative prompt: {negative}"] if negative else []), ", ".join(pairs)])


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False) if set(text) & set(',:\n"') else text


def pipeline_record(pipeline: Pipeline, name: str) -> ModelRecord:
    """The record of a text-to-image pipeline that was asked for by ``name``."""
    from abe_rerank.drawing.pipelines import modules

    return ModelRecord(name=name, kind=type(pipeline).__name__, weights=weights_sha256(modules(pipeline)))


def backbone_record(scorer: Scorer, name: str) -> ModelRecord:
    """The record of a scorer's backbone that was asked for by ``name``."""
    from abe_rerank.scoring.tuned import tuning_of

    read = scorer.backbone
    return ModelRecord(name=name, kind=read.kind, weights=read.weights_hash, tuning=tuning_of(scorer))


def peak_mb(device: torch.device) -> dict[str, float]:
    """The most memory that was held until now, in 10^6 bytes: by this process, and on the device if it is a GPU."""
    import torch

    found = {}
    try:
        import resource
    except ImportError:  # Windows
        pass
    else:
        unit = 1 if sys.platform == "darwin" else 1024
        found["process"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6
    if device.type == "cuda":
        found["device"] = torch.cuda.max_memory_allocated(device) / 1e6
    return found


def versions() -> dict[str, str]:
    """Versions of this package, Python, the platform and the libraries that shape a result."""
    from abe_rerank import __version__

    found = {"abe-rerank": __version__, "python": platform.python_version(), "platform": platform.platform()}
    for library in _LIBRARIES:
        try:
            found[library] = version(library)
        except PackageNotFoundError:
            found[library] = "not installed"
    return found
