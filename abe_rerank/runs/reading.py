"""The folders of evaluation runs, read line by line: 100,000 results in constant memory, version 1 too.

A complete run is read from ``results.jsonl``; one that is going on, or was stopped, from the files under ``results/``,
where a last line that was cut off in writing is left out.
"""

from __future__ import annotations

import json
import os
from base64 import b64decode
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from pydantic import ValidationError

from abe_rerank.errors import AbeRerankError, UsageError
from abe_rerank.files import check_folder, inside, readable
from abe_rerank.runs.evaluated import Result, RunRecord
from abe_rerank.runs.folders import DRAWN
from abe_rerank.runs.records import HeatRecord, said_of


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

    def image_file(self, image: str) -> Path:
        """As :meth:`image_path`, to be opened. Raises AbeRerankError for a drawn one that lies outside of the run
        folder or behind a link.
        """
        return Path(image) if self.record.text_to_image is None else inside(self.path, image)


@dataclass(frozen=True)
class Line:
    """A line of results: its number from 1, its bytes [start, end) with the newline, and the result in it.

    Where there is none, ``flaw`` says why; ``last`` is true of the last line of a file, which may be cut off.
    """

    number: int
    start: int
    end: int
    last: bool
    result: Result | None
    flaw: str = ""


def open_run(path: Path) -> RunFolder:
    """The run in a folder. Raises UsageError if it is none, or has no results yet."""
    check_folder(path, "folder of a run")
    record = read_record(path)
    merged = inside(path, "results.jsonl")
    if merged.is_file():
        return RunFolder(path, record, (merged,), complete=True)
    files = tuple(sorted(p for p in inside(path, "results").glob("*.jsonl") if p.is_file() and not p.is_symlink()))
    if not files:
        raise UsageError(f"the run {path} has no results yet; start its abe-rerank evaluate again to have them")
    return RunFolder(path, record, files, complete=False)


def read_record(folder: Path) -> RunRecord:
    """The record in ``run.json``.

    Raises UsageError if there is none, or it is damaged, or was edited; AbeRerankError if it is unreadable.
    """
    file = inside(folder, "run.json")
    try:
        if not file.is_file() and file.exists():
            raise AbeRerankError(f"{file} is no ordinary file; a run's own is one")
        text = file.read_bytes()
        later = upgraded(text)
        record = RunRecord.model_validate_json(later or text)
    except FileNotFoundError:
        raise UsageError(f"{folder} is no run folder: it has no run.json; name one of evaluate") from None
    except OSError as error:
        raise AbeRerankError(f"{file} cannot be read: {error.strerror or error}") from None
    except ValueError as error:
        what = said_of(error) if isinstance(error, ValidationError) else str(error)
        raise UsageError(
            f"{file} is damaged, or of another version of abe-rerank ({what}); {_instead(folder)}"
        ) from None
    if later is None and record.seal != record.expected_seal:
        raise UsageError(
            f"{file} is damaged: it was edited after the run began; put back what it said, or {_instead(folder)}"
        )
    return record


def _instead(folder: Path) -> str:
    """What to do where nothing says what a run is; the hidden folder of a run of generate is in the way until then."""
    if DRAWN in folder.name:
        return f"abe-rerank doctor --mend {readable(folder)} removes it, so that the same command begins anew"
    return "evaluate into another folder"


def lines(run: RunFolder) -> Iterator[tuple[int, Line]]:
    """The results of a run, one at a time, each with the number of its file among ``run.files``.

    Raises AbeRerankError, naming file and line, for what is no result. In a run that is not complete the last line of a
    file is left out if it was cut off.
    """
    for k, path in enumerate(run.files):
        for line in read_lines(path):
            if line.result is not None:
                yield k, line
            elif run.complete or not line.last:
                raise damaged(path, line.number, line.flaw)


def read_results(run: RunFolder) -> Iterator[Result]:
    """The results of a complete run. Raises UsageError if it is not, AbeRerankError as :func:`lines` does."""
    if not run.complete:
        raise UsageError(f"the run in {run.path} is not complete; start its own command again first")
    return (line.result for _, line in lines(run) if line.result is not None)


def result_at(run: RunFolder, file: int, offset: int) -> Result:
    """The result that :func:`lines` found there. Raises AbeRerankError if it is there no more."""
    with run.files[file].open("rb") as stream:
        stream.seek(offset)
        result, flaw = result_of(stream.readline())
    if result is None:
        raise AbeRerankError(f"{run.files[file]} was changed while it was read ({flaw}); start again")
    return result


def damaged(path: Path, number: int, what: str) -> AbeRerankError:
    """The error for a line of results that cannot be used."""
    folder = path.parent if path.name == "results.jsonl" else path.parent.parent
    return AbeRerankError(f"{path}, line {number}: damaged ({what}); {way_out(folder)}")


def way_out(folder: Path) -> str:
    """What to do about damage in a run."""
    return f"abe-rerank doctor --mend {readable(folder)} removes it, so that the same command does only that again"


def read_lines(path: Path) -> Iterator[Line]:
    """All lines of a file of results. Raises AbeRerankError if it cannot be read."""
    try:
        with path.open("rb") as stream:
            yield from scan(stream)
    except OSError as error:
        raise AbeRerankError(f"{path} cannot be read: {error.strerror or error}") from None


def scan(stream: BinaryIO) -> Iterator[Line]:
    """All lines of a file of results that is open at its beginning."""
    size = os.fstat(stream.fileno()).st_size
    start = number = 0
    while raw := stream.readline():
        number += 1
        end = start + len(raw)
        result, flaw = result_of(raw)
        yield Line(number, start, end, end >= size, result, flaw)
        start = end


def result_of(raw: bytes) -> tuple[Result | None, str]:
    """The result in a line, or None and what is wrong with it."""
    if not raw.endswith(b"\n"):
        return None, "cut off: the newline is missing"
    try:
        return Result.model_validate_json(raw), ""
    except ValidationError as error:
        flaw = said_of(error)
    try:
        later = upgraded(raw)
        return (None, flaw) if later is None else (Result.model_validate_json(later), "")
    except ValidationError as error:
        return None, said_of(error)
    except ValueError as error:
        return None, str(error)


def upgraded(text: bytes) -> str | None:
    """The JSON of a report, result or run of version 1 as one of version 2; None if it is of another version.

    Raises ValueError, naming the field, for maps that are none. What else is wrong with it is left as it is.
    """
    try:
        fields = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(fields, dict) or type(fields.get("schema_version")) is not int or fields["schema_version"] != 1:
        return None
    fields["schema_version"] = 2
    for k, pair in enumerate(_list(fields.get("pairs"))):
        _upgrade_result(pair, f"pairs.{k}")
    for k, candidate in enumerate(_list(fields.get("candidates"))):
        score = candidate.get("score") if isinstance(candidate, dict) else None
        for j, pair in enumerate(_list(score.get("pairs") if isinstance(score, dict) else None)):
            _upgrade_reported(pair, f"candidates.{k}.score.pairs.{j}")
    return json.dumps(fields)


def _upgrade_reported(pair: object, field: str) -> None:
    """A pair of a report: its region's weights and its contrast were [rows][columns]."""
    if not isinstance(pair, dict):
        return
    region = pair.get("region")
    if isinstance(region, dict) and "weights" in region:
        region["heat"] = _heat(region.pop("weights"), f"{field}.region.weights", low=0.0)
    if pair.get("contrast") is not None:
        pair["contrast"] = _heat(pair["contrast"], f"{field}.contrast")


def _upgrade_result(pair: object, field: str) -> None:
    """A pair of a line of results: its heat held box and window, and its levels were relative to the largest."""
    if not isinstance(pair, dict) or not isinstance(pair.get("heat"), dict):
        return
    heat = pair.pop("heat")
    pair["region"] = {name: heat.pop(name) for name in ("box", "window") if name in heat}
    try:
        total = sum(b64decode(heat["levels"]))
    except (KeyError, TypeError, ValueError):
        raise ValueError(f"{field}.heat.levels: not base64") from None
    pair["region"]["heat"] = {**heat, "low": 0.0, "high": 255 / total if total else 0.0}
    pair |= {"attribute_span": (0, 0), "object_span": (0, 0)}


def _heat(rows: object, field: str, low: float | None = None) -> Mapping[str, Any]:
    try:
        grid = np.array(rows, dtype=np.float64)
        if grid.ndim != 2 or grid.size == 0 or not np.abs(grid).max() <= 1e9:
            raise ValueError
        return HeatRecord.of(grid, low).model_dump()
    except (TypeError, ValueError, OverflowError):
        raise ValueError(f"{field}: must be rows of finite numbers, all of one length") from None


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []
