"""The runs that are there already: folders below one, newest first."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from abe_rerank.errors import UsageError
from abe_rerank.files import inside

SHOWN = 60
"""The most runs that are listed."""

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
        said = json.loads((folder / ("run.json" if evaluation else "report.json")).read_bytes())
        title = str(said.get("suite") or "prompts of its own") if evaluation else str(said["prompt"])
        count = int(said["prompts"]) if evaluation else len(said["candidates"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    picture, page = ((folder / name).is_file() for name in ("best.png", "report.html"))
    return PastRun(folder.name, title, count, evaluation, picture, page)


def run_folder(root: Path, name: str) -> Path:
    """The folder of a run by its name. Raises UsageError for a name that is none."""
    folder = root / name
    if not name or name.startswith(".") or Path(name).name != name or folder.is_symlink() or not folder.is_dir():
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
