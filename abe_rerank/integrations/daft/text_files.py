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
from abe_rerank.suites.rows import json_value

if TYPE_CHECKING:
    from pyarrow.fs import FileSystem

    from abe_rerank.integrations.daft.table_kinds import Blocks, Cells, Found, Wanted

LOOKED_AT = 1000
"""How many lines of JSON are looked at for the names of their columns."""

LONGEST = 10_000_000
"""The longest line of JSON that is read, in characters."""

DELIMITERS = ",\t;|"


class _Text:
    """What both have in common; a kind says how lines become rows."""

    def schema(self, system: FileSystem, path: str) -> pa.Schema:
        """The columns of a file, all text."""
        return pa.schema([(name, pa.string()) for name in self.columns(system, path)])

    def count(self, system: FileSystem, path: str) -> int:
        """How many rows a file has."""
        return sum(1 for _ in self.rows(system, path))

    def blocks(self, system: FileSystem, path: str, wanted: Wanted) -> Blocks:
        """The rows of a file, one by one: text is read as fast as it is skipped."""
        for row in self.rows(system, path):
            yield 1, _given(row)

    def columns(self, system: FileSystem, path: str) -> list[str]:
        """The names of the columns."""
        raise NotImplementedError

    def rows(self, system: FileSystem, path: str) -> Iterator[Found]:
        """The rows."""
        raise NotImplementedError


def _given(row: Found) -> Callable[[], list[Found]]:
    return lambda: [row]


class Csv(_Text):
    """Cells parted by commas, tabs, semicolons or bars, whichever parts the header most often."""

    def columns(self, system: FileSystem, path: str) -> list[str]:
        """The header. Raises UsageError if there is none, or it names a column twice."""
        with _opened(system, path) as text:
            names = next(_cells(text), [])
        twice = [name for name in names if names.count(name) > 1]
        if not any(names) or twice:
            raise UsageError(f"{path} has no header" if not twice else f"{path} has the column {twice[0]!r} twice")
        return names

    def rows(self, system: FileSystem, path: str) -> Iterator[Found]:
        """The rows after the header that are not blank; an empty cell is null."""
        names = self.columns(system, path)
        with _opened(system, path) as text:
            lines = _cells(text)
            next(lines)
            for number, cells in enumerate(lines):
                if not cells:
                    continue
                found = dict(zip(names, (cell or None for cell in cells), strict=False))
                whole = {name: found.get(name) for name in names}
                fault = None if len(cells) == len(names) else f"{len(cells)} cells for {len(names)} columns"
                yield whole, f"row {number + 1} has {fault}" if fault else _not_text(whole)


class JsonLines(_Text):
    """An object on each line; other values than texts are kept as JSON."""

    def columns(self, system: FileSystem, path: str) -> list[str]:
        """The keys of the first lines, in the order in which they come."""
        names: dict[str, None] = {}
        for _, record in islice(self._records(system, path), LOOKED_AT):
            names.update(dict.fromkeys(record))
        return list(names)

    def rows(self, system: FileSystem, path: str) -> Iterator[Found]:
        """The lines that are not blank."""
        for fault, record in self._records(system, path):
            cells = {key: _text(value) for key, value in record.items()}
            yield cells, fault or _not_text(cells)

    def _records(self, system: FileSystem, path: str) -> Iterator[tuple[str | None, dict[str, Any]]]:
        with _opened(system, path) as text:
            number = 0
            while line := text.readline(LONGEST):
                number += 1
                where = f"line {number}"
                if len(line) == LONGEST:
                    raise UsageError(
                        f"{path}, {where}: longer than {LONGEST:,} characters; is it one JSON object a line?"
                    )
                if line.strip():
                    yield _record(line, where)


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


def _opened(system: FileSystem, path: str) -> io.TextIOWrapper:
    stream = io.BufferedReader(system.open_input_file(path), 2**16)  # PyArrow's files have the methods of a raw stream
    return io.TextIOWrapper(stream, encoding="utf-8-sig", errors="surrogateescape", newline="")


def _cells(text: io.TextIOWrapper) -> Iterator[list[str]]:
    """The cells of each row. A quote that is not closed, or a cell that is too long, is an error of the file."""
    header = text.readline(LONGEST)
    text.seek(0)
    delimiter = max(DELIMITERS, key=header.count)
    reader = csv.reader(text, delimiter=delimiter, strict=True, skipinitialspace=delimiter != "\t")
    while True:
        try:
            yield next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise UsageError(f"line {reader.line_num} of the table is no CSV: {error}") from None
