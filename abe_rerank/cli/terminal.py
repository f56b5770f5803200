"""Printing to a terminal: results to stdout, notes to stderr."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from abe_rerank.text import printable


def say(text: str) -> None:
    """Write a result to stdout, in what its encoding has."""
    encoding = sys.stdout.encoding or "utf-8"
    sys.stdout.write(text.encode(encoding, errors="replace").decode(encoding) + "\n")


def note(text: str) -> None:
    """Write one line to stderr."""
    sys.stderr.write(printable(text) + "\n")


@contextmanager
def warnings_as_notes() -> Iterator[None]:
    """Warnings to the user become notes of one line; those of the libraries, about their own code, stay as they are."""
    with warnings.catch_warnings():
        shown = warnings.showwarning

        def show(message: Warning | str, category: type[Warning], *place: Any, **more: Any) -> None:
            if category is UserWarning:
                note(f"warning: {message}")
            else:
                shown(message, category, *place, **more)

        warnings.showwarning = show
        yield


def cosine(value: float | None) -> str:
    """A cosine or difference of cosines with its sign, or a dash."""
    return "-" if value is None else f"{value:+.3f}"
