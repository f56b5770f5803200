"""Text for people: on one line, in columns, as a part of a file name; never what could steer a terminal."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path


def printable(text: str) -> str:
    """The text on one line with every control character replaced, so that a prompt is only text in a terminal.

    What is no character at all is shown as an escape, see :func:`readable`.
    """
    return "".join(character if character.isprintable() else "\ufffd" for character in readable(text))


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Columns of text, two blanks apart, left-aligned; cells are made printable."""
    lines = [[printable(cell) for cell in row] for row in (header, *rows)]
    widths = [max(len(line[k]) for line in lines) for k in range(len(header))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines
    )


def readable(text: Path | str) -> str:
    """A text or path that any file can hold: bytes of a name that are no UTF-8 become escapes such as ``\\xff``, half
    characters ones such as ``\\ud800``."""
    return re.sub("[\ud800-\udfff]", lambda found: _escape(ord(found[0])), str(text))


def _escape(surrogate: int) -> str:
    is_byte = 0xDC80 <= surrogate <= 0xDCFF  # how Python names a byte that it cannot decode
    return f"\\x{surrogate - 0xDC00:02x}" if is_byte else f"\\u{surrogate:04x}"


def words_of(text: str, limit: int = 48) -> str:
    """A text as a part of a file name: lower-case ASCII letters and digits joined by ``-``, never empty."""
    slug = "-".join(re.findall(r"[a-z0-9]+", text.lower()))[:limit].strip("-")
    return slug or "prompt"
