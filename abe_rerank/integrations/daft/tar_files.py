"""WebDataset: tar files whose members of one name, up to the first dot, make a row; their endings are its columns."""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from functools import partial
from itertools import groupby, islice
from typing import TYPE_CHECKING

import pyarrow as pa

from abe_rerank.images import IMAGE_SUFFIXES
from abe_rerank.integrations.daft.table_kinds import Extent, Mark, blocks_of, extent_of, pieces_of

if TYPE_CHECKING:
    from pyarrow import NativeFile
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
        with system.open_input_file(path) as stream:
            rows = islice(_Rows(stream), LOOKED_AT)
            endings = [_column(member.name) for _, members in rows for member in members]
        others = sorted(set(endings) - {IMAGE})
        return pa.schema([(KEY, pa.string()), (IMAGE, pa.binary()), *((name, pa.string()) for name in others)])

    def extent(self, system: FileSystem, path: str) -> Extent:
        """How many rows a file has, and where they begin: headers are read, members passed over."""
        with system.open_input_file(path) as stream:
            rows = _Rows(stream)
            return extent_of(rows, rows.here, stream.size())

    def blocks(self, system: FileSystem, path: str, extent: Extent, wanted: Wanted) -> Blocks:
        """The rows, one by one; pieces between marks without wanted rows are left out, members of other rows passed
        over."""
        with system.open_input_file(path) as stream:

            def piece(mark: Mark, number: int) -> Blocks:
                stream.seek(mark.place)
                rows = _Rows(stream)
                for key, members in islice(rows, number):
                    yield 1, partial(_cells, rows.tar, key, members)

            yield from blocks_of(pieces_of(extent, piece), wanted)


class _Rows:
    """The rows of a tar file from where its stream stands: neighbours of one name. Links, folders and devices are no
    members."""

    def __init__(self, stream: NativeFile) -> None:
        self._latest = stream.tell()
        self.tar = tarfile.TarFile(fileobj=stream)  # begins where the stream stands

    def __iter__(self) -> Iterator[tuple[str, list[tarfile.TarInfo]]]:
        for key, members in groupby(self._members(), key=lambda member: _parted(member.name)[0]):
            yield key, list(members)

    def here(self, row: int) -> Mark:
        """The mark of the row that comes next, whose first member has been looked at."""
        return Mark(row, self._latest)

    def _members(self) -> Iterator[tarfile.TarInfo]:
        while (member := self.tar.next()) is not None:
            if member.isreg():
                self._latest = member.offset
                yield member
            self.tar.__dict__["members"].clear()  # else every header of the file would stay in memory


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
