"""Prompt suites: versioned JSONL in ``prompts/``, and files of prompts of the user's own.

A line of a suite holds id, prompt, the expected (attribute, object) pairs, category, source and licence. A user's file
is JSONL with at least a prompt on each line, or plain text with one prompt on each line.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from abe_rerank.errors import UsageError
from abe_rerank.resources import folder

Pairs = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class SuitePrompt:
    """One prompt; ``pairs`` is None where nobody has said which are expected."""

    id: str
    prompt: str
    pairs: Pairs | None = None
    category: str = ""
    source: str = ""
    licence: str = ""


def names() -> tuple[str, ...]:
    """The suites that ship with the package."""
    return tuple(sorted(path.stem for path in folder("prompts").glob("*.jsonl")))


def load_prompts(suite: str) -> list[SuitePrompt]:
    """A suite by its name (``shapes``, or one category of it: ``shapes:colour-2``), or a file.

    Raises UsageError for an unknown name or category, an empty file, or a line that cannot be read.
    """
    name, _, category = suite.partition(":")
    if Path(suite).is_file():
        prompts = read_file(Path(suite))
    elif name in names():
        prompts = [p for p in read_file(folder("prompts") / f"{name}.jsonl") if category in ("", p.category)]
    else:
        raise UsageError(f"no suite or file of prompts called {suite}; the suites are {', '.join(names())}")
    if not prompts:
        raise UsageError(f"there are no prompts in {suite}")
    return prompts


def read_file(path: Path) -> list[SuitePrompt]:
    """The prompts of a JSONL file, or of a text file with one on each line. Raises UsageError, naming the line."""
    try:
        lines = path.read_text(encoding="utf-8-sig").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"the file of prompts {path} cannot be read: {error}") from None
    numbered = [(number, line.strip()) for number, line in enumerate(lines, start=1) if line.strip()]
    if path.suffix.lower() not in (".jsonl", ".ndjson", ".json"):
        return [SuitePrompt(str(number), line) for number, line in numbered]
    return [_parsed(line, f"{path}, line {number}", number) for number, line in numbered]


def as_line(prompt: SuitePrompt) -> str:
    """A prompt as a line of JSONL."""
    fields = ("id", "prompt", "pairs", "category", "source", "licence")
    return json.dumps({name: getattr(prompt, name) for name in fields}, ensure_ascii=False)


def _parsed(line: str, where: str, number: int) -> SuitePrompt:
    try:
        record: Mapping[str, Any] = json.loads(line)
    except json.JSONDecodeError as error:
        raise UsageError(f"{where}: not JSON ({error.msg})") from None
    if not isinstance(record, dict) or not isinstance(record.get("prompt"), str) or not record["prompt"].strip():
        raise UsageError(f'{where}: needs a "prompt"')
    pairs = record.get("pairs")
    try:
        expected = None if pairs is None else tuple((str(attribute), str(thing)) for attribute, thing in pairs)
    except (TypeError, ValueError):
        raise UsageError(f'{where}: "pairs" must be a list of [attribute, object]') from None
    texts = {name: str(record.get(name, "")) for name in ("category", "source", "licence")}
    return SuitePrompt(str(record.get("id", number)), record["prompt"], expected, **texts)
