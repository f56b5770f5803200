"""Hashes of weights and versions of libraries, so that a result says what made it."""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

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
