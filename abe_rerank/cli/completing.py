"""What a shell completes on a command line: suites, scorers, run folders. Nothing heavy is imported."""

from __future__ import annotations

import json
from pathlib import Path

from abe_rerank.files import data_folder
from abe_rerank.scoring import names, title
from abe_rerank.suites import names as suite_names

_MARKS = ("report.json", "run.json")
"""One of these lies in the folder of a run."""


def scorers(incomplete: str) -> list[tuple[str, str]]:
    """The scorers that begin so, each with what a table calls it."""
    return [(name, title(name)) for name in names() if name.startswith(incomplete)]


def suites(incomplete: str) -> list[str]:
    """The suites that begin so, or, after ``suite:``, its categories; and the files and folders that begin so."""
    name, colon, begun = incomplete.partition(":")
    if colon and name in suite_names():
        return [f"{name}:{category}" for category in _categories(name) if category.startswith(begun)]
    return [one for one in suite_names() if one.startswith(incomplete)] + _paths(incomplete)


def runs(incomplete: str) -> list[str]:
    """The folders of runs that begin so, or lie in a folder that does, newest first; then the folders without any."""
    found, empty = list[Path](), list[str]()
    for folder in (Path(one) for one in _paths(incomplete) if one.endswith("/")):
        inside = [folder] if _is_run(folder) else [Path(one) for one in _paths(f"{folder}/") if _is_run(Path(one))]
        found += inside
        empty += [] if inside else [f"{folder}/"]
    return [str(folder) for folder in sorted(found, key=lambda one: -one.stat().st_mtime)] + empty


def _is_run(folder: Path) -> bool:
    return any((folder / mark).is_file() for mark in _MARKS)


def _categories(suite: str) -> list[str]:
    lines = (data_folder("prompts") / f"{suite}.jsonl").read_text(encoding="utf-8").splitlines()
    return list(dict.fromkeys(json.loads(line)["category"] for line in lines if line.strip()))


def _paths(incomplete: str) -> list[str]:
    """What the file system has that begins so; folders end with a slash, hidden ones are for who types the dot."""
    parent, _, begun = incomplete.rpartition("/")
    folder = Path(parent or "/") if "/" in incomplete else Path()
    try:
        found = sorted(folder.iterdir())
    except OSError:
        return []
    wanted = [path for path in found if path.name.startswith(begun or "") and (begun or path.name[0] != ".")]
    return [f"{path}/" if path.is_dir() else str(path) for path in wanted]
