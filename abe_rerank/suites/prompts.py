"""One prompt of a suite."""

from __future__ import annotations

import json
from dataclasses import dataclass

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


def as_line(prompt: SuitePrompt) -> str:
    """A prompt as a line of JSONL."""
    fields = ("id", "prompt", "pairs", "category", "source", "licence")
    return json.dumps({name: getattr(prompt, name) for name in fields}, ensure_ascii=False)
