"""Printing to a terminal: results to stdout, notes to stderr."""

from __future__ import annotations

import sys

from abe_rerank.text import printable


def say(text: str) -> None:
    """Write a result to stdout, in what its encoding has."""
    encoding = sys.stdout.encoding or "utf-8"
    sys.stdout.write(text.encode(encoding, errors="replace").decode(encoding) + "\n")


def note(text: str) -> None:
    """Write one line to stderr."""
    sys.stderr.write(printable(text) + "\n")


def cosine(value: float | None) -> str:
    """A cosine or difference of cosines with its sign, or a dash."""
    return "-" if value is None else f"{value:+.3f}"
