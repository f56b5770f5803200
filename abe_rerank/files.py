"""Files that are whole or not there, whatever moment the process is killed at."""

from __future__ import annotations

import os
from collections.abc import Iterable
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from abe_rerank.errors import AbeRerankError

if TYPE_CHECKING:
    from PIL.Image import Image


def write_whole(path: Path, content: bytes | Iterable[bytes]) -> None:
    """Write a file under the name of :func:`unfinished`, sync it, then rename it; parts of an iterable follow each
    other. Raises AbeRerankError if it cannot be written.
    """
    part = unfinished(path)
    try:
        part.parent.mkdir(parents=True, exist_ok=True)
        with part.open("wb") as file:
            file.writelines([content] if isinstance(content, bytes) else content)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except OSError as error:
        raise AbeRerankError(f"cannot write {path}: {error.strerror or error}") from None


def write_png(path: Path, image: Image) -> None:
    """Write an image as :func:`write_whole` does."""
    file = BytesIO()
    image.save(file, format="PNG")
    write_whole(path, file.getvalue())


def unfinished(path: Path) -> Path:
    """The name that a file has until it is whole; always the same, so that a kill leaves at most one behind."""
    return path.with_name(f".{path.name}.unfinished")


def data_folder(name: Literal["prompts", "pipelines"]) -> Path:
    """The folder of the prompt suites or of the community pipelines: in the package where it is installed, beside it in
    a checkout. Raises AbeRerankError if it is not there.
    """
    package = Path(__file__).parent
    for place in (package / name, package.parent / name):
        if place.is_dir():
            return place
    raise AbeRerankError(f"the folder {name!r} is missing beside {package}; install the package again")
