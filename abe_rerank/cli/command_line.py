"""A command line written out again, as a report shows it to whoever wants to run it once more."""

from __future__ import annotations

import shlex
from collections.abc import Iterable

Part = str | tuple[str, object]
"""An argument, or an option with its value; an option whose value is None is left out."""


def command_line(command: str, parts: Iterable[Part], *, joined: bool = True) -> str:
    """``abe-rerank COMMAND ...`` quoted for a shell, such that every value is read again as it is.

    Options are written ``--name=value``, or as two words if not ``joined`` and the value does not begin with a dash;
    a flag is ``--name`` or ``--no-name``. Arguments keep their place, except those that begin with a dash: they come
    last, after ``--``.
    """
    words, dashed = ["abe-rerank", command], list[str]()
    for part in parts:
        if isinstance(part, tuple):
            words += _option(*part, joined=joined)
        elif part.startswith("-"):
            dashed.append(part)
        else:
            words.append(part)
    return shlex.join([*words, "--", *dashed] if dashed else words)


def _option(name: str, value: object, joined: bool) -> list[str]:
    if value is None:
        return []
    if isinstance(value, bool):
        return [name if value else f"--no-{name.removeprefix('--')}"]
    text = str(value)
    return [f"{name}={text}"] if joined or text.startswith("-") else [name, text]
