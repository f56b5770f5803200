"""What the verdicts on single pairs are worth: pictures whose content is known, asked what is true of them or not.

``abe-rerank benchmark verdicts``: one table for each source of pictures; rows are what is true of a pair, columns the
share of each verdict, and how often the value named instead is the right one.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import islice, tee
from typing import Any, Literal, get_args

import numpy as np
from PIL import Image

from abe_rerank.benchmarks.binding_scenes import IMAGE_SIZE, picture, scenes
from abe_rerank.files import table
from abe_rerank.parsing import parse
from abe_rerank.scoring.abe import AbeScorer
from abe_rerank.scoring.calibration import Calibration, expected_calibration_error, fit
from abe_rerank.scoring.decision import Labelled
from abe_rerank.scoring.second_look import choices
from abe_rerank.scoring.stream import score_stream
from abe_rerank.shapes.world import COLOURS, SHAPES, ReportSplit
from abe_rerank.types import PairScore, Verdict

Truth = Literal["in place", "swapped", "swapped one way", "colour replaced", "object missing", "nothing there"]
VERDICTS: tuple[Verdict, ...] = get_args(Verdict)
NAMED: Mapping[str, Verdict] = {"swapped": "swapped", "swapped one way": "swapped", "colour replaced": "wrong"}
"""The verdicts that name a value, by the truth that they should be given to."""
_NOTHING: tuple[Truth, str] = ("nothing there", "")


@dataclass(frozen=True)
class Question:
    """A picture and a prompt, and for each noun of the prompt what is true of its pair and the colour that it has
    ("" for what is not there).
    """

    image: Image.Image
    prompt: str
    truths: Mapping[str, tuple[Truth, str]]


@dataclass(frozen=True)
class Vocabulary:
    """What a world can show, of which replacements are drawn."""

    colours: Sequence[str] = COLOURS
    shapes: Sequence[str] = SHAPES


@dataclass(frozen=True)
class Row:
    """How many ``pairs`` of which ``truth`` holds got each verdict; ``named_right`` counts those that got the verdict
    that is right, and whose named value is what the object shows.
    """

    truth: Truth
    pairs: int
    verdicts: Mapping[str, int]
    named_right: int

    def share(self, verdict: str) -> float:
        """Of the pairs that got ``verdict``."""
        return self.verdicts.get(verdict, 0) / self.pairs


def asked_of_scene(
    image: Image.Image, things: Sequence[Any], named: int, rng: np.random.Generator, words: Vocabulary
) -> Iterator[Question]:
    """A scene under its own caption of ``named`` of its ``things``, and with a colour replaced by one that nothing has,
    a shape replaced by one that nothing has, two colours swapped, and one of the two given to the other thing alone.

    ``things`` have colour and shape; those that are named have shapes of their own, or nothing is asked.
    """
    shapes = Counter(t.shape for t in things)
    order = [int(k) for k in rng.permutation(len(things)) if shapes[things[int(k)].shape] == 1][:named]
    told = [(things[k].colour, things[k].shape) for k in order]
    if len(told) < named or len({c for c, _ in told}) < named:
        return
    colour = str(rng.choice([c for c in words.colours if c not in {t.colour for t in things}]))
    shape = str(rng.choice([s for s in words.shapes if s not in shapes]))
    k = int(rng.integers(named))
    changes = [
        told,
        [*told[:k], (colour, told[k][1]), *told[k + 1 :]],
        [*told[:k], (told[k][0], shape), *told[k + 1 :]],
    ]
    if named > 1:
        i, j = (int(n) for n in rng.choice(named, 2, replace=False))
        crossed = list(told)
        crossed[i], crossed[j] = (told[j][0], told[i][1]), (told[i][0], told[j][1])
        one_way = list(crossed)
        one_way[i] = (colour, told[i][1])
        changes += [crossed, one_way]
    seen = {s: c for c, s in told}
    for pairs in changes:
        yield Question(image, said(pairs), {s: truth_of(seen, pairs, c, s) for c, s in pairs})


def said(pairs: Sequence[tuple[str, str]]) -> str:
    """(colour, shape) pairs as a caption: "a red cube and a blue ring"."""
    parts = [f"{'an' if colour[0] in 'aeiou' else 'a'} {colour} {shape}" for colour, shape in pairs]
    return parts[0] if len(parts) == 1 else ", ".join(parts[:-1]) + f" and {parts[-1]}"


def truth_of(seen: Mapping[str, str], pairs: Sequence[tuple[str, str]], colour: str, shape: str) -> tuple[Truth, str]:
    """What holds of a pair of a prompt of ``pairs`` where the shapes ``seen`` have those colours."""
    if shape not in seen:
        return "object missing", ""
    if seen[shape] == colour:
        return "in place", colour
    owners = [s for c, s in pairs if s != shape and c == seen[shape]]
    if not owners:
        return "colour replaced", seen[shape]
    return ("swapped" if colour in {seen.get(s) for s in owners} else "swapped one way"), seen[shape]


def shapes_questions(split: ReportSplit, count: int) -> Iterator[Question]:
    """``count`` scenes of each of two and three objects of the built-in models' own world."""
    rng = np.random.default_rng((16, split == "report"))
    for objects in (2, 3):
        for scene in islice(scenes(objects, split, first=7_000_000 + objects * 100_000), count):
            yield from asked_of_scene(picture(scene), scene.objects, objects, rng, Vocabulary())


def empty_questions(split: ReportSplit, count: int) -> Iterator[Question]:
    """Noise, flat grounds and gradients, asked for two objects that are not there."""
    rng = np.random.default_rng((17, split == "report"))
    for k in range(count):
        colours = [str(c) for c in rng.choice(COLOURS, 2, replace=False)]
        shapes = [str(s) for s in rng.choice(SHAPES, 2, replace=False)]
        pairs = list(zip(colours, shapes, strict=True))
        yield Question(_empty(k % 3, rng), said(pairs), dict.fromkeys(shapes, _NOTHING))


Questions = Callable[[ReportSplit, int], Iterator[Question]]
"""The questions on so many scenes or pictures of a split."""


def _empty(kind: int, rng: np.random.Generator) -> Image.Image:
    side = IMAGE_SIZE
    if kind == 0:
        return Image.fromarray(rng.integers(0, 256, (side, side, 3), dtype=np.uint8))
    ends = rng.integers(0, 256, (2, 3))
    if kind == 1:
        return Image.new("RGB", (side, side), tuple(int(v) for v in ends[0]))
    ramp = np.linspace(0, 1, side)[:, None, None] * np.ones((1, side, 1))
    ramp = ramp.transpose(1, 0, 2) if rng.random() < 0.5 else ramp
    return Image.fromarray((ends[0] * (1 - ramp) + ends[1] * ramp).astype(np.uint8))


SOURCES: Mapping[str, Questions] = {"shapes": shapes_questions, "nothing": empty_questions}
"""What ships; a checkout has other renderers' pictures too."""


@dataclass(frozen=True)
class Judged:
    """The verdicts on all pairs of some questions: a row for each truth that occurs, and the expected calibration error
    of the probabilities that a pair is bound, None where the scorer gives none."""

    rows: Sequence[Row]
    ece: float | None


def judged(scorer: AbeScorer, questions: Iterator[Question]) -> Judged:
    """The verdicts on all pairs of the questions."""
    counts: dict[Truth, Counter[str]] = defaultdict(Counter)
    right: Counter[str] = Counter()
    sure: list[tuple[float, bool]] = []
    for truth, colour, pair in answers(scorer, questions):
        counts[truth][pair.verdict] += 1
        right[truth] += pair.verdict == NAMED.get(truth) and pair.seen == colour
        if pair.probability is not None:
            sure.append((pair.probability, truth == "in place"))
    rows = [
        Row(truth, counts[truth].total(), dict(counts[truth]), right[truth])
        for truth in get_args(Truth)
        if truth in counts
    ]
    return Judged(rows, expected_calibration_error(*np.array(sure).T) if sure else None)


def answers(scorer: AbeScorer, questions: Iterator[Question]) -> Iterator[tuple[Truth, str, PairScore]]:
    """Every pair of the questions: what is true of it, the colour its object has, and what the scorer says."""
    mine, theirs = tee(questions)
    scores = score_stream(scorer, ((question.image, parse(question.prompt)) for question in theirs))
    for question, score in zip(mine, scores, strict=True):
        for pair in score.pairs:
            yield (*question.truths[pair.object.text], pair)


def labelled_looks(scorer: AbeScorer, questions: Iterator[Question], source: str) -> Iterator[list[Labelled]]:
    """What is seen of the pairs of each question, with what is true of them; a picture's questions come together."""
    image, features = None, None
    for question in questions:
        if features is None or question.image is not image:
            image, features = question.image, scorer.encode_to_explain([question.image])
        plans, _ = scorer.table([parse(question.prompt)])
        rows = []
        for pair, look in zip(plans[0].pairs, scorer.second_look.looks(features, plans[0])[0], strict=True):
            truth, colour = question.truths[plans[0].objects[pair.object].text]
            asked = choices(plans[0], pair)
            rows.append(Labelled(look, asked, asked.values.index(colour) if colour else None, f"{truth}, {source}"))
        yield rows


def fitted(scorer: AbeScorer, scenes: int, sources: Mapping[str, Questions] = SOURCES) -> Calibration:
    """The calibration for a scorer from the sources' choosing split."""
    found = (labelled_looks(scorer, draw("choose", scenes), name) for name, draw in sources.items())
    return fit(scorer.calibration_key, [pairs for part in found for pairs in part])


def main(scorer: AbeScorer, scenes: int, sources: Mapping[str, Questions], json_output: bool = False) -> str:
    """The tables of the sources on the reporting split, as text or JSON."""
    import json

    found = {name: judged(scorer, draw("report", scenes)) for name, draw in sources.items()}
    if json_output:
        listed = {name: asdict(part) for name, part in found.items()}
        return json.dumps({"schema_version": 2, "benchmark": "verdicts", "scenes": scenes, "sources": listed})
    return "\n\n".join(f"{name}\n{as_table(part)}" for name, part in found.items())


def as_table(found: Judged) -> str:
    """As text: shares of each verdict, how many of those with the right one name the right colour, and the error."""
    lines = []
    for row in found.rows:
        named = row.verdicts.get(NAMED.get(row.truth, ""), 0)
        right = f"{row.named_right / named:.3f}" if named else "-"
        lines.append([row.truth, str(row.pairs), *(f"{row.share(v):.3f}" for v in VERDICTS), right])
    error = "no probabilities" if found.ece is None else f"expected calibration error {found.ece:.3f}"
    return table(["what is true", "pairs", *VERDICTS, "named right"], lines) + f"\n{error}"
