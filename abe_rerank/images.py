"""Any picture a caller may hold (PIL, path, numpy, tensor) -> an RGB PIL image, or one clear error.

Arrays are read as their libraries lay them out: numpy as [height, width] or [height, width, channels], tensors as
[height, width] or [channels, height, width]. Integers must be uint8, floats must lie in [0, 1]. Transparent pictures
are laid on white, the orientation that a camera wrote into a file is applied, 16-bit grey becomes 8-bit grey.
"""

from __future__ import annotations

from collections.abc import Iterable
from os import PathLike, fspath
from typing import TYPE_CHECKING, TypeGuard

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from abe_rerank.errors import AbeRerankError, UsageError

if TYPE_CHECKING:
    import torch

    ImageLike = Image.Image | str | PathLike[str] | np.ndarray | torch.Tensor


def to_pil(image: ImageLike, name: str = "the image") -> Image.Image:
    """One picture as an RGB PIL image; a PIL image that is RGB already is returned as it is.

    Raises UsageError for what is not a picture (missing file, wrong shape, wrong range) and AbeRerankError for a file
    that cannot be decoded; ``name`` is what the message calls a picture that has no file name.
    """
    if isinstance(image, Image.Image):
        return _rgb(image)
    if isinstance(image, (str, PathLike)):
        return read(fspath(image))
    if isinstance(image, np.ndarray):
        return _from_array(image, name)
    if _is_tensor(image):
        array = image.detach().cpu()
        array = array.float() if array.is_floating_point() else array
        return _from_array(np.moveaxis(array.numpy(), 0, -1) if array.ndim == 3 else array.numpy(), name)
    raise UsageError(f"{name} is a {type(image).__name__}; give a PIL image, a path, a numpy array or a tensor")


def to_pil_list(images: ImageLike | Iterable[ImageLike]) -> list[Image.Image]:
    """One picture, a sequence of them, or a 4-d array or tensor of them, as a list of RGB PIL images.

    Raises UsageError if there are none, and what :func:`to_pil` raises, naming the picture by its place in the list.
    """
    return [to_pil(image, f"image {k}") for k, image in enumerate(as_list(images))]


def as_list(images: ImageLike | Iterable[ImageLike]) -> list[ImageLike]:
    """The pictures one by one, not decoded. Raises UsageError if there are none."""
    batch: list[ImageLike]
    if isinstance(images, (Image.Image, str, PathLike)):
        batch = [images]
    elif isinstance(images, np.ndarray) or _is_tensor(images):
        batch = list(images) if images.ndim == 4 else [images]
    else:
        batch = list(images)
    if not batch:
        raise UsageError("no images were given; give at least one")
    return batch


def read(path: str) -> Image.Image:
    """The picture in a file, fully decoded. Raises UsageError if it is missing, AbeRerankError if it is broken."""
    try:
        with Image.open(path) as image:
            image.load()
            return _rgb(ImageOps.exif_transpose(image))
    except FileNotFoundError:
        raise UsageError(f"no such image file: {path}") from None
    except IsADirectoryError:
        raise UsageError(f"{path} is a folder, not an image file") from None
    except UnidentifiedImageError:
        raise AbeRerankError(f"{path} is not an image that Pillow can read") from None
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise AbeRerankError(f"{path} cannot be read as an image: {error}") from error


def _rgb(image: Image.Image) -> Image.Image:
    if image.mode == "RGB":
        return image
    if image.mode.startswith("I"):
        grey = np.asarray(image, dtype=np.float64)
        depth = 65535.0 if grey.max(initial=0) > 255 or image.mode.startswith("I;16") else 255.0
        return Image.fromarray(np.clip(np.rint(grey / depth * 255), 0, 255).astype(np.uint8)).convert("RGB")
    if image.has_transparency_data:
        layer = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer).convert("RGB")
    return image.convert("RGB")


def _from_array(array: np.ndarray, name: str) -> Image.Image:
    """[height, width] or [height, width, 1 | 3 | 4] -> RGB."""
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in (1, 3, 4)) or array.size == 0:
        raise UsageError(
            f"{name} has shape {tuple(array.shape)}; arrays are [height, width, 1|3|4], tensors [1|3|4, height, width]"
        )
    if np.issubdtype(array.dtype, np.floating):
        if not np.isfinite(array).all() or array.min() < 0 or array.max() > 1:
            raise UsageError(
                f"{name} holds floats from {array.min():.3g} to {array.max():.3g}; scale them to [0, 1] first"
            )
        array = np.rint(array * 255).astype(np.uint8)
    elif array.dtype != np.uint8:
        raise UsageError(f"{name} holds {array.dtype}; give uint8 in [0, 255] or floats in [0, 1]")
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[:, :, 0]
    return _rgb(Image.fromarray(np.ascontiguousarray(array)))


def _is_tensor(image: object) -> TypeGuard[torch.Tensor]:
    """Whether it is a torch tensor, asked without importing torch for callers that have none."""
    import sys

    torch_module = sys.modules.get("torch")
    return torch_module is not None and isinstance(image, torch_module.Tensor)
