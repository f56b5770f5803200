"""Where the parser reads a prompt of a suite otherwise than the suite says: ``prompts/parser_differences.json``.

The pairs of a suite are what a reader of English finds. The file lists every prompt in which the parser of this package
finds others, so that a change of the parser shows, and so that nobody takes its misses for those of an image model.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass

from abe_rerank.parsing import parse
from abe_rerank.suites import Pairs, SuitePrompt

FILE = "parser_differences.json"


@dataclass(frozen=True)
class Difference:
    """A prompt that the parser reads otherwise: the pairs that it missed, and those that it found but nobody meant."""

    id: str
    prompt: str
    missed: Pairs
    extra: Pairs


def differences(prompts: Iterable[SuitePrompt]) -> list[Difference]:
    """The prompts with expected pairs in which the parser does not find exactly these."""
    found = []
    for prompt in prompts:
        expected, read = prompt.pairs, parse(prompt.prompt).pairs
        if expected is not None and sorted(expected) != sorted(read):
            missed = tuple(pair for pair in expected if pair not in read)
            extra = tuple(pair for pair in read if pair not in expected)
            found.append(Difference(prompt.id, prompt.prompt, missed, extra))
    return found


def as_text(found: Iterable[Difference]) -> str:
    """A JSON list with one difference on each line."""
    lines = [json.dumps(vars(difference), ensure_ascii=False) for difference in found]
    return "[\n" + ",\n".join(lines) + "\n]\n"
