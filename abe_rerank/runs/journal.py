"""The lines of a run: appended one by one, found again after a kill, merged into one file at the end."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from pydantic import ValidationError

from abe_rerank.errors import AbeRerankError, UsageError
from abe_rerank.evaluation.plan import Key
from abe_rerank.files import write_whole
from abe_rerank.runs.results import Result

try:
    import fcntl
except ImportError:  # not on Windows, where two runs into one folder are noticed by their duplicates only
    fcntl = None  # type: ignore[assignment]


@dataclass(frozen=True)
class Place:
    """Where a line stands: its number from 1, and its bytes [start, end) with the newline."""

    file: Path
    number: int
    start: int
    end: int


def results_file(folder: Path, rank: int) -> Path:
    """The file of a process."""
    return folder / "results" / f"rank-{rank:05d}.jsonl"


def collect(folder: Path, expected: Collection[Key]) -> dict[Key, Place]:
    """The places of all results in ``folder/results``; a damaged last line of a file is cut off.

    Raises UsageError if another process is writing there, AbeRerankError, naming the line, for one that is damaged,
    double, or of another run.
    """
    found: dict[Key, Place] = {}
    known = set(expected)
    for file in sorted((folder / "results").glob("*.jsonl")):
        for key, place in _places(file):
            what = f"{file}, line {place.number}: prompt {key[0]}, image {key[1]}"
            if key not in known:
                raise AbeRerankError(f"{what} is not of this run; {_WAY_OUT}")
            if key in found:
                raise AbeRerankError(f"{what} is in line {found[key].number} of {found[key].file} too; {_WAY_OUT}")
            found[key] = place
    return found


class Journal:
    """A file of results that grows line by line; made by :func:`writing`."""

    def __init__(self, stream: BinaryIO, file: Path) -> None:
        self._stream, self._file = stream, file

    def add(self, result: Result) -> None:
        """Append a result; when this returns, the line is on the disk. Raises AbeRerankError if that fails."""
        with _naming(self._file):
            rest = result.line().encode() + b"\n"
            while rest:
                rest = rest[self._stream.write(rest) :]
            os.fsync(self._stream.fileno())


@contextmanager
def writing(file: Path) -> Iterator[Journal]:
    """Append to a file of results. Raises UsageError if another process does, AbeRerankError if it cannot be opened."""
    with _naming(file):
        file.parent.mkdir(parents=True, exist_ok=True)
        stream = file.open("ab", buffering=0)  # so that closing writes nothing
    with stream:
        _lock(stream, file)
        yield Journal(stream, file)


def merge(folder: Path, expected: Sequence[Key]) -> Path:
    """Write ``results.jsonl`` from the files of all processes, in the order of ``expected``.

    Raises AbeRerankError if one is missing, and as :func:`collect` does.
    """
    places = collect(folder, expected)
    missing = [key for key in expected if key not in places]
    if missing:
        raise AbeRerankError(
            f"{len(missing)} of {len(expected)} results are missing in {folder}, the first of prompt {missing[0][0]}, "
            f"image {missing[0][1]}; start the same command again to have them done"
        )
    merged = folder / "results.jsonl"
    write_whole(merged, _bytes(places, expected))
    return merged


def read_results(file: Path) -> Iterator[Result]:
    """The results in a merged file, one at a time. Raises AbeRerankError, naming the line, for a damaged one."""
    with file.open("rb") as stream:
        for number, line in enumerate(stream, start=1):
            yield _parsed(line, file, number, "delete the file and start the run again to have it merged again")


_WAY_OUT = "delete the line and start again to have it redone"


def _places(file: Path) -> Iterator[tuple[Key, Place]]:
    """Key and place of each line of a file; the last is cut off if it was not written to its end."""
    with _naming(file), file.open("r+b") as stream:
        _lock(stream, file)
        yield from _lines(stream, file)


@contextmanager
def _naming(file: Path) -> Iterator[None]:
    """Turns an error of the disk into one that names the file."""
    try:
        yield
    except OSError as error:
        raise AbeRerankError(f"cannot write {file}: {error.strerror or error}; see to it and start again") from None


def _lines(stream: BinaryIO, file: Path) -> Iterator[tuple[Key, Place]]:
    size = os.fstat(stream.fileno()).st_size
    start = number = 0
    while line := stream.readline():
        number += 1
        end = start + len(line)
        try:
            if not line.endswith(b"\n"):
                raise AbeRerankError("the newline is missing")
            key = _parsed(line, file, number).key
        except AbeRerankError:
            if end < size:
                raise
            os.truncate(stream.fileno(), start)
            return
        yield key, Place(file, number, start, end)
        start = end


def _parsed(line: bytes, file: Path, number: int, way_out: str = _WAY_OUT) -> Result:
    try:
        return Result.model_validate_json(line)
    except ValidationError as error:
        what = error.errors(include_url=False, include_input=False, include_context=False)[0]
        field = ".".join(map(str, what["loc"]))
        raise AbeRerankError(
            f"{file}, line {number}: damaged ({f'{field}: ' if field else ''}{what['msg']}); {way_out}"
        ) from None


def _bytes(places: Mapping[Key, Place], order: Sequence[Key]) -> Iterator[bytes]:
    files = {file: file.open("rb") for file in {place.file for place in places.values()}}
    try:
        for key in order:
            place = places[key]
            files[place.file].seek(place.start)
            yield files[place.file].read(place.end - place.start)
    finally:
        for stream in files.values():
            stream.close()


def _lock(stream: BinaryIO, file: Path) -> None:
    """Hold the file until the stream is closed or the process ends. Raises UsageError if another process holds it."""
    if fcntl is None:
        return
    try:
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise UsageError(f"another process is writing {file}; wait for it or stop it first") from None
