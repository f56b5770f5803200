"""The run folders of :mod:`abe_rerank.runs.results`, read line by line: 100,000 results in constant memory.

A complete run is read from ``results.jsonl``; one that is going on, or was stopped, from the files under ``results/``,
where a last line that was cut off in writing is left out.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from abe_rerank.errors import AbeRerankError, UsageError
from abe_rerank.runs.evaluation_folder import read_record
from abe_rerank.runs.results import RunRecord

SCHEMA_VERSION = 1


@dataclass(frozen=True)
class RunFolder:
    """An evaluation run on disk: its record, and the files that hold its results."""

    path: Path
    record: RunRecord
    files: tuple[Path, ...]
    complete: bool

    def image_path(self, image: str) -> str:
        """Where an image of a result lies: drawn ones within the run folder, others where they were."""
        return image if self.record.text_to_image is None else str(self.path / image)


@dataclass(frozen=True)
class Line:
    """One result: its fields, not checked, and where they stand (file by its number, byte offset, line from 1)."""

    fields: Mapping[str, Any]
    file: int
    offset: int
    number: int


def open_run(path: Path) -> RunFolder:
    """The run in a folder. Raises UsageError if it is none, or has no results yet."""
    if not path.is_dir():
        raise UsageError(f"there is no run folder {path}; name a folder that abe-rerank evaluate has written")
    record = read_record(path)
    merged = path / "results.jsonl"
    if merged.is_file():
        return RunFolder(path, record, (merged,), complete=True)
    files = tuple(sorted(p for p in (path / "results").glob("*.jsonl") if p.is_file()))
    if not files:
        raise UsageError(f"the run {path} has no results yet; go on with it by abe-rerank evaluate")
    return RunFolder(path, record, files, complete=False)


def lines(run: RunFolder) -> Iterator[Line]:
    """The results of a run, one at a time. Raises AbeRerankError, naming file and line, for what cannot be read.

    In a run that is not complete the last line of a file is left out if it was cut off.
    """
    for k, path in enumerate(run.files):
        try:
            with path.open("rb") as stream:
                yield from _lines(stream, path, k, may_be_cut=not run.complete)
        except OSError as error:
            raise AbeRerankError(f"{path} cannot be read: {error.strerror or error}") from None


def result_at(run: RunFolder, file: int, offset: int) -> Mapping[str, Any]:
    """The fields of the result that :func:`lines` found there."""
    with run.files[file].open("rb") as stream:
        stream.seek(offset)
        fields: Mapping[str, Any] = json.loads(stream.readline())
        return fields


def damaged(path: Path, number: int, what: str) -> AbeRerankError:
    """The error for a line of results that cannot be used."""
    return AbeRerankError(f"{path}, line {number}: {what}; evaluate again into a new folder")


def _lines(stream: BinaryIO, path: Path, file: int, may_be_cut: bool) -> Iterator[Line]:
    offset = 0
    for number, raw in enumerate(stream, start=1):
        try:
            fields = _DECODER.decode(raw.decode("utf-8"))
        except (ValueError, RecursionError) as error:
            if may_be_cut and not raw.endswith(b"\n"):
                return
            raise damaged(path, number, f"not JSON ({error})") from None
        if not isinstance(fields, dict):
            raise damaged(path, number, "not an object")
        if fields.get("schema_version") != SCHEMA_VERSION:
            version = fields.get("schema_version")
            raise damaged(path, number, f"schema_version is {version!r}, and this version reads {SCHEMA_VERSION}")
        yield Line(fields, file, offset, number)
        offset += len(raw)


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no number of JSON")


_DECODER = json.JSONDecoder(parse_constant=_refuse_constant)
