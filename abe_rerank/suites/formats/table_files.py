"""Tables with a header: PartiPrompts (tabs: Prompt, Category, ...), DrawBench (commas: Prompts, Category), DPG (commas:
item_id, text, ..., a row for each question about a prompt).
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from functools import partial

from abe_rerank.errors import UsageError
from abe_rerank.suites.formats import PromptFormat, SuitePrompt, first_line, register

_PROMPT = ("prompt", "prompts", "text")
_ID = ("id", "prompt_id", "item_id")
_CATEGORY = ("category", "tag")


def _fits(delimiter: str, text: str, _: str) -> bool:
    """Whether the file begins with the header of a table of prompts with such columns."""
    columns = _names(first_line(text).split(delimiter))
    return len(columns) > 1 and (bool({"prompt", "prompts"} & set(columns)) or {"item_id", "text"} <= set(columns))


def _names(cells: list[str]) -> list[str]:
    return [cell.strip().strip('"').lower() for cell in cells]


def _read(delimiter: str, text: str, name: str) -> Iterator[SuitePrompt]:
    """Rows of a table; tabs come without quoting, as in PartiPrompts. Of rows with one item_id the first counts."""
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


register(PromptFormat("tables with tabs (PartiPrompts)", partial(_fits, "\t"), partial(_read, "\t"), generality=2))
register(PromptFormat("tables with commas (DrawBench, DPG)", partial(_fits, ","), partial(_read, ","), generality=3))
