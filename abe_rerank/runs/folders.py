"""New run folders, whole or not there: written under a temporary name, then renamed.

While a folder is being written, a lock file in it is held; one that a killed process left behind is told by its lock,
and removed by the next run in that place.
"""

from __future__ import annotations

import errno
import os
import shutil
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from uuid import uuid4

from filelock import FileLock, Timeout

from abe_rerank.errors import AbeRerankError, UsageError
from abe_rerank.files import EFFECTIVE, words_of

LOCK = ".lock"

DISK_TROUBLE = (errno.ENOSPC, errno.EDQUOT, errno.EIO)
"""What is no fault of the folder that was named: the disk is full, or fails."""
PARTIAL, DRAWN = ".partial-", ".drawn-"
"""How the names of temporary folders begin: of one that is being written, and of one with images that are drawn."""

_UNLOCKED_FOR = 3600.0
"""Seconds after which a temporary folder without a lock file counts as left behind: its writer has had time to lock."""


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
    """Give a temporary folder to write into; it becomes ``out`` when the block ends without an error.

    It lies beside ``out``, or within it where ``out`` is an empty folder (perhaps somebody's working folder, or a
    mount): always on the same disk, so that nothing is copied in the end. With an error nothing is left behind, parents
    made here included. Raises UsageError at once, before any work, if ``out`` is not a new or empty folder or cannot be
    written.
    """
    with _naming(out):
        place = out.resolve()
        exists = place.is_dir()
        into = place if exists else place.parent
        prefix = PARTIAL if exists else f".{place.name[:80]}{PARTIAL}"
        if exists:
            _check_not_split(out, prefix)
        remove_left_behind(into, prefix)
        check_free(out)
        made = [parent for parent in (into, *into.parents) if not parent.exists()]
        partial = into / f"{prefix}{uuid4().hex[:8]}"
        try:
            partial.mkdir(parents=True)
        except OSError:
            _remove_empty(made)
            raise
    try:
        with held(partial / LOCK, out):
            yield partial
        (partial / LOCK).unlink(missing_ok=True)
        check_free(out, but=partial)
        with _naming(out):
            if exists:
                _move_all(partial, place)
            else:
                partial.rename(place)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        _remove_empty(made)
        raise


def remove_left_behind(place: Path, prefix: str) -> None:
    """Remove the temporary folders in ``place`` whose writers were killed."""
    if not place.is_dir():
        return
    for folder in sorted(place.iterdir()):
        if folder.name.startswith(prefix) and folder.is_dir() and not folder.is_symlink() and _is_left_behind(folder):
            shutil.rmtree(folder, ignore_errors=True)


def _is_left_behind(folder: Path) -> bool:
    lock = folder / LOCK
    if lock.is_symlink():
        return False
    if lock.exists():
        return not is_held(lock)
    return time.time() - folder.stat().st_mtime > _UNLOCKED_FOR


def _check_above(out: Path) -> None:
    above = next(parent for parent in out.resolve().parents if parent.exists())
    if not (above.is_dir() and os.access(above, os.W_OK | os.X_OK, **EFFECTIVE)):
        what = "permission denied" if above.is_dir() else "is a file"
        raise UsageError(f"cannot write to {out}: {above}: {what}; choose another folder with --out")


def _move_all(partial: Path, out: Path) -> None:
    """Move everything into ``out``, what says that it is a run last; after an error all is out again."""
    moved: list[Path] = []
    try:
        for entry in sorted(partial.iterdir(), key=lambda entry: (entry.name == "report.json", entry.name)):
            entry.rename(out / entry.name)
            moved.append(out / entry.name)
        partial.rmdir()
    except BaseException:
        for entry in moved:
            if entry.is_dir():
                shutil.rmtree(entry, ignore_errors=True)
            else:
                entry.unlink(missing_ok=True)
        raise


def _check_not_split(out: Path, prefix: str) -> None:
    """Raises UsageError where a run was killed while it was moved into ``out``: a part of it is left in a temporary
    folder, which is kept."""
    names = sorted(entry.name for entry in out.iterdir() if not entry.name.startswith(DRAWN))
    rest = [name for name in names if name.startswith(prefix)]
    if rest and len(rest) < len(names):
        raise UsageError(
            f"the folder {out} is not empty, and {rest[0]} in it may hold the rest of a run that was killed while it "
            "was moved there: move what that holds beside it, or choose a new folder with --out"
        )


def check_free(out: Path, but: Path | None = None) -> None:
    """Raises UsageError if ``out`` is neither a new nor an empty folder that can be written; images that are drawn for
    it do not count."""
    check_writable(out)
    with _naming(out):
        entries = out.iterdir() if out.exists() else ()
        if any(entry.name != (but and but.name) and not entry.name.startswith(DRAWN) for entry in entries):
            raise UsageError(f"the folder {out} is not empty; choose a new one with --out, or delete it")


def make_folder(out: Path) -> None:
    """Make a folder to write into, unless it is there. Raises as :func:`check_writable` does."""
    check_writable(out)
    with _naming(out):
        out.mkdir(parents=True, exist_ok=True)


def check_writable(out: Path) -> None:
    """Raises UsageError where something is at ``out`` that is no folder, or one that cannot be written, and where a
    folder that is not there cannot be made."""
    with _naming(out):
        try:
            mode = os.stat(out).st_mode
        except (FileNotFoundError, NotADirectoryError):
            _check_above(out)
            return
        if not stat.S_ISDIR(mode):
            raise UsageError(f"{out} is a file; choose a new folder with --out")
        if not os.access(out, os.R_OK | os.W_OK | os.X_OK, **EFFECTIVE):
            raise UsageError(f"cannot write to {out}: permission denied; choose another folder with --out")


@contextmanager
def _naming(out: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        kind = AbeRerankError if error.errno in DISK_TROUBLE else UsageError
        raise kind(f"cannot write to {out}: {error.strerror or error}; choose another folder with --out") from None


def _remove_empty(folders: list[Path]) -> None:
    for folder in folders:
        with suppress(OSError):
            folder.rmdir()


@contextmanager
def held(lock: Path, what: Path) -> Iterator[None]:
    """Hold a lock file while ``what`` is written.

    Raises UsageError if another process holds it, AbeRerankError if it cannot be made.
    """
    if lock.is_symlink():
        raise AbeRerankError(f"{lock} is a link, and none is followed within a run; remove it")
    holder = FileLock(lock, timeout=0)
    try:
        holder.acquire()
    except Timeout:
        raise UsageError(f"another process is writing {what}; wait for it or stop it first") from None
    except (OSError, NotImplementedError) as error:
        reason = getattr(error, "strerror", None) or error
        raise AbeRerankError(f"cannot write {lock}: {reason}; check the free space and the permissions there") from None
    try:
        yield
    finally:
        holder.release()


def is_held(lock: Path) -> bool:
    """Whether a process holds a lock file that is there."""
    try:
        with held(lock, lock):
            return False
    except (UsageError, AbeRerankError):
        return True
