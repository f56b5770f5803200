"""Tables on disk or in object stores, read row by row in bounded memory: Parquet, Lance, CSV, JSON lines, WebDataset.

A table is a file, or a folder of files of one kind. Its rows are numbered from 0 in the order of the files' names. A
row of a text file that cannot be read stays a row, with the reason; a file that cannot be opened at all is an error.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from tarfile import TarError

import pyarrow as pa
from pyarrow.fs import FileSelector, FileSystem, FileType

from abe_rerank.errors import AbeRerankError, UsageError, first_line
from abe_rerank.files import check_file, check_folder
from abe_rerank.integrations.daft import arrow_files, tar_files, text_files
from abe_rerank.integrations.daft.table_kinds import Cells, Extent, Kind, Wanted


@dataclass(frozen=True)
class Row:
    """A row by its number in its file; ``fault`` says why it could not be read, None where it could."""

    number: int
    cells: Cells
    fault: str | None = None


@dataclass(frozen=True)
class Part:
    """One file of a table: its rows are those from ``start`` on, ``rows`` of them."""

    path: str
    kind: str
    start: int
    extent: Extent

    @property
    def rows(self) -> int:
        """How many rows it has."""
        return self.extent.rows


@dataclass(frozen=True)
class Table:
    """A table: its files, its columns, and the folder that relative paths in it start from."""

    parts: tuple[Part, ...]
    schema: pa.Schema
    base: str

    @property
    def rows(self) -> int:
        """How many rows it has."""
        return sum(part.rows for part in self.parts)


KINDS: dict[str, Kind] = {
    ".parquet": arrow_files.Parquet(),
    ".lance": arrow_files.Lance(),
    ".csv": text_files.Csv(),
    ".tsv": text_files.Csv(),
    ".jsonl": text_files.JsonLines(),
    ".ndjson": text_files.JsonLines(),
    ".tar": tar_files.WebDataset(),
}
"""The kinds of tables by how their files' names end."""


def is_table(name: str) -> bool:
    """Whether a name is that of a table of some kind."""
    return _ending(name) in KINDS


def open_table(name: str) -> Table:
    """The table of that path or URL. Raises UsageError if it is none, AbeRerankError if a file cannot be read."""
    system, path = _system(name)
    files, base = _files(system, path, name)
    first = KINDS[_ending(files[0])]
    with reading(files[0]):
        schema = first.schema(system, files[0])
    parts: list[Part] = []
    start = 0
    for file in files:
        with reading(file):
            part = Part(file, _ending(file), start, KINDS[_ending(file)].extent(system, file))
        parts.append(part)
        start += part.rows
    return Table(tuple(parts), schema, base)


def rows_of(name: str, part: Part, wanted: Wanted) -> Iterator[Row]:
    """The wanted rows of a file, in order. Raises AbeRerankError if it cannot be read, or has changed since."""
    system, _ = _system(name)
    number = 0
    with reading(part.path):
        _check_size(system, part)
        for length, read in KINDS[part.kind].blocks(system, part.path, part.extent, wanted):
            if wanted(number, number + length):
                for k, (cells, fault) in enumerate(read(), start=number):
                    if wanted(k, k + 1):
                        yield Row(k, cells, fault)
            number += length
    if number != part.rows:
        raise AbeRerankError(
            f"{part.path} has {number} rows now, and had {part.rows} before; score it into a new folder"
        )


def _check_size(system: FileSystem, part: Part) -> None:
    size = system.get_file_info(part.path).size
    if part.extent.size not in (None, size):
        raise AbeRerankError(
            f"{part.path} has {size:,} bytes now, and had {part.extent.size:,} before; score it into a new folder"
        )


@contextmanager
def reading(file: str) -> Iterator[None]:
    """Errors of the libraries underneath become one line that names the file."""
    try:
        yield
    except AbeRerankError:
        raise
    except (OSError, ValueError, TarError, pa.ArrowException) as error:
        raise AbeRerankError(f"{file} cannot be read: {first_line(error)}") from None


def _system(name: str) -> tuple[FileSystem, str]:
    """PyArrow's file system of a path or URL, and the path in it."""
    try:
        system, path = FileSystem.from_uri(name if "://" in name else os.path.abspath(name))
    except (OSError, ValueError, pa.ArrowException) as error:
        raise UsageError(f"{name} cannot be opened: {first_line(error)}") from None
    return system, path


def _files(system: FileSystem, path: str, name: str) -> tuple[list[str], str]:
    """The files of a table, sorted, and the folder that its relative paths start from."""
    if "://" not in name:
        (check_folder if os.path.isdir(name) else check_file)(name, "table")
    try:
        info = system.get_file_info(path)
        if info.type is FileType.NotFound:
            raise UsageError(f"no such table: {name}")
        if info.type is FileType.File or _ending(path) == ".lance":
            files, base = [path], os.path.dirname(path)
        else:
            found = system.get_file_info(FileSelector(path))
            tables = sorted((entry for entry in found if is_table(entry.path)), key=lambda entry: entry.path)
            files, base = [entry.path for entry in tables], path
            if odd := [entry.path for entry in tables if entry.type is FileType.Unknown]:
                raise UsageError(f"{odd[0]} is a pipe or a device, not a table")
    except OSError as error:
        raise UsageError(f"{name} cannot be opened: {first_line(error)}") from None
    kinds = sorted({_ending(file) for file in files})
    known = ", ".join(KINDS)
    if not files or not is_table(files[0]):
        raise UsageError(f"{name} is no table: its name, or those of the files in it, must end in {known}")
    if len(kinds) > 1:
        raise UsageError(f"{name} holds files of several kinds ({', '.join(kinds)}); name one of them")
    if "://" in name:
        base = name if base == path else name.rsplit("/", 1)[0]
    return files, base


def _ending(name: str) -> str:
    return os.path.splitext(name.rstrip("/"))[1].lower()
