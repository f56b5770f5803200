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


def agreement(prompts: Iterable[SuitePrompt]) -> dict[str, tuple[int, int, int, int]]:
    """By category: prompts, those read as expected, expected pairs, and those of them that the parser finds."""
    table: dict[str, tuple[int, int, int, int]] = {}
    for prompt in prompts:
        found = differences([prompt])
        number = len(prompt.pairs or ())
        row = (1, 1 - len(found), number, number - sum(len(difference.missed) for difference in found))
        a, b, c, d = table.get(prompt.category, (0, 0, 0, 0))
        table[prompt.category] = (a + row[0], b + row[1], c + row[2], d + row[3])
    return table


def main() -> None:
    """Print the agreement of the parser with every suite."""
    from abe_rerank.suites import load_prompts, names

    for name in names():
        for category, (prompts, agreeing, pairs, found) in agreement(load_prompts(name)).items():
            share = found / pairs if pairs else 1.0
            print(f"{name}:{category:<12}{prompts:>6} prompts,{agreeing:>5} as expected, pairs found {share:.4f}")


if __name__ == "__main__":
    main()
