"""Plain text for a terminal: tables, notes on stderr, and nothing from a prompt that could steer the terminal."""

from __future__ import annotations

import sys
from collections.abc import Sequence


def printable(text: str) -> str:
    """The text on one line with every control character replaced, so that a prompt is only text in a terminal."""
    return "".join(character if character.isprintable() else "\ufffd" for character in text)


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Columns of text, two blanks apart, left-aligned; cells are made printable."""
    lines = [[printable(cell) for cell in row] for row in (header, *rows)]
    widths = [max(len(line[k]) for line in lines) for k in range(len(header))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines
    )


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
