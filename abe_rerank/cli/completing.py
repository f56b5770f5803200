"""What a shell completes on a command line: suites, scorers, run folders. Nothing heavy is imported."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from io import StringIO
from pathlib import Path

from abe_rerank.files import data_folder
from abe_rerank.scoring import names, title
from abe_rerank.suites import names as suite_names

_MARKS = ("report.json", "run.json")
"""One of these lies in the folder of a run."""


@contextmanager
def joined_colons() -> Iterator[None]:
    """Where bash asks, which takes a colon for the end of a word (``shapes``, ``:``, ``colour``): the words are put
    together, and of what is offered only what stands behind the last colon is printed, since bash replaces that."""
    behind = _join()
    if not behind:
        yield
        return
    offered = StringIO()
    try:
        with redirect_stdout(offered):
            yield
    finally:
        sys.stdout.write("".join(line.removeprefix(behind) for line in offered.getvalue().splitlines(keepends=True)))


def _join() -> str:
    """What stands before and with the last colon of the word that is completed, if bash has parted it, else ""."""
    if os.environ.get("_ABE_RERANK_COMPLETE") != "complete_bash" or not os.environ.get("COMP_CWORD", "").isdigit():
        return ""
    words, position = os.environ.get("COMP_WORDS", "").split("\n"), int(os.environ["COMP_CWORD"])
    begun = words[: position + 1]
    joined: list[str] = []
    for k, word in enumerate(begun):
        if k > 1 and (word == ":" or begun[k - 1] == ":"):
            joined[-1] += word
        else:
            joined.append(word)
    os.environ.update(COMP_WORDS="\n".join(joined), COMP_CWORD=str(len(joined) - 1))
    return "" if joined[-1] == begun[-1] else "".join(joined[-1].rpartition(":")[:2])


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
