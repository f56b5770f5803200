"""Tables as text: CSV and JSON lines. Their columns are text; a line that cannot be read is a row with a fault."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterator
from itertools import islice
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from abe_rerank.errors import UsageError
from abe_rerank.integrations.daft.table_kinds import Extent, Mark, blocks_of, extent_of, pieces_of
from abe_rerank.suites.rows import json_value

if TYPE_CHECKING:
    from pyarrow.fs import FileSystem

    from abe_rerank.integrations.daft.table_kinds import Blocks, Cells, Found, Wanted

LOOKED_AT = 1000
"""How many lines of JSON are looked at for the names of their columns."""

LONGEST = 10_000_000
"""The longest line that is read, in characters."""

DELIMITERS = ",\t;|"


class _Lines:
    """The lines of a text in turn; ``number`` have been read. Raises UsageError for one that is too long."""

    def __init__(self, system: FileSystem, path: str) -> None:
        stream = system.open_input_file(path)  # PyArrow's files have the methods of a raw stream
        self.path, self.number, self.size = path, 0, stream.size()
        buffered = io.BufferedReader(stream, 2**16)
        self.text = io.TextIOWrapper(buffered, encoding="utf-8-sig", errors="surrogateescape", newline="")

    def __enter__(self) -> _Lines:
        return self

    def __exit__(self, *error: object) -> None:
        self.text.close()

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> str:
        line = self.text.readline(LONGEST)
        if not line:
            raise StopIteration
        self.number += 1
        if len(line) == LONGEST:
            raise UsageError(f"{self.path}, line {self.number}: longer than {LONGEST:,} characters; is it a table?")
        return line

    def here(self, row: int) -> Mark:
        """The mark of the row that comes next."""
        return Mark(row, self.text.tell(), self.number)

    def go_to(self, mark: Mark) -> None:
        """The line at a mark comes next."""
        self.text.seek(mark.place)
        self.number = mark.line


class _Text:
    """What both have in common; a kind says how lines become rows."""

    def schema(self, system: FileSystem, path: str) -> pa.Schema:
        """The columns of a file, all text."""
        with _Lines(system, path) as lines:
            return pa.schema([(name, pa.string()) for name in self.columns(lines)])

    def extent(self, system: FileSystem, path: str) -> Extent:
        """How many rows a file has, and where they begin."""
        with _Lines(system, path) as lines:
            return extent_of(self.reader(lines)(), lines.here, lines.size)

    def blocks(self, system: FileSystem, path: str, extent: Extent, wanted: Wanted) -> Blocks:
        """The rows of a file, one by one; of the pieces between marks only those with wanted rows are read."""
        with _Lines(system, path) as lines:
            read = self.reader(lines)

            def piece(mark: Mark, rows: int) -> Blocks:
                lines.go_to(mark)
                for row in islice(read(), rows):
                    yield 1, _given(row)

            yield from blocks_of(pieces_of(extent, piece), wanted)

    def columns(self, lines: _Lines) -> list[str]:
        """The names of the columns."""
        raise NotImplementedError

    def reader(self, lines: _Lines) -> Callable[[], Iterator[Found]]:
        """What reads the rows of the lines that come next, once what stands before the first row has been read."""
        raise NotImplementedError


def _given(row: Found) -> Callable[[], list[Found]]:
    return lambda: [row]


class Csv(_Text):
    """Cells parted by commas, tabs, semicolons or bars, whichever parts the header most often."""

    def columns(self, lines: _Lines) -> list[str]:
        """The header. Raises UsageError if there is none, or it names a column twice."""
        return self._header(lines)[0]

    def reader(self, lines: _Lines) -> Callable[[], Iterator[Found]]:
        """The rows after the header that are not blank; an empty cell is null."""
        names, delimiter = self._header(lines)
        return lambda: _csv_rows(lines, names, delimiter)

    def _header(self, lines: _Lines) -> tuple[list[str], str]:
        """The columns, and what parts them."""
        first = lines.here(0)
        line = next(lines, "")
        lines.go_to(first)
        delimiter = max(DELIMITERS, key=line.count)
        names = next(_cells(lines, delimiter), [])
        twice = [name for name in names if names.count(name) > 1]
        if not any(names) or twice:
            raise UsageError(
                f"{lines.path} has no header" if not twice else f"{lines.path} has the column {twice[0]!r} twice"
            )
        return names, delimiter


class JsonLines(_Text):
    """An object on each line; other values than texts are kept as JSON."""

    def columns(self, lines: _Lines) -> list[str]:
        """The keys of the first lines, in the order in which they come."""
        names: dict[str, None] = {}
        for _, record in islice(_records(lines), LOOKED_AT):
            names.update(dict.fromkeys(record))
        return list(names)

    def reader(self, lines: _Lines) -> Callable[[], Iterator[Found]]:
        """The lines that are not blank."""
        return lambda: _json_rows(lines)


def _csv_rows(lines: _Lines, names: list[str], delimiter: str) -> Iterator[Found]:
    for cells in _cells(lines, delimiter):
        if not cells:
            continue
        found = dict(zip(names, (cell or None for cell in cells), strict=False))
        whole = {name: found.get(name) for name in names}
        fault = None if len(cells) == len(names) else f"{len(cells)} cells for {len(names)} columns"
        yield whole, f"line {lines.number} has {fault}" if fault else _not_text(whole)


def _cells(lines: _Lines, delimiter: str) -> Iterator[list[str]]:
    """The cells of each row. A quote that is not closed, or a cell that is too long, is an error of the file."""
    reader = csv.reader(lines, delimiter=delimiter, strict=True, skipinitialspace=delimiter != "\t")
    try:
        yield from reader
    except csv.Error as error:
        raise UsageError(f"line {lines.number} of the table is no CSV: {error}") from None


def _json_rows(lines: _Lines) -> Iterator[Found]:
    for fault, record in _records(lines):
        cells = {key: _text(value) for key, value in record.items()}
        yield cells, fault or _not_text(cells)


def _records(lines: _Lines) -> Iterator[tuple[str | None, dict[str, Any]]]:
    for line in lines:
        if line.strip():
            yield _record(line, f"line {lines.number}")


def _record(line: str, where: str) -> tuple[str | None, dict[str, Any]]:
    try:
        value = json_value(line, where)
    except UsageError as error:
        return str(error), {}
    return (None, value) if isinstance(value, dict) else (f"{where}: not an object", {})


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) or value is None else json.dumps(value, ensure_ascii=False)


def _not_text(cells: Cells) -> str | None:
    """The fault of a row with bytes that are no UTF-8."""
    wrong = [name for name, cell in cells.items() if cell is not None and not _is_utf8(cell)]
    return f"the column {wrong[0]!r} holds bytes that are no UTF-8 text" if wrong else None


def _is_utf8(cell: str) -> bool:
    try:
        cell.encode()
    except UnicodeEncodeError:
        return False
    return True
