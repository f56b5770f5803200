"""The folder of an evaluation run: made, or found again and refused if it is another's."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from pydantic import JsonValue

from abe_rerank.errors import AbeRerankError, UsageError
from abe_rerank.files import unfinished, write_whole
from abe_rerank.runs.evaluated import RunRecord
from abe_rerank.runs.reading import read_record


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
    ``run.json``; AbeRerankError if the folder cannot be read or written, or a link in it leads elsewhere.
    """
    check_folder(out)
    begun = record.sealed()
    if (out / "run.json").is_file():
        refuse_links(out)
        begun = read_record(out)
        differences = list(_differences(begun.identity, record.identity))
        if differences:
            raise UsageError(
                f"{out} holds a run of other settings: {'; '.join(differences)}; choose another folder with --out"
            )
    else:
        write_whole(out / "run.json", record.text())
    if not (out / "prompts.jsonl").is_file():
        write_whole(out / "prompts.jsonl", prompts)
    return begun


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
