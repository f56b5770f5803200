"""Text for people: on one line, in columns, as a part of a file name; never what could steer a terminal."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path


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


def readable(path: Path | str) -> str:
    """A path as text that can be written; bytes of its name that are no UTF-8 become escapes."""
    return str(path).encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def words_of(text: str, limit: int = 48) -> str:
    """A text as a part of a file name: lower-case ASCII letters and digits joined by ``-``, never empty."""
    slug = "-".join(re.findall(r"[a-z0-9]+", text.lower()))[:limit].strip("-")
    return slug or "prompt"
