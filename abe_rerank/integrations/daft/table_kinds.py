"""What a kind of table file is to the one who reads its rows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
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

APART = 1024
"""How many rows lie between two marks, where a file has few enough of them."""

MOST_MARKS = 4096
"""The most marks of a file: of a longer one they lie further apart."""


@dataclass(frozen=True)
class Mark:
    """Where a row begins: its number, its place in the file, and how many lines stand before it."""

    row: int
    place: int
    line: int = 0


@dataclass(frozen=True)
class Extent:
    """How many rows a file has, and, where nothing in it says so, where some of them begin, and its bytes, by which
    it is known again."""

    rows: int
    marks: tuple[Mark, ...] = ()
    size: int | None = None


class Kind(Protocol):
    """How files of one kind are read; ``system`` and ``path`` are PyArrow's."""

    def schema(self, system: FileSystem, path: str) -> pa.Schema:
        """The columns of a file."""

    def extent(self, system: FileSystem, path: str) -> Extent:
        """How many rows a file has, and where they begin."""

    def blocks(self, system: FileSystem, path: str, extent: Extent, wanted: Wanted) -> Blocks:
        """The rows of a file, a block at a time; what is not wanted may be left unread, and counts all the same."""


def extent_of(rows: Iterable[object], here: Callable[[int], Mark], size: int) -> Extent:
    """The extent of a file of ``size`` bytes that is read by ``rows`` once; ``here`` marks the row that comes next."""
    marks, apart, number = [here(0)], APART, 0
    for number, _ in enumerate(rows, start=1):
        if number % apart == 0:
            marks.append(here(number))
            if len(marks) > MOST_MARKS:
                marks, apart = marks[::2], 2 * apart
    return Extent(number, tuple(marks), size)


def blocks_of(pieces: Iterable[tuple[int, Callable[[], Blocks]]], wanted: Wanted) -> Blocks:
    """The blocks of pieces of known lengths; a piece without wanted rows counts as one block, and is not read."""
    start = 0
    for rows, read in pieces:
        if wanted(start, start + rows):
            yield from read()
        else:
            yield rows, list
        start += rows


def pieces_of(extent: Extent, read: Callable[[Mark, int], Blocks]) -> Iterator[tuple[int, Callable[[], Blocks]]]:
    """The pieces between the marks of a file; ``read`` reads so many rows from a mark on."""
    ends = (*extent.marks, Mark(extent.rows, 0))
    for mark, after in pairwise(ends):
        rows = after.row - mark.row
        yield rows, partial(read, mark, rows)
