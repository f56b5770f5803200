"""Where the images of one prompt lie while they are drawn: a hidden folder, found again by what they depend on.

``.drawn-KEY`` holds the files of an evaluation run (:mod:`abe_rerank.runs.evaluated`). It lies in ``runs/`` for a run
whose folder has no name yet, beside a folder that is named, and within one that is there and empty. The run's own
folder is written from it. When that holds all images, it is removed; until then the same command goes on with it.
"""

from __future__ import annotations

import hashlib
import json
import shlex
import shutil
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from PIL.Image import Image

from abe_rerank.errors import AbeRerankError
from abe_rerank.files import inside, readable, write_whole
from abe_rerank.images import read
from abe_rerank.runs.evaluated import Result, RunRecord
from abe_rerank.runs.folders import DRAWN, PARTIAL, check_free, check_writable, default_folder
from abe_rerank.runs.generated import CandidateRecord, candidate_name, read_report
from abe_rerank.runs.provenance import pixels_sha256
from abe_rerank.runs.records import ScoreRecord

FILES = ("attention", "best.png", "candidates", "contact_sheet.png", "report.html", "report.json")
"""What the folder of a run of one prompt holds."""

LONGEST = 80
"""How much of a folder's name stands in that of the hidden one beside it."""

NAME = "folder"
"""The file in a workplace with the name of the run's own folder, once it has one."""


def key_of(record: RunRecord, batch_size: object) -> str:
    """A digest of all that images and scores depend on, with the batch size as it was asked for: a number or "auto"."""
    identity = record.identity
    identity["settings"] = {**record.settings, "batch_size": str(batch_size)}
    return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:12]


def check_out(out: Path | None) -> None:
    """Raises UsageError for a folder that a run could not be written to; one that holds an interrupted run can be."""
    if out is not None:
        check_writable(out)
        if not _makes_way(out):
            check_free(out)


def workplace(out: Path | None, key: str) -> Path:
    """The hidden folder of the run that is to be written to ``out``, None for one below ``runs``.

    Raises AbeRerankError if a link stands there.
    """
    if out is None:
        found = Path("runs") / f"{DRAWN}{key}"
    else:
        place = out.resolve()
        beside, within = place.parent / f".{place.name[:LONGEST]}{DRAWN}{key}", place / f"{DRAWN}{key}"
        found = within if within.is_dir() or (place.is_dir() and not beside.is_dir()) else beside
    if found.is_symlink():
        raise AbeRerankError(f"{found} is a link, and none is followed within a run; remove it")
    return found


def begun_for(folder: Path) -> list[Path]:
    """The hidden folders in which a run of generate is drawn that has or will have its own folder there; the folder
    itself, if it is one."""
    place = folder.absolute()
    if DRAWN in place.name and place.is_dir():
        return [folder]
    found = set(_begun(place))
    for note in place.parent.glob(f"{DRAWN}*/{NAME}"):
        if note.read_text(encoding="utf-8", errors="replace") == place.name:
            found.add(note.parent)
    return sorted(found)


def goes_on(place: Path, command: str) -> str:
    """The command that goes on with what is drawn in a hidden folder, from the one in its record, which names none."""
    place = place.absolute()
    before = place.name.partition(DRAWN)[0].removeprefix(".")
    if (not before and place.parent.name == "runs") or len(before) >= LONGEST:
        return command
    out = shlex.quote(readable(place.parent / before if before else place.parent))
    return command.replace("abe-rerank generate ", f"abe-rerank generate --out {out} ", 1)


def folder_for(out: Path | None, prompt: str, begun: datetime, place: Path) -> Path:
    """The folder that a run is written to, empty or not there: the report of a part of it makes way.

    A run that is not told where finds the folder of its own part by a note in ``place``, where it is drawn: runs of one
    prompt that begin in the same second are not one another's.
    """
    if out is None:
        note = place / NAME
        before = _noted(note)
        out = before if before is not None and _makes_way(before) else default_folder(prompt, begun)
        write_whole(note, out.name.encode())
    if _makes_way(out):
        for path in [out / name for name in FILES] + list(out.glob(f"{PARTIAL}*")):
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)
    return out


def _noted(note: Path) -> Path | None:
    """The folder below ``runs`` that a note names; None where there is none, or what it says is no name."""
    if note.is_symlink() or not note.is_file():
        return None
    name = Path(readable(note.read_bytes()[:1000].decode(errors="replace").replace("\0", ""))).name
    return Path("runs") / name if name and len(name) < 256 else None


def records_of(results: Sequence[Result], folder: Path) -> tuple[list[CandidateRecord], list[Path]]:
    """The candidates of results, best first, whose images lie in ``folder``, and the files of these."""
    files = [inside(folder, str(result.image)) for result in results]
    records = []
    for rank, (result, file) in enumerate(zip(results, files, strict=True), start=1):
        image = read(str(file))
        records.append(
            CandidateRecord(
                rank=rank,
                seed=result.seed,
                image=candidate_name(rank, result.seed),
                width=image.width,
                height=image.height,
                pixels_sha256=pixels_sha256(image),
                score=ScoreRecord(**{name: getattr(result, name) for name in ScoreRecord.model_fields}),
            )
        )
    return records, files


class Pictures(Sequence[Image]):
    """Images in files, each read when it is asked for."""

    def __init__(self, files: Sequence[Path]) -> None:
        self._files = files

    def __len__(self) -> int:
        return len(self._files)

    def __getitem__(self, k: Any) -> Any:
        return Pictures(self._files[k]) if isinstance(k, slice) else read(str(self._files[k]))


def _makes_way(out: Path) -> bool:
    """Whether a folder holds nothing but the report of an interrupted run, or what a killed one had moved there."""
    if not out.is_dir() or any(not _is_ours(path.name) for path in out.iterdir()):
        return False
    begun = any(_begun(out.resolve()))
    if not (out / "report.json").is_file():
        return begun
    try:
        return read_report(out).interrupted
    except AbeRerankError:
        return False


def _is_ours(name: str) -> bool:
    return name in FILES or name.startswith((DRAWN, PARTIAL))


def _begun(place: Path) -> Iterator[Path]:
    """The hidden folders of runs that were to be written to a folder."""
    yield from place.glob(f"{DRAWN}*")
    yield from place.parent.glob(f".{place.name[:LONGEST]}{DRAWN}*")
