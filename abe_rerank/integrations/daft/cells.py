"""A cell of an image column -> a picture, or why there is none.

A cell holds a path, a URL, the bytes of an image file, a record of ``bytes`` and ``path`` as the datasets library
writes it, or pixels [height, width, channels]. URLs in a table are opened only where that was asked for: whoever made
the table would else have this machine ask whatever it can reach.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.request import urlopen

import numpy as np
from PIL import Image

from abe_rerank.errors import AbeRerankError, first_line
from abe_rerank.images import to_pil
from abe_rerank.types import NoPicture

if TYPE_CHECKING:
    from abe_rerank.images import ImageLike

AT_ONCE = 16
"""How many URLs are opened at the same time."""

MOST_BYTES = 256 * 2**20
"""The largest file that is taken from a URL."""

SECONDS = 30
"""How long a server may be silent."""

_URL = re.compile(r"[a-z][a-z0-9+.-]+://", re.IGNORECASE)


def pictures_of(cells: Sequence[Any], base: str, urls: bool = False) -> Iterator[ImageLike | NoPicture]:
    """The pictures of cells in their order, decoded as they are asked for, so that few are held; paths are relative to
    the folder ``base``, and are left for the scorer to read. Cells that are URLs are opened with ``urls`` alone, some
    ahead."""
    if not any(_is_url(cell) for cell in (base, *cells)):
        yield from (picture_of(cell, base) for cell in cells)
        return
    with ThreadPoolExecutor(AT_ONCE) as pool:
        for start in range(0, len(cells), AT_ONCE):
            yield from pool.map(lambda cell: picture_of(cell, base, urls), cells[start : start + AT_ONCE])


def picture_of(cell: Any, base: str, urls: bool = False) -> ImageLike | NoPicture:
    """The picture of one cell: its path, or decoded."""
    try:
        if isinstance(cell, dict):
            cell = cell.get("bytes") or cell.get("path")
        if cell is None or (isinstance(cell, (str, bytes)) and not cell):
            return NoPicture("no image: the cell is empty")
        if isinstance(cell, str):
            if _is_url(cell) and not urls:
                return NoPicture("a URL, and those in a table are opened only with --urls (urls=True)")
            place = f"{base}/{cell}" if _is_url(base) and not _is_url(cell) else cell
            return to_pil(downloaded(place), place) if _is_url(place) else str(Path(base, cell))
        if isinstance(cell, (bytes, np.ndarray, Image.Image)):
            return to_pil(cell, "the image")
        return NoPicture(f"the image column holds a {type(cell).__name__}, not a path, a URL or an image")
    except AbeRerankError as error:
        return NoPicture(first_line(error))


def downloaded(url: str) -> bytes:
    """The file at a URL: http and https, and the object stores that PyArrow knows (s3, gs, abfs).

    Raises AbeRerankError if it cannot be had, or is larger than :data:`MOST_BYTES`.
    """
    try:
        if url.lower().startswith(("http://", "https://")):
            with urlopen(url, timeout=SECONDS) as answer:  # the scheme was looked at
                content = answer.read(MOST_BYTES + 1)
        else:
            content = _from_store(url)
    except Exception as error:  # every store has errors of its own
        raise AbeRerankError(f"{url} cannot be opened: {first_line(error)}") from None
    if len(content) > MOST_BYTES:
        raise AbeRerankError(f"{url} is larger than {MOST_BYTES // 2**20} MiB")
    return bytes(content)


def _from_store(url: str) -> bytes:
    from pyarrow.fs import FileSystem

    system, path = FileSystem.from_uri(url)
    with system.open_input_stream(path) as stream:
        return bytes(stream.read(MOST_BYTES + 1))


def _is_url(cell: Any) -> bool:
    if isinstance(cell, dict):
        cell = None if cell.get("bytes") else cell.get("path")
    return isinstance(cell, str) and _URL.match(cell) is not None
