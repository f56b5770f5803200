"""One prompt a line, as in T2I-CompBench: what a file of no other format is taken for."""

from __future__ import annotations

from collections.abc import Iterator

from abe_rerank.suites.formats import PromptFormat, SuitePrompt, register


def _read(text: str, _: str) -> Iterator[SuitePrompt]:
    lines = enumerate(text.split("\n"), start=1)
    return (SuitePrompt(str(number), line.strip()) for number, line in lines if line.strip())


register(PromptFormat("one prompt a line", lambda text, name: True, _read, generality=9))
