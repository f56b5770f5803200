"""Run folders that are either whole or not there: written under a temporary name, then renamed."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from uuid import uuid4

from abe_rerank.errors import UsageError
from abe_rerank.text import words_of


def default_folder(prompt: str, now: datetime, root: Path = Path("runs")) -> Path:
    """``runs/<time>-<words of the prompt>``, with a number behind it where that name is taken."""
    name = f"{now:%Y%m%d-%H%M%S}-{words_of(prompt)}"
    folder, k = root / name, 1
    while folder.exists():
        k += 1
        folder = root / f"{name}-{k}"
    return folder


@contextmanager
def new_run_folder(out: Path) -> Iterator[Path]:
    """Give a temporary folder beside ``out`` to write into; it becomes ``out`` when the block ends without an error.

    With an error nothing is left behind, parents made here included. Raises UsageError at once, before any work,
    if ``out`` is not a new or empty folder or cannot be written.
    """
    _check_free(out)
    out = out.resolve()
    made = [parent for parent in out.parents if not parent.exists()]
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        partial = out.parent / f".{out.name[:80]}.partial-{uuid4().hex[:8]}"
        partial.mkdir()
    except OSError as error:
        _remove_empty(made)
        raise UsageError(
            f"cannot write to {out}: {error.strerror or error}; choose another folder with --out"
        ) from None
    try:
        yield partial
        _check_free(out)
        if out.exists():  # perhaps somebody's working folder, or a mount: filled, not replaced
            for entry in partial.iterdir():
                shutil.move(entry, out / entry.name)
            partial.rmdir()
        else:
            partial.rename(out)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        _remove_empty(made)
        raise


def _check_free(out: Path) -> None:
    try:
        if not out.exists():
            return
        if not out.is_dir():
            raise UsageError(f"{out} is a file; choose a new folder with --out")
        if any(out.iterdir()):
            raise UsageError(f"the folder {out} is not empty; choose a new one with --out, or delete it")
    except OSError as error:
        raise UsageError(
            f"cannot write to {out}: {error.strerror or error}; choose another folder with --out"
        ) from None
    if not os.access(out, os.W_OK):
        raise UsageError(f"cannot write to {out}: permission denied; choose another folder with --out")


def _remove_empty(folders: list[Path]) -> None:
    for folder in folders:
        with suppress(OSError):
            folder.rmdir()
