"""What libtiff says of a damaged file: it writes lines to the process's stderr, and may decode what it can."""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from tempfile import TemporaryFile

_ITS_LINE = re.compile(rb"(\w+\.tif|\w*(TIFF|Decode|JPEG|Predict)\w*): (?!Warning)")
_ONE_AT_A_TIME = threading.Lock()


@contextmanager
def errors_into(said: list[str]) -> Iterator[None]:
    """Add the errors that libtiff writes to stderr within the block to ``said``, instead of showing them.

    What others write there meanwhile comes afterwards. Where stderr is closed or nothing can be kept, nothing is added.
    """
    with _ONE_AT_A_TIME:
        try:
            shown = os.dup(2)
        except OSError:
            yield
            return
        try:
            with TemporaryFile() as kept:
                os.dup2(kept.fileno(), 2)
                try:
                    yield
                finally:
                    os.dup2(shown, 2)
                    kept.seek(0)
                    _sort_out(kept.read(), said)
        finally:
            os.close(shown)


def _sort_out(written: bytes, said: list[str]) -> None:
    for line in written.splitlines(keepends=True):
        if _ITS_LINE.match(line):
            said.append(line.decode(errors="replace").strip())
        else:
            os.write(2, line)
