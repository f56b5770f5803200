"""Who may write: a lock file that is held until the work is done or the process ends, however it ends."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from abe_rerank.errors import AbeRerankError, UsageError


@contextmanager
def held(lock: Path, what: Path) -> Iterator[None]:
    """Hold a lock file while ``what`` is written.

    Raises UsageError if another process holds it, AbeRerankError if it cannot be made.
    """
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
