"""JSON lines: ours (prompt, and if known id, pairs, category, source, licence), and DPG's (id, prompt)."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from abe_rerank.errors import UsageError
from abe_rerank.suites.formats import PromptFormat, SuitePrompt, first_line, register


def as_line(prompt: SuitePrompt) -> str:
    """A prompt as a line of our JSONL."""
    fields = ("id", "prompt", "pairs", "category", "source", "licence")
    return json.dumps({name: getattr(prompt, name) for name in fields}, ensure_ascii=False)


def is_json(text: str, name: str) -> bool:
    """Whether a file begins with a JSON object; a brace alone makes none of a text file."""
    first = first_line(text)
    if not first.lstrip().startswith("{"):
        return False
    try:
        return isinstance(json.loads(first), dict)
    except json.JSONDecodeError:
        return not name.lower().endswith(".txt")


def records(text: str, name: str) -> Iterator[tuple[int, str, dict[str, Any]]]:
    """(number of the line, file and line in words, record) of each line with a prompt.

    Raises UsageError for a line that is no JSON object, or has no "prompt".
    """
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        where = f"{name}, line {number}"
        try:
            record = json.loads(line)
        except json.JSONDecodeError as error:
            raise UsageError(f"{where}: not JSON ({error.msg})") from None
        if not isinstance(record, dict) or not isinstance(record.get("prompt"), str) or not record["prompt"].strip():
            raise UsageError(f'{where}: needs a "prompt"')
        yield number, where, record


def prompt_of(record: Mapping[str, Any], where: str, number: int) -> SuitePrompt:
    """A line of ours. Raises UsageError, naming ``where`` it stands, for pairs that are none."""
    pairs = record.get("pairs")
    try:
        expected = None if pairs is None else tuple((str(attribute), str(thing)) for attribute, thing in pairs)
    except (TypeError, ValueError):
        raise UsageError(f'{where}: "pairs" must be a list of [attribute, object]') from None
    texts = {field: str(record.get(field, "")) for field in ("category", "source", "licence")}
    return SuitePrompt(str(record.get("id", number)), record["prompt"], expected, **texts)


def _read(text: str, name: str) -> Iterator[SuitePrompt]:
    return (prompt_of(record, where, number) for number, where, record in records(text, name))


register(PromptFormat("JSON lines", is_json, _read, generality=1))
