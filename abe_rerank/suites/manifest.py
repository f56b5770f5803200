"""Manifests: CSV or JSONL files that say which image should show what."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from abe_rerank.errors import UsageError


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
            raise UsageError(f"{path}, line {number}: needs an image and a prompt, as columns or keys of these names")
        rows.append(Row(path.parent / image, prompt, str(record.get("id") or ""), str(record.get("category") or "")))
    return rows


def read_records(path: Path) -> Iterator[tuple[int, dict[str, object]]]:
    """(line number, record) of each row of a CSV or JSONL file; a line of JSONL that is no object gives an empty one.

    Raises UsageError, naming the line, for what cannot be read.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} cannot be read: {error}") from None
    yield from _json_lines(text, path) if path.suffix.lower() in (".jsonl", ".json", ".ndjson") else _csv_lines(text)


def _csv_lines(text: str) -> Iterator[tuple[int, dict[str, object]]]:
    reader = csv.DictReader(io.StringIO(text, newline=""))
    for record in reader:
        yield reader.line_num, dict(record)


def _json_lines(text: str, path: Path) -> Iterator[tuple[int, dict[str, object]]]:
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            try:
                record = json.loads(line)
            except json.JSONDecodeError as error:
                raise UsageError(f"{path}, line {number}: not JSON ({error.msg})") from None
            yield number, record if isinstance(record, dict) else {}
