"""What a kind of table file is to the one who reads its rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import pyarrow as pa
    from pyarrow.fs import FileSystem

Cells = Mapping[str, Any]
"""The cells of a row by their columns."""

Found = tuple[Cells, str | None]
"""The cells of a row, and why it could not be read, None where it could."""

Blocks = Iterator[tuple[int, Callable[[], list[Found]]]]
"""How many rows follow, and what reads them: called only where they are wanted."""

Wanted = Callable[[int, int], bool]
"""Whether some row of those from the first number on, before the second, is wanted; numbers are those in the file."""


ENDINGS = (".parquet", ".lance", ".csv", ".tsv", ".jsonl", ".ndjson", ".tar")
"""How the names of tables end, in lower case, for those who must not import PyArrow."""


class Kind(Protocol):
    """How files of one kind are read; ``system`` and ``path`` are PyArrow's."""

    def schema(self, system: FileSystem, path: str) -> pa.Schema:
        """The columns of a file."""

    def count(self, system: FileSystem, path: str) -> int:
        """How many rows a file has."""

    def blocks(self, system: FileSystem, path: str, wanted: Wanted) -> Blocks:
        """The rows of a file, a block at a time; what is not wanted may be left unread, and counts all the same."""
