"""What of a run is whole, what is missing, changed or damaged; and its mending, so that only that is done again."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from abe_rerank.errors import AbeRerankError, UsageError
from abe_rerank.files import check_folder, inside
from abe_rerank.images import read
from abe_rerank.runs.evaluated import Key, Result, RunRecord
from abe_rerank.runs.folders import is_held
from abe_rerank.runs.generated import CandidateRecord, Report, copy_best, read_report
from abe_rerank.runs.journal import drop, lock_of, merged_places, refuse_links, reopen
from abe_rerank.runs.provenance import pixels_sha256
from abe_rerank.runs.reading import RunFolder, read_lines, read_record
from abe_rerank.runs.workplace import begun_for, goes_on

Illness = Literal["missing", "changed", "damaged"]


@dataclass(frozen=True)
class Finding:
    """Something amiss: what, in which way, and what mending takes away: ``lines`` (by number) and ``files``."""

    what: str
    illness: Illness
    lines: tuple[tuple[Path, int], ...] = ()
    files: tuple[Path, ...] = ()
    key: Key | None = None


@dataclass(frozen=True)
class Checkup:
    """A run that was looked over: how many results and pictures are ``whole``, and what is not.

    ``command`` is the one that made the run, or goes on with it; ``report`` is null for an evaluation run. ``asked`` is
    how many results a run of generate will have that is being drawn: 0 where that is not known, null for other runs.
    """

    folder: Path
    results: int
    pictures: int
    findings: tuple[Finding, ...]
    command: str
    report: Report | None = None
    asked: int | None = None

    @property
    def is_lost(self) -> bool:
        """Whether nothing can be done with what is there, as nothing says what it is."""
        return any(finding.what == "run.json" for finding in self.findings)


def examine_all(folder: Path) -> list[Checkup]:
    """Look over what is at ``folder``: a run, and what was drawn for it and is not written yet. Raises as
    :func:`examine` does."""
    places = begun_for(folder)
    found = [examine_drawn(place) for place in places]
    if folder in places or (found and not any((folder / name).is_file() for name in ("report.json", "run.json"))):
        return found
    return [examine(folder), *found]


def examine_drawn(place: Path) -> Checkup:
    """Look over the hidden folder in which a run of generate is drawn. Raises as :func:`examine` does for links."""
    refuse_links(place)
    try:
        record = read_record(place)
    except UsageError:
        return Checkup(place, 0, 0, (Finding("run.json", "damaged"),), "", asked=0)
    found = _examine_evaluated(place, record)
    return replace(found, command=goes_on(place, found.command), asked=record.n if record.is_fixed else 0)


def examine(folder: Path) -> Checkup:
    """Look a run over; every picture is decoded and compared with its hash.

    Raises UsageError for a folder that holds no run or one whose ``run.json`` is damaged, AbeRerankError for a damaged
    ``report.json``, and for links, which are not followed.
    """
    check_folder(folder, "folder of a run")
    refuse_links(folder)
    if (folder / "run.json").is_file():
        return _examine_evaluated(folder, read_record(folder))
    if (folder / "report.json").is_file():
        return _examine_generated(folder, read_report(folder))
    raise UsageError(f"{folder} holds no run; name a folder that abe-rerank generate or evaluate wrote")


def mend(checkup: Checkup) -> None:
    """Take away what is damaged, so that the run's own command does only that again.

    In a run of generate, ``best.png`` is written again from the picked image; what was drawn is removed where nothing
    says what it is. Raises UsageError if another process is
    writing the run, AbeRerankError if it cannot be written.
    """
    folder, findings = checkup.folder, checkup.findings
    if checkup.is_lost and checkup.asked is not None:
        for file in _parts(folder):
            if is_held(lock_of(file)):
                raise UsageError(f"another process is writing {file}; wait for it or stop it first")
        shutil.rmtree(folder, ignore_errors=True)
        return
    if checkup.report is not None:
        if any(finding.what == "best.png" for finding in findings):
            copy_best(folder, checkup.report)
        return
    if not findings:
        return
    ill = {finding.key for finding in findings if finding.key is not None}
    drop(line for finding in findings for line in finding.lines)
    if (folder / "results.jsonl").is_file():
        merged, _ = merged_places(folder)
        there = {line.result.key for file in _parts(folder) for line in read_lines(file) if line.result is not None}
        reopen(folder, [place for key, place in merged.items() if key not in there and key not in ill])
    for file in (file for finding in findings for file in finding.files):
        file.unlink(missing_ok=True)


def _examine_evaluated(folder: Path, record: RunRecord) -> Checkup:
    run = RunFolder(folder, record, (), complete=False)
    findings: list[Finding] = list(_prompts(folder, record))
    found: dict[Key, tuple[Path, int, bytes]] = {}
    pictures = 0
    for file in _parts(folder):
        for line in read_lines(file):
            what, place = f"results/{file.name}, line {line.number}", (file, line.number)
            if line.result is None:
                findings.append(Finding(f"{what} ({line.flaw})", "damaged", (place,)))
            elif not _belongs(line.result, record):
                findings.append(Finding(f"{what} (of another run)", "damaged", (place,)))
            elif line.result.key in found:
                findings.append(Finding(f"{what} (an image that stands before it too)", "damaged", (place,)))
            else:
                illness = _illness(run, line.result)
                found[line.result.key] = (*place, _digest(line.result))
                pictures += illness is None and line.result.image is not None
                findings += [] if illness is None else [_picture(run, line.result, illness, place)]
    findings += _merged(run, found)
    ill = {finding.key for finding in findings if finding.key is not None}
    return Checkup(folder, len(found.keys() - ill), pictures, tuple(findings), record.command)


def _merged(run: RunFolder, found: dict[Key, tuple[Path, int, bytes]]) -> Iterator[Finding]:
    """What is amiss in ``results.jsonl``; results that stand there alone are looked at, and added to ``found``."""
    file = run.path / "results.jsonl"
    if not file.is_file():
        return
    seen: set[Key] = set()
    for line in read_lines(file):
        what = f"results.jsonl, line {line.number}"
        if line.result is None or line.result.key in seen or not _belongs(line.result, run.record):
            yield Finding(f"{what} ({line.flaw or 'of another run, or there twice'})", "damaged")
            continue
        key = line.result.key
        seen.add(key)
        if key not in found:
            found[key] = (file, line.number, _digest(line.result))
            if illness := _illness(run, line.result):
                yield _picture(run, line.result, illness, None)
        elif found[key][2] != _digest(line.result):
            yield Finding(f"{what} (not what results/ says)", "changed")
    expected = run.record.prompts * run.record.n if run.record.is_fixed else len(found)
    if len(seen) < expected:
        yield Finding(f"results.jsonl ({expected - len(seen)} of {expected} results)", "missing")


def _prompts(folder: Path, record: RunRecord) -> Iterator[Finding]:
    file = folder / "prompts.jsonl"
    if not file.is_file():
        yield Finding("prompts.jsonl", "missing")
        return
    with file.open("rb") as stream:
        if hashlib.file_digest(stream, "sha256").hexdigest() != record.prompts_sha256:
            yield Finding("prompts.jsonl", "changed", files=(file,))


def _picture(run: RunFolder, result: Result, illness: Illness, place: tuple[Path, int] | None) -> Finding:
    """An image that is not what was scored: its result goes too; the file only where it was drawn into the run."""
    drawn = run.record.text_to_image is not None and illness != "missing"
    files = (inside(run.path, str(result.image)),) if drawn else ()
    return Finding(str(result.image), illness, () if place is None else (place,), files, result.key)


def _illness(run: RunFolder, result: Result) -> Illness | None:
    """In which way the image of a result is not what was scored; None if it is, or if there was none."""
    if result.image is None or (result.pixels_sha256 is None and result.status == "unscored"):
        return None
    return compared(run.image_file(result.image), result.pixels_sha256)


def _examine_generated(folder: Path, report: Report) -> Checkup:
    findings = [
        Finding(candidate.image, illness)
        for candidate in report.candidates
        if (illness := compared(inside(folder, candidate.image), candidate.pixels_sha256))
    ]
    pictures = len(report.candidates) - len(findings)
    if report.picked is not None:
        best: CandidateRecord = report.candidates[report.picked - 1]
        if illness := compared(folder / "best.png", best.pixels_sha256):
            findings.append(Finding("best.png", illness))
    views = ("report.html", "contact_sheet.png")
    findings += [Finding(name, "missing") for name in views if not (folder / name).is_file()]
    return Checkup(folder, len(report.candidates), pictures, tuple(findings), report.commands.run, report)


def pictures_amiss(folder: Path) -> list[str]:
    """The pictures of an evaluation run that are missing or not those that were scored, each with its illness.

    Raises as :func:`examine` does.
    """
    return [f"{finding.what} is {finding.illness}" for finding in examine(folder).findings if finding.key is not None]


def compared(file: Path, expected: str | None) -> Illness | None:
    """In which way a picture differs from its hash; without one it need only be a picture."""
    if not file.is_file():
        return "missing"
    try:
        found = pixels_sha256(read(str(file)))
    except AbeRerankError:
        return "damaged"
    return None if expected in (None, found) else "changed"


def _belongs(result: Result, record: RunRecord) -> bool:
    drawn = record.text_to_image is not None
    most = record.n if record.is_fixed else 2 * record.n
    return result.index < record.prompts and (result.candidate < most or not drawn)


def _digest(result: Result) -> bytes:
    return hashlib.sha256(result.line().encode()).digest()


def _parts(folder: Path) -> list[Path]:
    return sorted((folder / "results").glob("*.jsonl"))
