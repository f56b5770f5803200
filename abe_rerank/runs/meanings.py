"""What a verdict means: the one table that reports, the terminal, page filters and benchmarks follow."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from abe_rerank.types import Verdict


@dataclass(frozen=True)
class Meaning:
    """What a verdict says of a pair: in words, in one sign, and whether that is "good", "bad" or in "doubt"."""

    words: str
    sign: str
    tone: Literal["good", "bad", "doubt"]


VERDICTS: Mapping[Verdict, Meaning] = {
    "bound": Meaning("the object is there and has the asked value", "✓", "good"),
    "swapped": Meaning("it has a value that the prompt asks of another object", "⇄", "bad"),
    "wrong": Meaning("it has a value that nothing in the prompt should have", "≠", "bad"),
    "not found": Meaning("the object is not there", "✗", "bad"),
    "unsure": Meaning("what is seen decides nothing", "~", "doubt"),
}
"""Signs, colours and order are taken from here."""

CLEAR = 0.65
"""An atom, as a relation, holds or fails if that is at least so likely."""


def holds(probability: float) -> Literal["holds", "fails", "unsure"]:
    """What the probability of an atom says."""
    if max(probability, 1 - probability) < CLEAR:
        return "unsure"
    return "holds" if probability > 0.5 else "fails"
