"""The formats that ship with the package: JSON lines (ours, DPG's, GenEval's metadata, GenEval 2's), tables.

Ours: prompt, and if known id, pairs, category, source, licence. DPG's: id, prompt. Tables have a header: PartiPrompts
(tabs), DrawBench and DPG (commas).
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from typing import Any, Literal

from abe_rerank.errors import UsageError
from abe_rerank.suites.formats import AskedQuestion, Pairs, PromptFormat, SuitePrompt, first_line, register
from abe_rerank.suites.rows import json_lines, table_rows
from abe_rerank.types import ATOMS, PartKind


def as_line(prompt: SuitePrompt) -> str:
    """A prompt as a line of our JSONL."""
    fields = ("id", "prompt", "pairs", "category", "source", "licence")
    asked = [name for name in ("questions", "atom_count") if getattr(prompt, name) is not None]
    return json.dumps({name: getattr(prompt, name) for name in (*fields, *asked)}, ensure_ascii=False)


def is_json(text: str, name: str) -> bool:
    """Whether a file begins with a JSON object; a brace alone makes none of a text file."""
    first = first_line(text)
    if not first.lstrip().startswith("{"):
        return False
    try:
        return isinstance(json.loads(first), dict)
    except (ValueError, RecursionError):  # records() says what is wrong with it
        return not name.lower().endswith(".txt")


def records(text: str, name: str) -> Iterator[tuple[int, str, dict[str, Any]]]:
    """(number of the line, file and line in words, record) of each line with a prompt.

    Raises UsageError for a line that is no JSON object, or has no "prompt".
    """
    for number, record in json_lines(text, name):
        where = f"{name}, line {number}"
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
    count = record.get("atom_count")
    if not (count is None or (isinstance(count, int) and count >= 1)):
        raise UsageError(f'{where}: "atom_count" must be a number of atoms, 1 or more')
    asked = _questions(record.get("questions"), where)
    identity = str(record.get("id", number))
    return SuitePrompt(identity, record["prompt"], expected, **texts, questions=asked, atom_count=count)


def _questions(value: Any, where: str) -> tuple[AskedQuestion, ...] | None:
    """The questions of a line of ours. Raises UsageError, naming ``where`` they stand, for what is none."""
    if value is None:
        return None
    try:
        found = tuple((kind, question, answer) for kind, question, answer in value)
        if not all(kind in ATOMS and isinstance(q, str) and isinstance(a, str) for kind, q, a in found):
            raise ValueError
    except (TypeError, ValueError):
        raise UsageError(f'{where}: "questions" must be a list of [kind of atom, question, answer]') from None
    return found


def _read(text: str, name: str) -> Iterator[SuitePrompt]:
    return (prompt_of(record, where, number) for number, where, record in records(text, name))


register(PromptFormat("JSON lines", is_json, _read, generality=1))


def colour_pairs(record: Mapping[str, Any]) -> Pairs | None:
    """The (colour, class) pairs of a line of the metadata; None if it names no colour."""
    things = [thing for thing in record["include"] if thing.get("color")]
    return tuple((str(thing["color"]), str(thing["class"])) for thing in things) or None


def _fits_geneval(text: str, name: str) -> bool:
    return '"include"' in text and is_json(text, name)


def _read_geneval(text: str, name: str) -> Iterator[SuitePrompt]:
    """A prompt's id is the name of its folder of images; lines without "include" are read as ours."""
    for place, (number, where, record) in enumerate(records(text, name)):
        yield _prompt(record, where, place) if "include" in record else prompt_of(record, where, number)


def _prompt(record: Mapping[str, Any], where: str, place: int) -> SuitePrompt:
    try:
        pairs = colour_pairs(record)
    except (KeyError, TypeError, AttributeError):
        raise UsageError(f'{where}: "include" must be a list of objects, each with its "class"') from None
    return SuitePrompt(f"{place:05d}", record["prompt"], pairs, str(record.get("tag", "")), "GenEval")


register(PromptFormat("GenEval", _fits_geneval, _read_geneval))


SKILLS: dict[str, PartKind] = {
    **{"object": "object", "attribute": "attribute", "count": "count"},
    **{"position": "relation", "verb": "relation", "relation": "relation"},
}
"""What kind of atom each skill is about."""


def _fits_geneval2(text: str, name: str) -> bool:
    return '"vqa_list"' in first_line(text) and is_json(text, name)


def _read_geneval2(text: str, name: str) -> Iterator[SuitePrompt]:
    """Lines with atom_count, vqa_list (questions with their answers) and skills, one for each question.

    The benchmark's data is CC BY-NC 4.0: it is read where the user has it, and does not ship.
    """
    for number, where, record in records(text, name):
        count = record.get("atom_count")
        if not isinstance(count, int) or isinstance(count, bool) or count < 1:
            raise UsageError(f'{where}: "atom_count" must be a number of atoms, 1 or more')
        yield SuitePrompt(
            str(record.get("id", number)),
            record["prompt"],
            category=f"{count} atoms" if count != 1 else "1 atom",
            source="GenEval 2",
            questions=_asked(record, where),
            atom_count=count,
        )


def _asked(record: Mapping[str, Any], where: str) -> tuple[tuple[PartKind, str, str], ...]:
    """(kind, question, expected answer) of each atom. Raises UsageError, naming ``where`` it stands, for others."""
    asked, skills = record.get("vqa_list"), record.get("skills")
    if not isinstance(asked, list) or not isinstance(skills, list) or len(asked) != len(skills) or not asked:
        raise UsageError(
            f'{where}: "vqa_list" and "skills" must be lists of one length, with a skill for each question'
        )
    found = []
    for pair, skill in zip(asked, skills, strict=True):
        if not isinstance(pair, list) or len(pair) != 2 or not all(isinstance(x, str) and x.strip() for x in pair):
            raise UsageError(f'{where}: "vqa_list" must hold pairs of a question and its answer, both texts')
        if not isinstance(skill, str) or skill not in SKILLS:
            raise UsageError(f"{where}: unknown skill {skill!r}; known are {', '.join(SKILLS)}")
        found.append((SKILLS[skill], pair[0], pair[1]))
    return tuple(found)


register(PromptFormat("GenEval 2", _fits_geneval2, _read_geneval2))


_PROMPT = ("prompt", "prompts", "text")
_ID = ("id", "prompt_id", "item_id")
_CATEGORY = ("category", "tag")


def _fits_table(delimiters: str, text: str, _: str) -> bool:
    """Whether the file begins with the header of a table of prompts whose columns one of the delimiters parts."""
    return any(_is_header(first_line(text).split(delimiter)) for delimiter in delimiters)


def _is_header(cells: list[str]) -> bool:
    columns = {cell.strip().strip('"').lower() for cell in cells}
    return len(cells) > 1 and (bool({"prompt", "prompts"} & columns) or {"item_id", "text"} <= columns)


def _read_table(quoting: Literal[0, 3], text: str, name: str) -> Iterator[SuitePrompt]:
    """Rows of a table; of rows with one item_id the first counts."""
    seen: set[str] = set()
    for line, row in table_rows(text, name, (*_PROMPT, *_ID, *_CATEGORY), quoting):
        cells = {column: cell.strip() for column, cell in row.items()}
        if not any(cells.values()):
            continue
        prompt, identity, category = (_column(cells, wanted) for wanted in (_PROMPT, _ID, _CATEGORY))
        if not cells.get(prompt):
            raise UsageError(f"{name}, line {line}: the prompt is empty")
        key = cells.get(identity) or str(line)
        if identity != "item_id" or key not in seen:
            seen.add(key)
            yield SuitePrompt(key, cells[prompt], category=cells.get(category, ""))


def _column(columns: Iterable[str], wanted: tuple[str, ...]) -> str:
    return next((name for name in wanted if name in columns), "")


register(
    PromptFormat(
        "tables with tabs (PartiPrompts)",
        partial(_fits_table, "\t"),
        partial(_read_table, csv.QUOTE_NONE),
        generality=2,
    )
)
register(
    PromptFormat(
        "tables with commas (DrawBench, DPG)",
        partial(_fits_table, ",;|"),
        partial(_read_table, csv.QUOTE_MINIMAL),
        generality=3,
    )
)
