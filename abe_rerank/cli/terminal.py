"""Printing to a terminal: results to stdout, notes to stderr."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from abe_rerank.text import printable, readable


def say(text: str) -> None:
    """Write a result to stdout; what its encoding lacks becomes an escape such as ``\\xff``, never a ``?``."""
    encoding = sys.stdout.encoding or "utf-8"
    sys.stdout.write(readable(text).encode(encoding, errors="backslashreplace").decode(encoding) + "\n")


def say_json(text: str) -> None:
    """Write JSON to stdout; a character that is a control, half a character, or not in the encoding is escaped.

    Such characters stand in JSON only within strings, where ``\\u009b`` means the same; line breaks stay.
    """
    encoding = sys.stdout.encoding or "utf-8"
    escaped = "".join(c if c == "\n" or _is_plain(c, encoding) else _json_escape(c) for c in text)
    sys.stdout.write(escaped + "\n")


def note(text: str) -> None:
    """Write one line to stderr."""
    sys.stderr.write(printable(text) + "\n")


def warn(text: str) -> None:
    """Write a warning to stderr."""
    note(f"warning: {text}")


@contextmanager
def warnings_as_notes() -> Iterator[None]:
    """Warnings to the user become notes of one line; those of the libraries, about their own code, stay as they are."""
    with warnings.catch_warnings():
        shown = warnings.showwarning

        def show(message: Warning | str, category: type[Warning], *place: Any, **more: Any) -> None:
            if category is UserWarning:
                warn(str(message))
            else:
                shown(message, category, *place, **more)

        warnings.showwarning = show
        yield


def cosine(value: float | None) -> str:
    """A cosine or difference of cosines with its sign, or a dash."""
    return "-" if value is None else f"{value:+.3f}"


def _is_plain(character: str, encoding: str) -> bool:
    if not character.isprintable():
        return False
    try:
        character.encode(encoding)
    except UnicodeEncodeError:
        return False
    return True


def _json_escape(character: str) -> str:
    """``\\uXXXX``, as two of them where a character is outside of the first plane."""
    units = character.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[k]:02x}{units[k + 1]:02x}" for k in range(0, len(units), 2))
