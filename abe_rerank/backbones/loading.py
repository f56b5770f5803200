"""Loading a backbone from a folder or a name, with the reader of its model class."""

from __future__ import annotations

import logging
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from abe_rerank.backbones.devices import ImageSize, check_patches, choose, read_size
from abe_rerank.backbones.dual_encoder import DualEncoder
from abe_rerank.backbones.families import reader_of
from abe_rerank.backbones.hub import Hub, at_revision, fetched, split_revision
from abe_rerank.backbones.model_files import (
    WeightFiles,
    check_complete,
    check_finite,
    has_vocabulary,
    hushed,
    json_object,
    refusal,
    refuse_own_code,
    weight_files,
)
from abe_rerank.errors import AbeRerankError, UsageError
from abe_rerank.files import check_folder
from abe_rerank.recipes import LARGEST_SIDE

log = logging.getLogger(__name__)

BUILTIN = Path(__file__).resolve().parents[1] / "builtin" / "clip"
"""The folder of the backbone that ships with the package."""


def load_backbone(
    name_or_path: str | Path | None = None,
    device: str | torch.device | None = None,
    dtype: str | torch.dtype | None = None,
    image_size: ImageSize | str | None = None,
    batch_size: int | None = None,
    *,
    variant: str | None = None,
    allow_pickle: bool = False,
    hub: Hub | None = None,
) -> DualEncoder:
    """Load a CLIP-like model of transformers from a folder or a hub name (``owner/name@revision``); None is built in.
    ``hub`` says how the latter is got, ``batch_size`` how many images go through it at once (None: as suits the
    device).

    ``image_size`` None is the model's own, else a side ("144") or height and width ("96x144") in whole patches.
    ``device`` and ``dtype`` are what :func:`abe_rerank.backbones.devices.choose` takes. Images go
    through Pillow whatever is installed, so that a score does not depend on whether torchvision is there. ``variant``
    names the weight files ("fp16"), None the plain ones or the only ones. Pickle files are read only with
    ``allow_pickle``; code of the model's own never is. Raises UsageError when nothing can be found under that name,
    its files do not fit together (tensors missing, unexpected, wrongly shaped, not finite), its model class has no
    reader, or the size is none.
    """
    size = read_size(image_size)
    import transformers  # before it is hushed

    hub = hub or Hub()
    name_or_path = at_revision(name_or_path, hub.revision)
    name = "builtin" if name_or_path is None else str(name_or_path)
    folder = find_model(BUILTIN if name_or_path is None else name_or_path, variant, allow_pickle, hub)
    place = choose(device, dtype)
    refuse_own_code(folder)
    _check_type(folder)
    weights = weight_files(folder, variant, allow_pickle)
    what = f"the backbone {name}"
    try:
        with hushed():
            model, info = load_weights(transformers.AutoModel, folder, place.dtype, weights)
        reader = reader_of(model, name)
        beside = [name for name in info["unexpected_keys"] if not name.startswith(reader.unread)]
        check_complete({**info, "unexpected_keys": beside}, what)
        check_finite(model, what)
        with hushed():
            tokenizer, processor = _load_tokenizer(folder), _load_processor(folder)
        log.info("%s, from %s, on %s as %s", what, folder, place.device, place.dtype)
        check_patches(size, model.config.vision_config.patch_size)
        backbone = DualEncoder(
            model.eval().to(place.device), tokenizer, processor, reader, folder, name, size, batch_size
        )
        backbone.try_out()
        return backbone
    except AbeRerankError:
        raise
    except Exception as error:
        raise refusal(what, error, weights.pickled) from error


def find_model(
    name_or_path: str | Path, variant: str | None, allow_pickle: bool, hub: Hub | None = None, what: str = "backbone"
) -> Path:
    """The local folder of a model; a hub name is looked up in the local cache, else on the hub.

    Raises UsageError for a name under which there is no ``what``.
    """
    path = Path(name_or_path)
    if os.path.isfile(path / "config.json"):
        return path
    if path == BUILTIN:
        raise AbeRerankError(f"the built-in backbone is missing from {path}; install abe-rerank again")
    if os.path.isfile(path / "model_index.json"):
        raise UsageError(f"{path} is a text-to-image model (model_index.json), not a {what}; give it as --model")
    if os.path.lexists(path):
        check_folder(path, "model folder")
        raise UsageError(f"{path} is not a model folder: it has no config.json; give a folder of save_pretrained")
    known = split_revision(str(name_or_path))
    if known is None:
        instead = ", or nothing for the built-in one" if what == "backbone" else ""
        raise UsageError(
            f"no {what} called {str(name_or_path)!r}: no such folder, and no hub name (owner/name, "
            f"owner/name@revision); give a folder or a hub name{instead}"
        )
    asked = replace(hub or Hub(), revision=known[1])
    return fetched(
        str(name_or_path),
        what,
        lambda local: _snapshot(known[0], variant, allow_pickle, replace(asked, local_files_only=local)),
        asked.local_files_only,
    )


def _snapshot(name: str, variant: str | None, allow_pickle: bool, hub: Hub) -> Path:
    """The cached files of a hub model, downloaded where they are not there and may be; pickle files last."""
    from huggingface_hub import snapshot_download

    safe = ["*.json", "*.txt", "*.model", f"*{variant}*.safetensors" if variant else "model[.-]*safetensors"]
    others = ["*/*"] if variant else ["*/*", "model.[!s]*.safetensors"]
    for patterns in [safe, [*safe, "*.bin"]] if allow_pickle else [safe]:
        folder = Path(snapshot_download(name, allow_patterns=patterns, ignore_patterns=others, **vars(hub)))
        try:
            weight_files(folder, variant, allow_pickle)
        except UsageError:
            if patterns is safe and allow_pickle:
                continue
            raise
        return folder
    raise AssertionError("unreachable: the last pattern returns or raises")


def _check_type(folder: Path) -> None:
    """Raises UsageError for a config of a type of model that the installed transformers do not know."""
    import transformers

    kind = json_object(folder / "config.json").get("model_type")
    if not isinstance(kind, str) or kind not in transformers.CONFIG_MAPPING:
        known = (
            f"model_type {kind!r}, which transformers {transformers.__version__} do not know"
            if kind
            else "no model_type"
        )
        raise UsageError(f"{folder / 'config.json'} has {known}; give a folder that save_pretrained wrote")


def load_weights(classes: Any, folder: Path, dtype: torch.dtype, weights: WeightFiles) -> tuple[Any, dict[str, Any]]:
    """The model that ``classes``, one of transformers' own, make of a folder, and what is said of its tensors."""
    kind = {"dtype" if _major() >= 5 else "torch_dtype": dtype}
    model, info = classes.from_pretrained(
        folder,
        trust_remote_code=False,
        local_files_only=True,
        use_safetensors=not weights.pickled,
        variant=weights.variant,
        output_loading_info=True,
        ignore_mismatched_sizes=True,  # so that they are named by check_complete
        **kind,
    )
    return model, info


def _load_tokenizer(folder: Path) -> Any:
    import transformers

    if not has_vocabulary(folder):
        raise UsageError(f"{folder} holds no tokenizer; save it there: tokenizer.save_pretrained(folder)")
    try:
        return transformers.AutoTokenizer.from_pretrained(folder, trust_remote_code=False, local_files_only=True)
    except Exception as error:
        raise refusal(f"the tokenizer in {folder}", error) from error


def _load_processor(folder: Path) -> Any:
    import transformers

    if not any((folder / name).is_file() for name in ("preprocessor_config.json", "processor_config.json")):
        raise UsageError(f"{folder} holds no preprocessor_config.json; save the image processor there")
    processors: Any = transformers.AutoImageProcessor
    try:
        processor = processors.from_pretrained(folder, trust_remote_code=False, local_files_only=True, **pillow())
    except Exception as error:
        raise refusal(f"the image processor in {folder}", error) from error
    for name in ("size", "crop_size"):
        for side in dict(getattr(processor, name, None) or {}).values():
            if side is not None and not (isinstance(side, int) and 0 < side <= LARGEST_SIDE):
                raise UsageError(
                    f"the image processor in {folder} scales pictures to {side!r} pixels ({name}); mend that, or get "
                    "the model again"
                )
    return processor


def pillow() -> dict[str, Any]:
    """What makes an image processor work with Pillow, which is always there."""
    return {"backend": "pil"} if _major() >= 5 else {"use_fast": False}


def _major() -> int:
    import transformers

    return int(transformers.__version__.split(".")[0])
