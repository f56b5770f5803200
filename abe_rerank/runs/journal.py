"""The lines of an evaluation run: opened or continued, appended one by one, merged into one file at the end."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from pydantic import JsonValue

from abe_rerank.errors import AbeRerankError, UsageError
from abe_rerank.files import unfinished, write_whole
from abe_rerank.runs.evaluated import Key, Result, RunRecord
from abe_rerank.runs.folders import check_writable, held
from abe_rerank.runs.reading import damaged, read_lines, read_record, scan, way_out


@dataclass(frozen=True)
class Place:
    """Where the line of an image's result stands: its number from 1, and its bytes [start, end) with the newline.

    ``pixels`` is the hash of the image that was scored, None where there was none.
    """

    file: Path
    number: int
    start: int
    end: int
    image: str | None
    pixels: str | None


def results_file(folder: Path, rank: int) -> Path:
    """The file of a process."""
    return folder / "results" / f"rank-{rank:05d}.jsonl"


def lock_of(file: Path) -> Path:
    """The lock that is held while a file of results is written."""
    return file.with_name(f".{file.name}.lock")


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
                raise AbeRerankError(f"{what} is not of this run; {way_out(folder)}")
            if key in found:
                there = f"line {found[key].number} of {found[key].file}"
                raise AbeRerankError(f"{what} is in {there} too; {way_out(folder)}")
            found[key] = place
    return found


class Journal:
    """A file of results that grows line by line; made by :func:`writing`."""

    def __init__(self, stream: BinaryIO, file: Path) -> None:
        self._stream, self._file = stream, file

    def add(self, result: Result) -> None:
        """Append a result; when this returns, the line is on the disk. Raises AbeRerankError if that fails."""
        self.add_line(result.line().encode() + b"\n")

    def add_line(self, line: bytes) -> None:
        """Append a line with its newline, as :meth:`add` does."""
        with _naming(self._file):
            rest = line
            while rest:
                rest = rest[self._stream.write(rest) :]
            os.fsync(self._stream.fileno())


@contextmanager
def writing(file: Path) -> Iterator[Journal]:
    """Append to a file of results. Raises UsageError if another process does, AbeRerankError if it cannot be opened."""
    with _naming(file):
        file.parent.mkdir(parents=True, exist_ok=True)
    with held(lock_of(file), file):
        with _naming(file):
            stream = file.open("ab", buffering=0)  # so that closing writes nothing
        with stream:
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


def merged_places(folder: Path) -> tuple[dict[Key, Place], bool]:
    """The places of the results in ``results.jsonl``, and whether every line of it is one, each once."""
    file = folder / "results.jsonl"
    found: dict[Key, Place] = {}
    whole = True
    for line in read_lines(file):
        if line.result is None or line.result.key in found:
            whole = False
        else:
            found[line.result.key] = _place(file, line.number, line.start, line.end, line.result)
    return found, whole


def reopen(folder: Path, keep: Iterable[Place]) -> None:
    """Make a complete run one that is going on: lines that stand in ``results.jsonl`` alone go back to ``results/``."""
    with writing(results_file(folder, 0)) as journal:
        for place in keep:
            with place.file.open("rb") as stream:
                stream.seek(place.start)
                journal.add_line(stream.read(place.end - place.start))
    (folder / "results.jsonl").unlink(missing_ok=True)


def drop(lines: Iterable[tuple[Path, int]]) -> None:
    """Take lines, by their numbers, out of files. Raises UsageError if another process is writing one."""
    by_file: dict[Path, set[int]] = {}
    for file, number in lines:
        by_file.setdefault(file, set()).add(number)
    for file, numbers in by_file.items():
        with held(lock_of(file), file):
            write_whole(file, _without(file, numbers))


def _place(file: Path, number: int, start: int, end: int, result: Result) -> Place:
    return Place(file, number, start, end, result.image, result.pixels_sha256)


def _without(file: Path, numbers: Collection[int]) -> Iterator[bytes]:
    with file.open("rb") as stream:
        yield from (raw for number, raw in enumerate(stream, start=1) if number not in numbers)


def _places(file: Path) -> Iterator[tuple[Key, Place]]:
    """Key and place of each line of a file; the last is cut off if it was not written to its end."""
    with held(lock_of(file), file), _naming(file), file.open("r+b") as stream:
        for line in scan(stream):
            if line.result is not None:
                yield line.result.key, _place(file, line.number, line.start, line.end, line.result)
            elif not line.last:
                raise damaged(file, line.number, line.flaw)
            else:
                os.truncate(stream.fileno(), line.start)


@contextmanager
def _naming(file: Path) -> Iterator[None]:
    """Turns an error of the disk into one that names the file."""
    try:
        yield
    except OSError as error:
        raise AbeRerankError(
            f"cannot write {file}: {error.strerror or error}; check the free space and the permissions there, then "
            "start the same command again"
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


def check_folder(out: Path) -> None:
    """Raises UsageError if ``out`` is neither new, nor empty, nor the folder of a run, or cannot be written."""
    check_writable(out)
    if not out.exists() or (out / "run.json").is_file():
        return
    if any(path != unfinished(out / "run.json") for path in out.iterdir()):
        raise UsageError(f"the folder {out} is not empty and holds no run; choose another one with --out")


def open_folder(out: Path, record: RunRecord, prompts: bytes) -> RunRecord:
    """Make the folder of a run, or find it again; gives the record of when it was begun.

    Raises UsageError if it holds a run of other settings, saying each difference, or no run at all, or a damaged
    ``run.json``; AbeRerankError if the folder cannot be read or written, or a link in it leads elsewhere.
    """
    check_folder(out)
    begun = record.sealed()
    if (out / "run.json").is_file():
        refuse_links(out)
        begun = read_record(out)
        here = record.identity
        if isinstance(settings := here["settings"], dict) and "scheduler" not in begun.settings:
            settings.pop("scheduler", None)  # started by a version that did not say it
        differences = list(_differences(begun.identity, here))
        if differences:
            raise UsageError(
                f"{out} holds a run of other settings: {'; '.join(differences)}; choose another folder with --out"
            )
    else:
        write_whole(out / "run.json", record.text())
    if not (out / "prompts.jsonl").is_file():
        write_whole(out / "prompts.jsonl", prompts)
    return begun


def batch_size_of(out: Path) -> int | None:
    """How many images the run in a folder draws at once; None if there is no run. Raises what reading it does."""
    if not (out / "run.json").is_file():
        return None
    size = read_record(out).settings.get("batch_size")
    return size if isinstance(size, int) else None


def refuse_links(folder: Path) -> None:
    """Raises AbeRerankError for a link anywhere in a run folder: none is written or read through."""
    for path, folders, files in os.walk(folder):
        for name in (*folders, *files):
            file = os.path.join(path, name)
            if os.path.islink(file):
                raise AbeRerankError(f"{file} is a link, and none is followed within a run; put the file itself there")


def _differences(there: JsonValue, here: JsonValue, name: str = "") -> Iterator[str]:
    """Each field in which two records differ, as "settings.seed is 0 there and 1 here"."""
    if isinstance(there, Mapping) and isinstance(here, Mapping):
        for key in dict.fromkeys([*there, *here]):
            yield from _differences(there.get(key), here.get(key), f"{name}.{key}" if name else key)
    elif there != here:
        yield f"{name} is {_short(there, here)} there and {_short(here, there)} here"


def _short(value: JsonValue, other: JsonValue) -> str:
    """A value as text; of a long one such as a scorer's stamp only the words that the other has not."""
    if isinstance(value, str) and isinstance(other, str) and max(len(value), len(other)) > 80:
        known = set(other.split())
        return "... " + " ".join(word for word in value.split() if word not in known) + " ..."
    return "none" if value is None else str(value)
