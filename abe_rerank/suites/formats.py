"""Files of prompts as others write them, told apart by their first line and not by their name.

JSON lines: ours (prompt, and if known id, pairs, category, source, licence), DPG's (id, prompt), GenEval's metadata
(tag, include, prompt). Tables with a header: PartiPrompts (tabs: Prompt, Category, ...), DrawBench (commas: Prompts,
Category), DPG (commas: item_id, text, ..., a row for each question). Everything else is one prompt a line, as in
T2I-CompBench.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping
from typing import Any

from abe_rerank.errors import UsageError
from abe_rerank.suites.prompts import Pairs, SuitePrompt

_PROMPT = ("prompt", "prompts", "text")
_ID = ("id", "prompt_id", "item_id")
_CATEGORY = ("category", "tag")


def read_text(text: str, name: str) -> list[SuitePrompt]:
    """The prompts in a file's text. Raises UsageError, naming the line, for what cannot be read."""
    first = next((line for line in text.splitlines() if line.strip()), "")
    delimiter = _delimiter(first)
    if _is_json(first, name):
        prompts = list(_json_prompts(text, name))
    elif delimiter:
        prompts = list(_table_prompts(text, delimiter, name))
    else:
        lines = enumerate(text.split("\n"), start=1)
        prompts = [SuitePrompt(str(number), line.strip()) for number, line in lines if line.strip()]
    return [_encodable(prompt, name) for prompt in prompts]


def geneval_pairs(record: Mapping[str, Any]) -> Pairs | None:
    """The (colour, class) pairs of a line of GenEval's metadata; None if it names no colour."""
    things = [thing for thing in record["include"] if thing.get("color")]
    return tuple((str(thing["color"]), str(thing["class"])) for thing in things) or None


def _is_json(first: str, name: str) -> bool:
    """Whether a file that begins so holds JSON lines; a brace alone makes none of a text file."""
    if not first.lstrip().startswith("{"):
        return False
    try:
        return isinstance(json.loads(first), dict)
    except json.JSONDecodeError:
        return not name.lower().endswith(".txt")


def _delimiter(first: str) -> str | None:
    """What separates the columns, if the line is the header of a table of prompts."""
    for delimiter in ("\t", ","):
        cells = _names(first.split(delimiter))
        if len(cells) > 1 and ("prompt" in cells or "prompts" in cells or {"item_id", "text"} <= set(cells)):
            return delimiter
    return None


def _names(cells: list[str]) -> list[str]:
    return [cell.strip().strip('"').lower() for cell in cells]


def _json_prompts(text: str, name: str) -> Iterator[SuitePrompt]:
    count = 0
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
        yield _geneval(record, where, count) if "include" in record else _own(record, where, number)
        count += 1


def _geneval(record: Mapping[str, Any], where: str, number: int) -> SuitePrompt:
    """A line of GenEval's metadata; its id is the name of its folder of images."""
    try:
        pairs = geneval_pairs(record)
    except (KeyError, TypeError, AttributeError):
        raise UsageError(f'{where}: "include" must be a list of objects, each with its "class"') from None
    return SuitePrompt(f"{number:05d}", record["prompt"], pairs, str(record.get("tag", "")), "GenEval")


def _own(record: Mapping[str, Any], where: str, number: int) -> SuitePrompt:
    pairs = record.get("pairs")
    try:
        expected = None if pairs is None else tuple((str(attribute), str(thing)) for attribute, thing in pairs)
    except (TypeError, ValueError):
        raise UsageError(f'{where}: "pairs" must be a list of [attribute, object]') from None
    texts = {field: str(record.get(field, "")) for field in ("category", "source", "licence")}
    return SuitePrompt(str(record.get("id", number)), record["prompt"], expected, **texts)


def _table_prompts(text: str, delimiter: str, name: str) -> Iterator[SuitePrompt]:
    """Rows of a table; tabs come without quoting, as in PartiPrompts. DPG has a row for
    each question about a prompt."""
    lines = io.StringIO(text.lstrip("\r\n"), newline="")
    plain = csv.reader(lines, delimiter="\t", quoting=csv.QUOTE_NONE)
    reader = plain if delimiter == "\t" else csv.reader(lines, delimiter=delimiter)
    columns = _names(next(reader))
    prompt, identity, category = (_column(columns, wanted) for wanted in (_PROMPT, _ID, _CATEGORY))
    seen: set[str] = set()
    for row in reader:
        cells = {column: cell.strip() for column, cell in zip(columns, row, strict=False)}
        if not any(cells.values()):
            continue
        if not cells.get(prompt):
            raise UsageError(f"{name}, line {reader.line_num}: the prompt is empty")
        key = cells.get(identity) or str(reader.line_num)
        if identity != "item_id" or key not in seen:
            seen.add(key)
            yield SuitePrompt(key, cells[prompt], category=cells.get(category, ""))


def _column(columns: list[str], wanted: tuple[str, ...]) -> str:
    return next((name for name in wanted if name in columns), "")


def _encodable(prompt: SuitePrompt, name: str) -> SuitePrompt:
    """The prompt itself. Raises UsageError for half a character ("\\ud800"), which no file can hold."""
    try:
        "".join((prompt.id, prompt.prompt, prompt.category, prompt.source, prompt.licence)).encode()
    except UnicodeEncodeError:
        raise UsageError(f"{name}: the prompt {prompt.id!a} holds half a character (a lone surrogate)") from None
    return prompt
