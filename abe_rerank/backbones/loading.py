"""Loading a backbone from a folder or a name, with the reader of its model class."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError

from abe_rerank.backbones.devices import choose
from abe_rerank.backbones.dual_encoder import DualEncoder
from abe_rerank.backbones.readers import ClipReader, Reader, Siglip2Reader, SiglipReader
from abe_rerank.backbones.sizes import ImageSize, read_size
from abe_rerank.errors import AbeRerankError, UsageError

BUILTIN = Path(__file__).resolve().parents[1] / "builtin" / "clip"
"""The folder of the backbone that ships with the package."""

_CLASSES: tuple[tuple[str, Callable[[], Reader]], ...] = (
    ("CLIPModel", ClipReader),
    ("MetaClip2Model", ClipReader),
    ("AltCLIPModel", ClipReader),
    ("ChineseCLIPModel", ClipReader),
    ("SiglipModel", SiglipReader),
    ("Siglip2Model", Siglip2Reader),
)


def load_backbone(
    name_or_path: str | Path | None = None,
    device: str | torch.device | None = None,
    dtype: str | torch.dtype | None = None,
    image_size: ImageSize | str | None = None,
    batch_size: int = 32,
) -> DualEncoder:
    """Load a CLIP-like model of transformers; None is the built-in one.

    ``image_size`` None is the model's own, else a side ("144") or height and width ("96x144") in whole patches.
    ``device`` and ``dtype`` are what :func:`abe_rerank.backbones.devices.choose` takes. Images go
    through Pillow whatever is installed, so that a score does not depend on whether torchvision is there. Raises
    UsageError when nothing can be found under that name, its model class has no reader, or the size is none.
    """
    name = "builtin" if name_or_path is None else str(name_or_path)
    folder = _find(BUILTIN if name_or_path is None else name_or_path)
    source = str(folder) if name_or_path is None or Path(name_or_path).exists() else name
    place = choose(device, dtype)
    model, tokenizer, processor = _load(source, place.dtype)
    reader = _reader(model, name)
    size = read_size(image_size, model.config.vision_config.patch_size)
    return DualEncoder(model.eval().to(place.device), tokenizer, processor, reader, folder, name, size, batch_size)


def _find(name_or_path: str | Path) -> Path:
    """The local folder of a model; a hub name is looked up in the local cache, else on the hub."""
    path = Path(name_or_path)
    if (path / "config.json").is_file():
        return path
    if path == BUILTIN:
        raise AbeRerankError(f"the built-in backbone is missing from {path}; install abe-rerank again")
    if path.exists():
        raise UsageError(f"{path} is not a model folder: it has no config.json; give a folder of save_pretrained")
    from transformers.utils.hub import cached_file

    try:
        return Path(str(cached_file(str(name_or_path), "config.json"))).parent
    except (OSError, ValueError) as error:
        raise UsageError(
            f"no backbone called {str(name_or_path)!r}: no such folder, and neither the local cache nor the model hub "
            "gives it; give a folder, a hub name, or nothing for the built-in one"
        ) from error


def _load(source: str, dtype: torch.dtype) -> tuple[Any, Any, Any]:
    import transformers

    major = int(transformers.__version__.split(".")[0])
    pillow: dict[str, Any] = {"backend": "pil"} if major >= 5 else {"use_fast": False}
    processors: Any = transformers.AutoImageProcessor
    kind = {"dtype" if major >= 5 else "torch_dtype": dtype}
    try:
        model = transformers.AutoModel.from_pretrained(source, **kind)
        tokenizer = transformers.AutoTokenizer.from_pretrained(source)
        processor = processors.from_pretrained(source, **pillow)
    except (OSError, ValueError, KeyError, SafetensorError) as error:
        raise UsageError(f"the backbone {source} cannot be loaded: {str(error).splitlines()[0]}") from error
    return model, tokenizer, processor


def _reader(model: Any, name: str) -> Reader:
    import transformers

    for class_name, reader in _CLASSES:
        known = getattr(transformers, class_name, None)
        if known is not None and isinstance(model, known):
            return reader()
    supported = ", ".join(class_name for class_name, _ in _CLASSES)
    raise UsageError(f"{name} is a {type(model).__name__}, which cannot be read here; supported: {supported}")
