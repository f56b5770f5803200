"""GenEval's metadata: JSON lines of tag, include (objects with class and colour) and prompt."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from abe_rerank.errors import UsageError
from abe_rerank.suites.formats import Pairs, PromptFormat, SuitePrompt, register
from abe_rerank.suites.formats.json_lines import is_json, prompt_of, records


def colour_pairs(record: Mapping[str, Any]) -> Pairs | None:
    """The (colour, class) pairs of a line of the metadata; None if it names no colour."""
    things = [thing for thing in record["include"] if thing.get("color")]
    return tuple((str(thing["color"]), str(thing["class"])) for thing in things) or None


def _fits(text: str, name: str) -> bool:
    return '"include"' in text and is_json(text, name)


def _read(text: str, name: str) -> Iterator[SuitePrompt]:
    """A prompt's id is the name of its folder of images; lines without "include" are read as ours."""
    for place, (number, where, record) in enumerate(records(text, name)):
        yield _prompt(record, where, place) if "include" in record else prompt_of(record, where, number)


def _prompt(record: Mapping[str, Any], where: str, place: int) -> SuitePrompt:
    try:
        pairs = colour_pairs(record)
    except (KeyError, TypeError, AttributeError):
        raise UsageError(f'{where}: "include" must be a list of objects, each with its "class"') from None
    return SuitePrompt(f"{place:05d}", record["prompt"], pairs, str(record.get("tag", "")), "GenEval")


register(PromptFormat("GenEval", _fits, _read))
