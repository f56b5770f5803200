"""What a report says in words: verdicts as sentences, the prompt cut into marked pieces."""

from __future__ import annotations

from dataclasses import dataclass

from abe_rerank.report.schema import PairRecord, ParseRecord, ScoreRecord
from abe_rerank.types import Verdict

SIGNS: dict[Verdict, str] = {"bound": "✓", "swapped": "⇄", "weak": "~", "not found": "✗"}


@dataclass(frozen=True)
class Piece:
    """A stretch of the prompt; ``object`` is the number of the object it belongs to, None for plain text."""

    text: str
    object: int | None = None
    role: str = "plain"


def sentence(pair: PairRecord) -> str:
    """What a verdict means for one pair, as a reader would say it."""
    if pair.verdict == "bound":
        return f"{pair.attribute} is on the {pair.object}"
    if pair.verdict == "swapped":
        return f"{pair.competitor} sits on the {pair.object}, where {pair.attribute} was asked"
    if pair.verdict == "weak":
        return f"{pair.attribute} on the {pair.object} is uncertain"
    return f"no {pair.object} was found"


def status_line(score: ScoreRecord) -> str:
    """What a score stands on, or why there is none."""
    if score.status == "unscored":
        return f"not scored: {score.reason or 'no reason given'}"
    if score.status == "nothing to bind":
        return "binding: nothing to bind in this prompt; the score is the global one"
    if not score.pairs:
        return "this scorer gives one score for the whole picture and no verdicts on its attributes"
    bound = sum(pair.verdict == "bound" for pair in score.pairs)
    return f"{bound} of {len(score.pairs)} attributes are where they belong"


def pieces(prompt: str, parse: ParseRecord) -> list[Piece]:
    """The prompt in order, cut so that each object and each attribute is a piece; joined they are the prompt."""
    marks = []
    for number, thing in enumerate(parse.objects, start=1):
        marks.append((thing.span, number, "object"))
        marks += [(attribute.span, number, "attribute") for attribute in thing.attributes]
    found, at = [], 0
    for (start, end), number, role in sorted(marks):
        if start < at:
            continue
        if start > at:
            found.append(Piece(prompt[at:start]))
        found.append(Piece(prompt[start:end], number, role))
        at = end
    return [*found, Piece(prompt[at:])] if at < len(prompt) else found
