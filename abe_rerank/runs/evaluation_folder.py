"""The folder of a run: made or found, and refused if it is another's."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from pydantic import JsonValue, ValidationError

from abe_rerank.errors import AbeRerankError, UsageError
from abe_rerank.files import unfinished, write_whole
from abe_rerank.runs.results import RunRecord


def check_folder(out: Path) -> None:
    """Raises UsageError if ``out`` is neither new, nor empty, nor the folder of a run, or cannot be written."""
    try:
        place = next(path for path in (out.absolute(), *out.absolute().parents) if path.exists())
    except OSError as error:  # a name that is too long
        raise UsageError(f"cannot write into {out}: {error.strerror}; choose another folder with --out") from None
    if not place.is_dir():
        raise UsageError(f"{place} is a file; choose a folder with --out")
    if not os.access(place, os.W_OK | os.X_OK):
        raise UsageError(f"cannot write into {place}: permission denied; choose another folder with --out")
    if not out.exists() or (out / "run.json").is_file():
        return
    if any(path != unfinished(out / "run.json") for path in out.iterdir()):
        raise UsageError(f"the folder {out} is not empty and holds no run; choose another one with --out")


def open_folder(out: Path, record: RunRecord, prompts: bytes) -> RunRecord:
    """Make the folder of a run, or find it again; gives the record of when it was begun.

    Raises UsageError if it holds a run of other settings, saying each difference, or no run at all, or a damaged
    ``run.json``; AbeRerankError if the folder cannot be read or written.
    """
    check_folder(out)
    begun = record
    if (out / "run.json").is_file():
        begun = read_record(out)
        differences = list(_differences(begun.identity, record.identity))
        if differences:
            raise UsageError(
                f"{out} holds a run of other settings: {'; '.join(differences)}; choose another folder with --out"
            )
    else:
        write_whole(out / "run.json", (record.model_dump_json(indent=1) + "\n").encode())
    if not (out / "prompts.jsonl").is_file():
        write_whole(out / "prompts.jsonl", prompts)
    return begun


def read_record(folder: Path) -> RunRecord:
    """The record in ``run.json``. Raises UsageError if there is none or it is damaged, AbeRerankError if unreadable."""
    file = folder / "run.json"
    try:
        return RunRecord.model_validate_json(file.read_bytes())
    except FileNotFoundError:
        raise UsageError(f"{folder} is no run folder: it has no run.json; name one of evaluate") from None
    except OSError as error:
        raise AbeRerankError(f"{file} cannot be read: {error.strerror or error}") from None
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "the file"
        raise UsageError(
            f"{file} is damaged, or of another version of abe-rerank ({where}: {first['msg']}); "
            "evaluate into another folder"
        ) from None


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
