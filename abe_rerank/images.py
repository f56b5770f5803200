"""Any picture a caller may hold (PIL, path, numpy, tensor) -> an RGB PIL image, or one clear error.

Arrays are read as their libraries lay them out: numpy as [height, width] or [height, width, channels], tensors as
[height, width] or [channels, height, width]. Integers must be uint8, floats must lie in [0, 1]. Transparent pictures
are laid on white, the orientation that a camera wrote into a file is applied, grey of 16 bits or floats becomes 8-bit
grey.
"""

from __future__ import annotations

import math
import os
import re
import sys
import threading
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from io import BytesIO
from os import PathLike, fspath
from pathlib import Path
from tempfile import TemporaryFile
from typing import TYPE_CHECKING, TypeGuard, TypeVar

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from abe_rerank.errors import AbeRerankError, UsageError
from abe_rerank.files import check_file

if TYPE_CHECKING:
    import torch

    ImageLike = Image.Image | str | PathLike[str] | bytes | np.ndarray | torch.Tensor

T = TypeVar("T")

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff")
"""How the names of image files end, in lower case."""

MOST_PIXELS = 178_956_970
"""Files with more pixels are refused; so many take half a gigabyte while they are decoded."""

KEPT_PIXELS = 4096 * 4096
"""Files with more pixels are reduced by a whole factor once decoded: a backbone looks at far fewer."""


_LIBTIFF_LINE = re.compile(rb"(\w+\.tif|\w*(TIFF|Decode|JPEG|Predict)\w*): (?!Warning)")
_ONE_AT_A_TIME = threading.Lock()


def to_pil(image: ImageLike, name: str = "the image") -> Image.Image:
    """One picture as an RGB PIL image; a PIL image that is RGB already is returned as it is.

    Raises UsageError for what is not a picture (missing file, wrong shape, wrong range) and AbeRerankError for a file
    that cannot be decoded; ``name`` is what the message calls a picture that has no file name.
    """
    if isinstance(image, Image.Image):
        return _rgb(image, name)
    if isinstance(image, (str, PathLike)):
        return read(fspath(image))
    if isinstance(image, bytes):
        return decode(BytesIO(image), name)
    if isinstance(image, np.ndarray):
        return _from_array(image, name)
    if _is_tensor(image):
        array = image.detach().cpu()
        array = array.float() if array.is_floating_point() else array
        return _from_array(np.moveaxis(array.numpy(), 0, -1) if array.ndim == 3 else array.numpy(), name)
    raise UsageError(
        f"{name} is a {type(image).__name__}; give a PIL image, a path, the bytes of a file, an array or a tensor"
    )


def to_pil_list(images: ImageLike | Iterable[ImageLike]) -> list[Image.Image]:
    """One picture, a sequence of them, or a 4-d array or tensor of them, as a list of RGB PIL images.

    Raises UsageError if there are none, and what :func:`to_pil` raises, naming the picture by its place in the list.
    """
    return [to_pil(image, f"image {k}") for k, image in enumerate(as_list(images))]


def as_list(images: ImageLike | Iterable[ImageLike]) -> list[ImageLike]:
    """The pictures one by one, not decoded. Raises UsageError if there are none."""
    batch: list[ImageLike]
    if isinstance(images, (Image.Image, str, PathLike, bytes)):
        batch = [images]
    elif isinstance(images, np.ndarray) or _is_tensor(images):
        batch = list(images) if images.ndim == 4 else [images]
    else:
        batch = list(images)
    if not batch:
        raise UsageError("no images were given; give at least one")
    return batch


def read(path: str) -> Image.Image:
    """The picture in a file, fully decoded; one of more than :data:`KEPT_PIXELS` is reduced by a whole factor.

    Of a file with several frames the first is read, with a UserWarning. Raises UsageError if there is no such file, or
    it is none that holds data (a folder, a pipe, a device), AbeRerankError if it is broken or too large.
    """
    check_picture(path)
    return decode(path, path)


def check_picture(path: str | PathLike[str]) -> None:
    """Raises UsageError for a path that is no file that holds data and may be read; it is not opened."""
    check_file(fspath(path), "image file")


def decode(file: str | BytesIO, name: str) -> Image.Image:
    """The picture in a file, as :func:`read` has it; ``name`` is what messages call it.

    Raises AbeRerankError if it is broken or too large.
    """
    try:
        with _warnings_that_name(name), Image.open(file) as image:
            return _decoded(image, name)
    except AbeRerankError:
        raise
    except UnidentifiedImageError:
        raise AbeRerankError(f"{name} is not an image that Pillow can read") from None
    except OSError as error:
        words = error.strerror or " ".join(str(error).split()) or type(error).__name__
        raise AbeRerankError(f"{name} cannot be read as an image: {words}") from error
    except Exception as error:  # Pillow's readers raise what their formats suggest
        words = " ".join(str(error).split()) or type(error).__name__
        raise AbeRerankError(f"{name} cannot be read as an image: {words}") from error


def pictures_in(folder: Path) -> tuple[list[Path], list[str]]:
    """The image files in a folder and those below it, in the order of their names, and what was left out with why.

    Links to folders are not followed, so that no loop is.
    """
    found: list[Path] = []
    left_out: list[str] = []
    walk = os.walk(folder, onerror=lambda e: left_out.append(f"{e.filename}: {e.strerror}"))
    for parent, folders, files in walk:
        left_out += [f"{Path(parent, name)}: a link to a folder" for name in folders if Path(parent, name).is_symlink()]
        for path in (Path(parent, name) for name in files if name.lower().endswith(IMAGE_SUFFIXES)):
            if os.path.isfile(path):
                found.append(path)
            else:
                left_out.append(f"{path}: {'a broken link' if path.is_symlink() else 'not a regular file'}")
    return sorted(found), sorted(left_out)


@contextmanager
def _warnings_that_name(name: str) -> Iterator[None]:
    """What is warned of in the block is warned of after it, with the file; where the block fails, its error is enough.

    Pillow's warnings of sizes are left out: such sizes are taken here.
    """
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield
    for warning in caught:
        if not issubclass(warning.category, Image.DecompressionBombWarning):
            words = " ".join(str(warning.message).split())
            warnings.warn(words if name in words else f"{name}: {words}", warning.category, stacklevel=5)


def _decoded(image: Image.Image, path: str) -> Image.Image:
    pixels = image.width * image.height
    if pixels > MOST_PIXELS:
        raise AbeRerankError(
            f"{path} has {pixels / 1e6:.0f} million pixels, more than the {MOST_PIXELS // 10**6} million that are "
            "read; scale it down first"
        )
    if getattr(image, "is_animated", False) and image.format != "MPO":  # MPO: what some cameras add to a photograph
        warnings.warn(f"{path} holds several frames; the first is read", UserWarning, stacklevel=3)
    factor = math.ceil(math.sqrt(pixels / KEPT_PIXELS))
    if factor > 1:
        image.draft(image.mode, (image.width // factor, image.height // factor))
    _load(image, path)
    ImageOps.exif_transpose(image, in_place=True)
    if image.mode in ("I", "F"):
        image = _from_grey(image, path)  # all of it, since its values tell their scale
    factor = math.ceil(math.sqrt(image.width * image.height / KEPT_PIXELS))
    return _reduced(image, factor, path) if factor > 1 else _rgb(image, path)


def _load(image: Image.Image, path: str) -> None:
    """Decode the pixels. Raises AbeRerankError for a TIFF of which libtiff says that it is damaged, decoded or not."""
    if image.format != "TIFF":
        image.load()
        return
    said: list[str] = []
    try:
        with _libtiff_errors_into(said):
            image.load()
    finally:
        if said:
            raise AbeRerankError(f"{path} is damaged: {said[0]}")


@contextmanager
def _libtiff_errors_into(said: list[str]) -> Iterator[None]:
    """Add the errors that libtiff writes to the process's stderr in the block to ``said``, instead of showing them.

    What others write there meanwhile comes afterwards. Where stderr is closed nothing is added.
    """
    with _ONE_AT_A_TIME, TemporaryFile() as kept:
        try:
            shown = os.dup(2)
        except OSError:
            yield
            return
        os.dup2(kept.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(shown, 2)
            os.close(shown)
            kept.seek(0)
            for line in kept:
                if _LIBTIFF_LINE.match(line):
                    said.append(line.decode(errors="replace").strip())
                else:
                    os.write(2, line)


def _reduced(image: Image.Image, factor: int, path: str) -> Image.Image:
    """RGB by a whole factor smaller, some rows at a time: on the way to RGB most modes take several copies."""
    small = Image.new("RGB", (math.ceil(image.width / factor), math.ceil(image.height / factor)))
    for top in range(0, small.height, 64):
        rows = image.crop((0, top * factor, image.width, min((top + 64) * factor, image.height)))
        small.paste(_rgb(rows, path).reduce(factor), (0, top))
    return small


def _rgb(image: Image.Image, name: str) -> Image.Image:
    if image.mode == "RGB":
        return image
    if image.mode == "F" or image.mode.startswith("I"):
        return _from_grey(image, name).convert("RGB")
    image = image.convert("LA") if image.mode == "La" else image
    try:
        if image.has_transparency_data:
            layer = image.convert("RGBA")
            return Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer).convert("RGB")
        return image.convert("RGB")
    except ValueError as error:
        raise UsageError(f"{name} has the mode {image.mode}, which does not become RGB: {error}") from None


def _from_grey(image: Image.Image, name: str) -> Image.Image:
    """Grey of 16 bits, 32 bits or floats as 8 bits. Raises UsageError for values that tell no scale."""
    values = np.asarray(image)
    low, high = (values.min(), values.max()) if values.size else (0, 0)
    if image.mode == "F":
        if not (np.isfinite(low) and np.isfinite(high) and low >= 0 and high <= 1):
            raise UsageError(f"{name} holds floats from {low:.3g} to {high:.3g}; scale them to [0, 1] first")
        white = 1.0
    else:
        if low < 0 or high > 65535:
            raise UsageError(f"{name} holds numbers from {low} to {high}; scale them to 0-65535 first")
        white = 65535.0 if high > 255 or image.mode.startswith("I;16") else 255.0
    grey = np.empty(values.shape, np.uint8)
    for top in range(0, len(values), 256):  # rows at a time, since floats take 8 times the memory
        grey[top : top + 256] = np.rint(values[top : top + 256].astype(np.float64) / white * 255)
    return Image.fromarray(grey)


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
    return _rgb(Image.fromarray(np.ascontiguousarray(array)), name)


def _is_tensor(image: object) -> TypeGuard[torch.Tensor]:
    """Whether it is a torch tensor, asked without importing torch for callers that have none."""
    torch_module = sys.modules.get("torch")
    return torch_module is not None and isinstance(image, torch_module.Tensor)
