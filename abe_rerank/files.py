"""Files that are whole or not there, whatever moment the process is killed at; and text that can be printed."""

from __future__ import annotations

import errno
import json
import math
import os
import re
import stat
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from io import BytesIO
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from abe_rerank.errors import AbeRerankError, UsageError, first_line

if TYPE_CHECKING:
    from PIL.Image import Image
    from PIL.PngImagePlugin import PngInfo


def write_whole(path: Path, content: bytes | Iterable[bytes]) -> None:
    """Write a file under the name of :func:`unfinished`, sync it, then rename it; parts of an iterable follow each
    other. What fails leaves the file as it was. Links are never written through: they are replaced.

    Raises AbeRerankError if it cannot be written.
    """
    part = unfinished(path)
    try:
        part.parent.mkdir(parents=True, exist_ok=True)
        part.unlink(missing_ok=True)
        with part.open("xb") as file:
            file.writelines([content] if isinstance(content, bytes) else content)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except OSError as error:
        with suppress(OSError):
            part.unlink()
        raise AbeRerankError(
            f"cannot write {path}: {error.strerror or error}; check the free space and the permissions there"
        ) from None


def write_png(path: Path, image: Image, about: PngInfo | None = None) -> None:
    """Write an image, with its text chunks, as :func:`write_whole` does."""
    file = BytesIO()
    image.save(file, format="PNG", pnginfo=about)
    write_whole(path, file.getvalue())


def unfinished(path: Path) -> Path:
    """The name that a file has until it is whole; always the same, so that a kill leaves at most one behind."""
    return path.with_name(f".{path.name}.unfinished")


def inside(folder: Path, name: str) -> Path:
    """The file of a folder that was perhaps received from elsewhere, by its path within, as "images/seed0.png".

    Raises AbeRerankError if the path leads outside of the folder, or through a link.
    """
    parts = PurePosixPath(name)
    if parts.is_absolute() or ".." in parts.parts or not parts.parts or set(name) & set("\0\\:"):
        raise AbeRerankError(f"{name!r} is the name of a file outside of {folder}; a run names its own files only")
    place = folder
    try:
        for part in parts.parts:
            place /= part
            if place.is_symlink():
                raise AbeRerankError(f"{place} is a link, and none is followed within a run; put the file itself there")
    except OSError as error:
        raise AbeRerankError(f"{name!r} cannot be a file in {folder}: {error.strerror or error}") from None
    return place


EFFECTIVE = {"effective_ids": True} if os.access in os.supports_effective_ids else {}
"""How os.access is asked, so that it answers for this process as it is."""


def check_file(path: Path | str, what: str = "file") -> None:
    """Raises UsageError unless a path is an ordinary file that may be read, or a link to one.

    It is not opened: a pipe would be waited for. ``what`` is what the message calls such a file.
    """
    _check_kind(path, what, stat.S_ISREG, os.R_OK)


def check_folder(path: Path | str, what: str = "folder") -> None:
    """Raises UsageError unless a path is a folder whose files may be read, or a link to one: see :func:`check_file`."""
    _check_kind(path, what, stat.S_ISDIR, os.R_OK | os.X_OK)


def _check_kind(path: Path | str, what: str, is_it: Callable[[int], bool], access: int) -> None:
    try:
        mode = os.stat(path).st_mode
        allowed = os.access(path, access, **EFFECTIVE)
    except FileNotFoundError:
        raise UsageError(f"no such {what}: {path}") from None
    except (OSError, ValueError) as error:
        raise UsageError(f"{path} cannot be read: {getattr(error, 'strerror', None) or first_line(error)}") from None
    if not is_it(mode):
        kind = "a folder" if stat.S_ISDIR(mode) else "a file" if stat.S_ISREG(mode) else "a pipe or a device"
        raise UsageError(f"{path} is {kind}, not {'an' if what[0] in 'aeiou' else 'a'} {what}")
    if not allowed:
        raise UsageError(f"{path} cannot be read: {os.strerror(errno.EACCES)}")


MOST_JSON = 64 * 2**20
"""The largest JSON file that is read whole, in bytes."""

MOST_PROMPT = 200_000
"""The longest prompt, in characters: some 40,000 words."""

_MOST_DIGITS = 400
T = TypeVar("T")


def read_json(path: Path) -> Any:
    """The JSON value in a file that was perhaps received from elsewhere.

    Raises OSError if it cannot be read, ValueError in words of ours for what is no ordinary file, too large, nested too
    deeply, no JSON, or holds a number that is not finite.
    """
    if not path.is_file():
        raise ValueError("there is no such file" if not path.exists() else "it is no ordinary file")
    with path.open("rb") as stream:
        content = stream.read(MOST_JSON + 1)
    if len(content) > MOST_JSON:
        raise ValueError(f"it is larger than {MOST_JSON // 2**20} MB")
    try:
        return json.loads(content, parse_constant=_finite, parse_float=_finite, parse_int=_whole)
    except json.JSONDecodeError as error:
        raise ValueError(f"no JSON at line {error.lineno}, column {error.colno}") from None
    except UnicodeDecodeError:
        raise ValueError("no text in UTF-8") from None
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def _finite(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise ValueError(f"it holds {digits[:20]}, which is no finite number")
    return number


def _whole(digits: str) -> int:
    if len(digits) > _MOST_DIGITS:
        raise ValueError(f"it holds a number of {len(digits)} digits")
    return int(digits)


def checked(kind: type[T], value: Any) -> T:
    """A dataclass from a JSON object, each field of its type. Raises ValueError, naming the field, for others."""
    from pydantic import TypeAdapter, ValidationError

    if not isinstance(value, dict):
        raise ValueError(f"a {type(value).__name__} stands where an object {{...}} is expected")
    adapter = TypeAdapter(kind)
    if unknown := set(value) - set(getattr(kind, "__dataclass_fields__", value)):
        raise ValueError(f"{min(unknown)[:40]!r} is unknown")
    try:
        return adapter.validate_python(value)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise ValueError(f"{where}: {first_line(ValueError(first['msg']))}") from None


def data_folder(name: Literal["prompts", "pipelines"]) -> Path:
    """The folder of the prompt suites or of the community pipelines: in the package where it is installed, beside it in
    a checkout. Raises AbeRerankError if it is not there.
    """
    package = Path(__file__).parent
    for place in (package / name, package.parent / name):
        if place.is_dir():
            return place
    raise AbeRerankError(f"the folder {name!r} is missing beside {package}; install the package again")


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
