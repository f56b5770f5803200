"""Prompt suites: versioned JSONL in ``prompts/``, and files of prompts of the user's own.

A line of a suite holds id, prompt, the expected (attribute, object) pairs, category, source and licence. A user's file
may have any format of :mod:`abe_rerank.suites.formats`.
"""

from __future__ import annotations

import os
from pathlib import Path

from abe_rerank.errors import UsageError
from abe_rerank.files import check_folder, data_folder
from abe_rerank.suites import rows
from abe_rerank.suites.formats import Pairs, SuitePrompt, read_text
from abe_rerank.suites.formats.known_files import as_line

__all__ = ["Pairs", "SuitePrompt", "as_line", "load_prompts", "names", "read_file"]


def names() -> tuple[str, ...]:
    """The suites that ship with the package."""
    return tuple(sorted(path.stem for path in data_folder("prompts").glob("*.jsonl")))


def load_prompts(suite: str) -> list[SuitePrompt]:
    """A suite by its name (``shapes``, or one category of it: ``shapes:colour-2``), a file, or a
    folder with a text file for each prompt, as DPG has it.

    Raises UsageError for an unknown name or category, an empty file, or a line that cannot be read.
    """
    name, _, category = suite.partition(":")
    if os.path.isfile(suite) or (os.path.lexists(suite) and name not in names()):
        prompts = read_file(Path(suite))
    elif name in names():
        prompts = [p for p in read_file(data_folder("prompts") / f"{name}.jsonl") if category in ("", p.category)]
    else:
        raise UsageError(f"no suite or file of prompts called {suite}; the suites are {', '.join(names())}")
    if not prompts:
        raise UsageError(f"there are no prompts in {suite}")
    return prompts


def read_file(path: Path) -> list[SuitePrompt]:
    """The prompts of a file in any format of :mod:`abe_rerank.suites.formats`, or of a folder of text files.

    Raises UsageError, naming the line, for what cannot be read.
    """
    if path.is_dir():
        check_folder(path)
    files = sorted(path.glob("*.txt")) if path.is_dir() else [path]
    texts = [rows.read_text(file) for file in files]
    if path.is_dir():
        return [SuitePrompt(file.stem, text.strip()) for file, text in zip(files, texts, strict=True) if text.strip()]
    return read_text(texts[0], str(path))
