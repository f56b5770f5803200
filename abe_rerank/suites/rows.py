"""Reading files of rows, JSON lines and tables, that may hold anything: a row, or one error that names the line.

Manifests are such files: CSV or JSONL that says which image should show what.
"""

from __future__ import annotations

import codecs
import csv
import io
import json
from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from abe_rerank.errors import UsageError
from abe_rerank.files import check_file

MOST_BYTES = 512 * 2**20
"""The largest text that is read whole."""

_MARKS = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))
_DELIMITERS = {",": "commas", "\t": "tabs", ";": "semicolons", "|": "bars"}


def read_text(path: Path) -> str:
    """The text of a file in UTF-8, or in UTF-16 with its mark. Raises UsageError for a file that holds no text, or more
    than can be read whole."""
    try:
        check_file(path)
        with path.open("rb") as stream:
            content = stream.read(MOST_BYTES + 1)
        if len(content) > MOST_BYTES:
            raise UsageError(f"{path} is larger than {MOST_BYTES // 2**20} MB; cut it into several")
        return decoded(content, str(path))
    except (OSError, ValueError) as error:
        if isinstance(error, UsageError):
            raise
        words = getattr(error, "strerror", None) or error
        raise UsageError(f"{path} cannot be read: {words}") from None


def decoded(content: bytes, name: str) -> str:
    """The text in a file's bytes, its mark left out. Raises UsageError, naming the line, for what is no text."""
    coding, start = next(((coding, len(mark)) for mark, coding in _MARKS if content.startswith(mark)), ("utf-8", 0))
    try:
        text = content[start:].decode(coding)
    except UnicodeDecodeError as error:
        place = start + error.start
        line = content.count(b"\n", 0, place) + 1
        raise UsageError(
            f"{name}, line {line}: not {coding.upper()} text (byte 0x{content[place]:02x}); save it as UTF-8"
        ) from None
    if (place := text.find("\0")) >= 0:
        line = text.count("\n", 0, place) + 1
        raise UsageError(
            f"{name}, line {line}: holds a NUL character, so it is no text file in UTF-8; save it as UTF-8"
        )
    return text


def json_value(text: str, where: str) -> Any:
    """The JSON value of a text, as of a line. Raises UsageError, which begins with ``where``, for what is none."""
    try:
        value = json.loads(text)
        json.dumps(value, ensure_ascii=False).encode()
    except json.JSONDecodeError as error:
        raise UsageError(f"{where}: not JSON ({error.msg}, column {error.colno})") from None
    except RecursionError:
        raise UsageError(f"{where}: JSON that is nested too deeply") from None
    except UnicodeEncodeError:
        raise UsageError(f"{where}: holds half a character (a lone surrogate), which no file can hold") from None
    except ValueError:
        raise UsageError(f"{where}: holds a number of more digits than can be read") from None
    return value


def json_lines(text: str, name: str) -> Iterator[tuple[int, Any]]:
    """(line number, value) of each line that is not blank. Raises UsageError, naming the line, for what is no JSON."""
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            yield number, json_value(line, f"{name}, line {number}")


def table_rows(
    text: str, name: str, known: Collection[str], quoting: Literal[0, 3] = csv.QUOTE_MINIMAL
) -> Iterator[tuple[int, dict[str, str]]]:
    """(line number, cells by column) of each row of a table that is not blank, after its header.

    Columns are parted by commas, tabs, semicolons or bars, whichever gives the header most of the ``known`` names;
    names are read in lower case and stripped; with csv.QUOTE_NONE a quote is a character like others. Raises
    UsageError, naming the line, for quotes that are not closed, more cells than columns, or a column that is there
    twice.
    """
    first = next((line for line in text.splitlines() if line.strip()), "")
    delimiter = max(_DELIMITERS, key=lambda sign: len(set(_names(first.split(sign))) & set(known)))
    reader = csv.reader(
        io.StringIO(text, newline=""),
        delimiter=delimiter,
        strict=True,
        skipinitialspace=delimiter != "\t",
        quoting=quoting,
    )
    columns: list[str] = []
    for line, cells in _lines(reader, name):
        if not any(cell.strip() for cell in cells):
            continue
        if not columns:
            columns = _names(cells)
            if twice := {column for column, times in Counter(columns).items() if column and times > 1}:
                raise UsageError(f"{name}, line {line}: the column {min(twice)} is there twice")
            continue
        if any(cell.strip() for cell in cells[len(columns) :]):
            raise UsageError(
                f"{name}, line {line}: {len(cells)} cells, but {len(columns)} columns, parted by "
                f'{_DELIMITERS[delimiter]}; put quotes ("...") round a text that holds one'
            )
        yield line, dict(zip(columns, cells, strict=False))


def _lines(reader: Any, name: str) -> Iterator[tuple[int, list[str]]]:
    """(line on which it begins, cells) of each row. Raises UsageError for what csv cannot read."""
    while True:
        line = reader.line_num + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            if "field limit" in str(error) or "end of data" in str(error):
                why = f"a quote that is not closed, or a cell of more than {csv.field_size_limit():,} characters"
            else:
                why = f"quotes that do not go round a whole cell ({error})"
            raise UsageError(f'{name}, line {line}: {why}; write a quote inside of quotes twice ("")') from None
        yield line, cells


def _names(cells: list[str]) -> list[str]:
    return [cell.strip().strip('"').strip().lower() for cell in cells]


_JSON = (".jsonl", ".json", ".ndjson")


@dataclass(frozen=True)
class Row:
    """One image file to score for one prompt; ``id`` and ``category`` are those of the prompt, empty if not said.
    ``boxes`` says where the objects of the prompt are, phrase by phrase; None if nobody said."""

    image: Path
    prompt: str
    id: str = ""
    category: str = ""
    boxes: dict[str, Any] | None = field(default=None, hash=False)


def read_manifest(path: Path) -> list[Row]:
    """Rows of a CSV file with the columns image and prompt, or of JSONL with these keys; paths relative to the file.

    Columns id, category and boxes (JSON: {phrase: [left, top, right, bottom]}, fractions of the image) are read where
    they are there. Raises UsageError, naming the line, for what cannot be read.
    """
    rows = []
    for number, record in read_records(path):
        image, prompt = record.get("image"), record.get("prompt")
        if not (isinstance(image, str) and image and isinstance(prompt, str) and prompt.strip()):
            raise UsageError(
                f"{path}, line {number}: needs an image and a prompt, as columns or keys of these names; "
                f"found {_found(record)}"
            )
        identity, category = (str(record.get(name) or "") for name in ("id", "category"))
        boxes = _boxes(record.get("boxes"), f"{path}, line {number}")
        rows.append(Row(path.parent / image, prompt, identity, category, boxes))
    return rows


def _boxes(cell: object, where: str) -> dict[str, Any] | None:
    """The boxes in a cell, an object or the JSON of one; None if it is empty."""
    if cell is None or cell == "":
        return None
    value = json_value(cell, f"{where}, boxes") if isinstance(cell, str) else cell
    if not isinstance(value, dict):
        raise UsageError(f'{where}: boxes must be an object, as in {{"a red cube": [0, 0, 0.5, 1]}}')
    return value or None


def read_records(path: Path) -> Iterator[tuple[int, dict[str, object]]]:
    """(line number, record) of each row of a CSV or JSONL file; a line of JSONL that is no object gives an empty one.

    A JSON file may be one list of records too, which are counted in place of lines. The columns of a table may be
    parted by commas, tabs, semicolons or bars. Raises UsageError, naming the line, for what cannot be read.
    """
    text = read_text(path)
    if path.suffix.lower() not in _JSON:
        for number, cells in table_rows(text, str(path), known=("image", "prompt")):
            yield number, dict(cells)
        return
    whole = text.lstrip().startswith("[")
    values = enumerate(_listed(text, path), start=1) if whole else json_lines(text, str(path))
    for number, value in values:
        yield number, value if isinstance(value, dict) else {}


def _listed(text: str, path: Path) -> list[object]:
    """The records of a file that is one JSON list; lines of JSON that are lists each are none."""
    try:
        value = json_value(text, str(path))
    except UsageError:
        return [value for _, value in json_lines(text, str(path))]
    return value if isinstance(value, list) else [value]


def _found(record: dict[str, object]) -> str:
    """What a row holds, in a few words."""
    given = [name[:40] for name, value in record.items() if value not in (None, "")]
    return ", ".join(given[:6]) + (" ..." if len(given) > 6 else "") if given else "neither"
