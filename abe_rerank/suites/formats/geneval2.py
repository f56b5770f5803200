"""GenEval 2's JSON lines (arXiv 2512.16853): prompts with the questions that a judge is to ask of their pictures.

Each line has ``prompt``, ``atom_count``, ``vqa_list`` (pairs of question and expected answer) and ``skills``, one for
each question. The benchmark's data is CC BY-NC 4.0: it is read where the user has it, and does not ship.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from abe_rerank.errors import UsageError
from abe_rerank.suites.formats import PromptFormat, SuitePrompt, first_line, register
from abe_rerank.suites.formats.known_files import is_json, records
from abe_rerank.types import PartKind

KINDS: dict[str, PartKind] = {
    **{"object": "object", "attribute": "attribute", "count": "count"},
    **{"position": "relation", "verb": "relation", "relation": "relation"},
}
"""What kind of atom each skill is about."""


def _fits(text: str, name: str) -> bool:
    return '"vqa_list"' in first_line(text) and is_json(text, name)


def _read(text: str, name: str) -> Iterator[SuitePrompt]:
    for number, where, record in records(text, name):
        count = record.get("atom_count")
        if not isinstance(count, int) or isinstance(count, bool) or count < 1:
            raise UsageError(f'{where}: "atom_count" must be a number of atoms, 1 or more')
        yield SuitePrompt(
            str(record.get("id", number)),
            record["prompt"],
            category=f"{count} atoms" if count != 1 else "1 atom",
            source="GenEval 2",
            questions=_questions(record, where),
            atom_count=count,
        )


def _questions(record: Mapping[str, Any], where: str) -> tuple[tuple[PartKind, str, str], ...]:
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
        if not isinstance(skill, str) or skill not in KINDS:
            raise UsageError(f"{where}: unknown skill {skill!r}; known are {', '.join(KINDS)}")
        found.append((KINDS[skill], pair[0], pair[1]))
    return tuple(found)


register(PromptFormat("GenEval 2", _fits, _read))
