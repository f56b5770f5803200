"""Manifests: CSV or JSONL files that say which image should show what."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from abe_rerank.errors import UsageError
from abe_rerank.suites.rows import json_lines, json_value, read_text, table_rows

_JSON = (".jsonl", ".json", ".ndjson")


@dataclass(frozen=True)
class Row:
    """One image file to score for one prompt; ``id`` and ``category`` are those of the prompt, empty if not said."""

    image: Path
    prompt: str
    id: str = ""
    category: str = ""


def read_manifest(path: Path) -> list[Row]:
    """Rows of a CSV file with the columns image and prompt, or of JSONL with these keys; paths relative to the file.

    Columns id and category are read where they are there. Raises UsageError, naming the line, for what cannot be read.
    """
    rows = []
    for number, record in read_records(path):
        image, prompt = record.get("image"), record.get("prompt")
        if not (isinstance(image, str) and image and isinstance(prompt, str) and prompt.strip()):
            raise UsageError(
                f"{path}, line {number}: needs an image and a prompt, as columns or keys of these names; "
                f"found {_found(record)}"
            )
        rows.append(Row(path.parent / image, prompt, str(record.get("id") or ""), str(record.get("category") or "")))
    return rows


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
