"""What reports say in words: verdicts as sentences, why an image was picked, what runs found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

from abe_rerank.evaluation.comparison import METRICS
from abe_rerank.evaluation.summary_schema import Comparison, RunSummary
from abe_rerank.runs.generated import CandidateRecord, Report
from abe_rerank.runs.meanings import VERDICTS, holds
from abe_rerank.runs.records import PairRecord, ParseRecord, ScoreRecord
from abe_rerank.types import Verdict

SIGNS: dict[Verdict, str] = {name: meaning.sign for name, meaning in VERDICTS.items()}


@dataclass(frozen=True)
class Piece:
    """A stretch of the prompt; ``object`` is the number of the object it belongs to, None for plain text."""

    text: str
    object: int | None = None
    role: str = "plain"
    span: tuple[int, int] = (0, 0)


def sentence(pair: PairRecord) -> str:
    """What a verdict means for one pair, as a reader would say it."""
    if pair.verdict == "bound":
        return f"{pair.attribute} is on the {pair.object}"
    if pair.verdict == "swapped":
        of = f" (asked of the {pair.seen_of})" if pair.seen_of else ""
        return f"{shown(pair)}{of} sits on the {pair.object}, where {pair.attribute} was asked"
    if pair.verdict == "wrong":
        return f"the {pair.object} is {shown(pair) or 'not that'}, asked: {pair.attribute}"
    if pair.verdict == "unsure":
        return f"{pair.attribute} on the {pair.object} is uncertain"
    return f"no {pair.object} was found"


def shown(pair: PairRecord) -> str:
    """The value that the object has instead of the asked one; "" where none is to be seen."""
    return pair.competitor if pair.seen is None else pair.seen


def claim(pair: PairRecord) -> str:
    """The sentence with its numbers: "yellow is on the cylinder: 0.97; red would fit it 0.04".

    The numbers are probabilities where the scorer is calibrated, else evidence: of the values, or after what is amiss
    of the verdict ("no cube was found (0.97)").
    """
    if pair.verdict not in ("bound", "unsure") and pair.certainty is not None:
        return f"{sentence(pair)} ({pair.certainty:.2f})"
    if pair.verdict == "not found":
        return sentence(pair)
    asked, rival = numbers(pair)
    if pair.verdict in ("swapped", "wrong"):
        return f"{sentence(pair)}: {pair.attribute} fits it {asked}, {pair.competitor} {rival}"
    return f"{sentence(pair)}: {asked}; {competitor(pair)} would fit it {rival}"


def relations(score: ScoreRecord) -> list[str]:
    """What is seen of the prompt's relations: "holds: cube to the left of ring (0.97)"."""
    return [f"{holds(part.value)}: {part.text} ({part.value:.2f})" for part in score.parts if part.kind == "relation"]


def numbers(pair: PairRecord) -> tuple[str, str]:
    """The asked value's and the competitor's probability, or their evidence where there is no probability."""
    if pair.probability is not None and pair.competitor_probability is not None:
        return f"{pair.probability:.2f}", f"{pair.competitor_probability:.2f}"
    return f"{pair.evidence:+.3f}", f"{pair.evidence - pair.margin:+.3f}"


def competitor(pair: PairRecord) -> str:
    """The strongest competitor in words; where no value competes, it is the noun without one."""
    return pair.competitor or f"“{pair.object}” alone"


def mark(pair: PairRecord) -> str:
    """The verdict in a word or two, to stand on a picture."""
    if pair.verdict in ("swapped", "wrong") and shown(pair):
        return f"{SIGNS[pair.verdict]} {shown(pair)}, not {pair.attribute}"
    if pair.verdict == "not found":
        return f"{SIGNS['not found']} no {pair.object}"
    return f"{SIGNS[pair.verdict]} {pair.attribute}{'?' if pair.verdict == 'unsure' else ''}"


def brief(pair: PairRecord) -> str:
    """What stands behind a verdict's name in a list."""
    return sentence(pair) if pair.verdict in ("swapped", "wrong") else f"{pair.attribute} {pair.object}"


def called(candidate: CandidateRecord) -> str:
    """What tells an image from the others: its seed, else the name of its file."""
    if candidate.seed is not None:
        return f"seed {candidate.seed}"
    name = PurePosixPath(candidate.image).stem.partition("_")[2]
    return name if name not in ("", "seednone") else f"image {candidate.rank}"


def in_place(score: ScoreRecord) -> int:
    """How many attributes are where they belong."""
    return sum(pair.verdict == "bound" for pair in score.pairs)


def status_line(score: ScoreRecord) -> str:
    """What a score stands on, or why there is none."""
    if score.status == "unscored":
        return f"not scored: {score.reason or 'no reason given'}"
    if score.status == "nothing to bind":
        return "binding: nothing to bind in this prompt; the score is the global one"
    if not score.pairs:
        return "this scorer gives one score for the whole picture and no verdicts on its attributes"
    return f"{in_place(score)} of {len(score.pairs)} attributes are where they belong"


def headline(score: ScoreRecord) -> str:
    """What was found in an image, as a heading."""
    if score.status != "scored" or not score.pairs:
        return status_line(score).capitalize() if score.status == "unscored" else "One score for the whole picture"
    found, asked = in_place(score), len(score.pairs)
    if found == asked:
        return {1: "The attribute is where it belongs", 2: "Both attributes are where they belong"}.get(
            asked, f"All {asked} attributes are where they belong"
        )
    return f"{found} of {asked} attributes are where they belong"


def why(report: Report) -> str:
    """Why the picked image was picked, in numbers. Raises ValueError if none was."""
    scored = [c for c in report.candidates if c.score.value is not None]
    if report.picked is None or not scored:
        raise ValueError("no image was picked")
    values = [value for c in scored if (value := c.score.value) is not None]
    text = f"Its score, {values[0]:+.3f}, is the highest of {len(values)}"
    if len(values) > 1:
        text += f" (runner-up {values[1]:+.3f}, mean {sum(values) / len(values):+.3f})"
    pairs = len(scored[0].score.pairs)
    if not pairs or len(values) == 1:
        return f"{text}."
    whole = sum(in_place(c.score) == pairs for c in scored)
    return f"{text}. {_share(whole, len(scored))} every attribute in place."


def _share(part: int, whole: int) -> str:
    if part == 0:
        return "No image has"
    return f"All {whole} images have" if part == whole else f"{part} of {whole} images {'has' if part == 1 else 'have'}"


def pieces(prompt: str, parse: ParseRecord) -> list[Piece]:
    """The prompt in order, cut so that each object and each attribute is a piece; joined they are the prompt.

    Objects that the prompt does not want are plain text.
    """
    marks = []
    for number, thing in enumerate((thing for thing in parse.objects if not thing.negated), start=1):
        marks.append((thing.span, number, "object"))
        marks += [(attribute.span, number, "attribute") for attribute in thing.attributes]
    found, at = [], 0
    for (start, end), number, role in sorted(marks):
        if start < at:
            continue
        if start > at:
            found.append(Piece(prompt[at:start]))
        found.append(Piece(prompt[start:end], number, role, (start, end)))
        at = end
    return [*found, Piece(prompt[at:])] if at < len(prompt) else found


NAMES = {
    "bound": "attributes in place",
    "oracle": "right by the oracle",
    "judge": "judge",
    "probability": "probability of a pair",
    "score": "score",
}
"""The numbers of a run in words, in the order in which they are shown."""

_OF = {"first": "first image", "mean": "mean of the images", "picked": "picked image"}


def found(summary: RunSummary) -> str:
    """The main finding of a run as a sentence: attributes in place, or else the score."""
    n = summary.run.images_per_prompt
    bound, score = summary.all.bound, summary.all.score
    if bound is not None:
        first = f"{bound.first.mean:.0%} of attributes are in place in the first image"
        return first if n == 1 else f"{first}, {bound.picked.mean:.0%} in the one picked of {n}"
    if score is not None:
        first = f"The first image scores {score.first.mean:+.3f}"
        return first if n == 1 else f"{first}, the one picked of {n} {score.picked.mean:+.3f}"
    return "No image of this run has a score with something to bind"


def difference_found(compared: Mapping[str, Comparison]) -> str:
    """The main finding of a comparison as a sentence, by the first of its numbers."""
    for name, comparison in compared.items():
        d = comparison.all.difference
        if d is not None:
            numbers = f"A {d.a:.3f}, B {d.b:.3f}, {p_value(d.p_value)}"
            if d.low <= 0 <= d.high:
                return f"No clear difference in {metric_name(name)} ({numbers})"
            return f"{'B' if d.difference > 0 else 'A'} is better in {metric_name(name)} ({numbers})"
    return "These runs have no number in common"


def metric_name(metric: str) -> str:
    """A metric of a comparison in words: "attributes in place, picked image"."""
    quantity, image = METRICS[metric]
    return f"{NAMES[quantity]}, {_OF[image]}"


def p_value(p: float) -> str:
    """A p-value as text."""
    return "p < 0.001" if p < 0.001 else f"p = {p:.3f}"
