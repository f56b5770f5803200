"""The runs that are there already: folders below one, newest first."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from abe_rerank.errors import AbeRerankError, UsageError
from abe_rerank.files import inside, printable, read_json

SHOWN = 60
"""The most runs that are listed."""

TITLE = 300
"""The most characters of a prompt that are listed."""

HANDED_OUT = {
    ".html": "text/html; charset=utf-8",
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".json": "application/json",
}
"""The kinds of files of runs that browsers may have."""


@dataclass(frozen=True)
class PastRun:
    """A run folder: its name, what was asked, how many pictures it holds; ``evaluation`` has no single prompt."""

    name: str
    title: str
    count: int
    evaluation: bool
    picture: bool
    page: bool


def past_runs(root: Path) -> list[PastRun]:
    """The runs below ``root``, the newest first; folders that hold none are not listed, nor are broken ones."""
    if not root.is_dir():
        return []
    folders = [path for path in root.iterdir() if not path.name.startswith(".") and path.is_dir()]
    marked = [(_changed(path), path) for path in folders if not path.is_symlink()]
    newest = sorted((pair for pair in marked if pair[0]), key=lambda pair: (-pair[0], pair[1].name))
    found = (_described(path) for _, path in newest[:SHOWN])
    return [run for run in found if run is not None]


def _changed(folder: Path) -> float:
    """When a run was written, 0 where the folder holds none."""
    for name in ("report.json", "run.json"):
        try:
            return (folder / name).stat().st_mtime
        except OSError:
            continue
    return 0.0


def _described(folder: Path) -> PastRun | None:
    evaluation = not (folder / "report.json").is_file()
    try:
        said = read_json(inside(folder, "run.json" if evaluation else "report.json"))
        title = str(said.get("suite") or "prompts of its own") if evaluation else str(said["prompt"])
        count = int(said["prompts"]) if evaluation else len(said["candidates"])
        picture, page = (inside(folder, name).is_file() for name in ("best.png", "report.html"))
        folder.name.encode()  # a name that is no UTF-8 stands in no address
    except (OSError, ValueError, KeyError, TypeError, AttributeError, OverflowError, AbeRerankError):
        return None
    return PastRun(folder.name, printable(title[:TITLE]), count, evaluation, picture, page)


def run_folder(root: Path, name: str) -> Path:
    """The folder of a run by its name. Raises UsageError for a name that is none."""
    folder = root / name
    try:
        there = bool(name) and not name.startswith(".") and Path(name).name == name
        there = there and not folder.is_symlink() and folder.is_dir()
    except OSError:  # a name that is too long
        there = False
    if not there:
        raise UsageError(f"there is no run {name!r} in {root}; it was moved or deleted")
    return folder


def run_file(root: Path, name: str, path: str) -> tuple[Path, str]:
    """A file of a run and its type. Raises UsageError or AbeRerankError for one that is not handed out."""
    folder = run_folder(root, name)
    kind = HANDED_OUT.get(Path(path).suffix.lower())
    file = inside(folder, path)
    if kind is None or not file.is_file():
        raise UsageError(f"the run {name} has no file {path}")
    return file, kind
