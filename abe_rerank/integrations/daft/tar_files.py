"""WebDataset: tar files whose members of one name, up to the first dot, make a row; their endings are its columns."""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from functools import partial
from itertools import groupby, islice
from typing import TYPE_CHECKING

import pyarrow as pa

from abe_rerank.images import IMAGE_SUFFIXES

if TYPE_CHECKING:
    from pyarrow.fs import FileSystem

    from abe_rerank.integrations.daft.table_kinds import Blocks, Found, Wanted

KEY = "__key__"
IMAGE = "image"
"""The column of a row's picture, whatever its ending."""

LARGEST = 256 * 2**20
"""The largest members of a row that are read, in bytes together."""

LOOKED_AT = 100


class WebDataset:
    """Columns are ``__key__``, ``image`` (the member that is an image file) and the endings of all others, as text."""

    def schema(self, system: FileSystem, path: str) -> pa.Schema:
        """The columns of the first rows."""
        with _opened(system, path) as tar:
            endings = [_column(member.name) for _, members in islice(_rows(tar), LOOKED_AT) for member in members]
        others = sorted(set(endings) - {IMAGE})
        return pa.schema([(KEY, pa.string()), (IMAGE, pa.binary()), *((name, pa.string()) for name in others)])

    def count(self, system: FileSystem, path: str) -> int:
        """How many rows a file has."""
        with _opened(system, path) as tar:
            return sum(1 for _ in _rows(tar))

    def blocks(self, system: FileSystem, path: str, wanted: Wanted) -> Blocks:
        """The rows, one by one: headers are read, and members that are not asked for are passed over."""
        with _opened(system, path) as tar:
            for key, members in _rows(tar):
                yield 1, partial(_cells, tar, key, members)


def _opened(system: FileSystem, path: str) -> tarfile.TarFile:
    return tarfile.open(fileobj=system.open_input_file(path), mode="r:")


def _rows(tar: tarfile.TarFile) -> Iterator[tuple[str, list[tarfile.TarInfo]]]:
    """Neighbours of one name; links, folders and devices are no members."""
    files = (member for member in _members(tar) if member.isreg())
    for key, members in groupby(files, key=lambda member: _parted(member.name)[0]):
        yield key, list(members)


def _members(tar: tarfile.TarFile) -> Iterator[tarfile.TarInfo]:
    while (member := tar.next()) is not None:
        yield member
        tar.__dict__["members"].clear()  # else every header of the file would stay in memory


def _parted(name: str) -> tuple[str, str]:
    folder, _, file = name.rpartition("/")
    stem, _, ending = file.partition(".")
    return (f"{folder}/{stem}" if folder else stem), ending.lower()


def _column(name: str) -> str:
    ending = _parted(name)[1]
    return IMAGE if f".{ending}" in IMAGE_SUFFIXES else ending


def _cells(tar: tarfile.TarFile, key: str, members: list[tarfile.TarInfo]) -> list[Found]:
    cells: dict[str, object] = {KEY: key}
    fault, room = None, LARGEST
    for member in members:
        column = _column(member.name)
        if member.size > room:
            fault = f"{member.name} is larger than {LARGEST // 2**20} MiB, alone or with the row's others"
            continue
        room -= member.size
        file = tar.extractfile(member)
        content = file.read() if file is not None else b""
        cells[column] = content if column == IMAGE else content.decode("utf-8", errors="replace").strip()
    return [(cells, fault)]
