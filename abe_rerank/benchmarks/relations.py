"""What is worth what is said of relations: pictures whose places are known, asked for a relation that holds or its
opposite, and how often a picture is preferred to its mirror image where relations count in the score.
``abe-rerank benchmark verdicts --relations``.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from typing import Any

import numpy as np
from PIL import Image, ImageOps

from abe_rerank.benchmarks.binding_scenes import picture, scenes
from abe_rerank.benchmarks.verdicts import said
from abe_rerank.files import table
from abe_rerank.parsing import parse
from abe_rerank.runs.meanings import holds
from abe_rerank.scoring.abe import AbeScorer
from abe_rerank.scoring.counted_relations import RelationsScorer
from abe_rerank.scoring.placing import direction
from abe_rerank.scoring.stream import score_stream
from abe_rerank.shapes.world import ReportSplit

APART = 0.05
"""Objects whose centres are nearer along an axis are asked for no relation on it, in parts of the picture."""
WORDS = (("to the left of", "to the right of"), ("above", "below"))
ANSWERS = ("holds", "fails", "unsure")

Pictures = Callable[[ReportSplit, int], Iterator[tuple[Image.Image, Sequence[Any]]]]
"""So many pictures of a split with their things, which have colour, shape, x and y."""


@dataclass(frozen=True)
class Found:
    """What is said of relations (``rows``), and of ``pairs`` of a picture with a relation that holds and its mirror
    image the share in which the picture has the higher score, by the scorer and with relations counted."""

    rows: Sequence[Row]
    pairs: int
    preferred: float
    preferred_counting: float


@dataclass(frozen=True)
class Row:
    """Of the questions whose answer is ``truth``: how many were asked of objects that are found, how often each answer
    was given, and how many objects were not found."""

    truth: str
    asked: int
    answers: Mapping[str, int]
    not_found: int


def shapes_pictures(split: ReportSplit, count: int) -> Iterator[tuple[Image.Image, Sequence[Any]]]:
    """``count`` scenes of each of two and three objects of the built-in models' own world."""
    for objects in (2, 3):
        for scene in islice(scenes(objects, split, first=11_000_000 + objects * 100_000), count):
            yield picture(scene), scene.objects


SOURCES: Mapping[str, Pictures] = {"shapes": shapes_pictures}
"""What ships; a checkout has other renderers' pictures too."""


def questions(pictures: Iterator[tuple[Image.Image, Sequence[Any]]]) -> Iterator[tuple[Image.Image, str, bool]]:
    """For two things of each picture with shapes of their own, for each axis on which they stand apart, a prompt with
    the relation that holds and one with its opposite, and whether it holds."""
    rng = np.random.default_rng(18)
    for image, things in pictures:
        counts = Counter(thing.shape for thing in things)
        own = [thing for thing in things if counts[thing.shape] == 1]
        if len(own) < 2:
            continue
        one, other = (own[int(k)] for k in rng.choice(len(own), 2, replace=False))
        first, second = (said([(thing.colour, thing.shape)]) for thing in (one, other))
        for axis, (before, after) in zip("xy", WORDS, strict=True):
            gap = getattr(other, axis) - getattr(one, axis)
            if abs(gap) > APART:
                yield image, f"{first} {before} {second}", gap > 0
                yield image, f"{first} {after} {second}", gap < 0


def answered(scorer: AbeScorer, asked: Iterator[tuple[Image.Image, str, bool]]) -> list[Row]:
    """A row for the relations that hold and one for those that do not."""
    listed = list(asked)
    given: dict[bool, Counter[str]] = {True: Counter(), False: Counter()}
    lost = Counter[bool]()
    scores = score_stream(scorer, ((image, parse(prompt)) for image, prompt, _ in listed))
    for (_, _, true), score in zip(listed, scores, strict=True):
        if any(pair.verdict == "not found" for pair in score.pairs):
            lost[true] += 1
        else:
            (part,) = score.parts
            given[true][holds(part.value)] += 1
    names = {True: "holds", False: "fails"}
    return [Row(names[true], given[true].total(), dict(given[true]), lost[true]) for true in (True, False)]


def preferred(scorers: Sequence[AbeScorer], asked: Sequence[tuple[Image.Image, str, bool]]) -> list[tuple[bool, ...]]:
    """Whether each picture whose relation holds is preferred to its mirror image, in which it does not, by each of the
    scorers; they share the backbone and the patches that they read."""
    found = []
    for image, prompt, true in asked:
        if true:
            spec = parse(prompt)
            axis, _ = direction(spec.relations[0].text) or (0, 0)
            pair = scorers[0].encode([image, ImageOps.flip(image) if axis else ImageOps.mirror(image)])
            scores = [scorer.score_features(pair, scorer.prepare([spec]))[:, 0].tolist() for scorer in scorers]
            found.append(tuple(right > wrong for right, wrong in scores))
    return found


def main(scorer: AbeScorer, scenes: int, sources: Mapping[str, Pictures], json_output: bool = False) -> str:
    """The tables of the sources on the reporting split, as text or JSON."""
    counting = RelationsScorer(scorer.backbone)
    found = {name: _found(scorer, counting, list(questions(draw("report", scenes)))) for name, draw in sources.items()}
    if json_output:
        listed = {name: asdict(part) for name, part in found.items()}
        return json.dumps({"schema_version": 2, "benchmark": "relations", "scenes": scenes, "sources": listed})
    return "\n\n".join(f"{name}\n{_as_text(part)}" for name, part in found.items())


def _found(scorer: AbeScorer, counting: AbeScorer, asked: list[tuple[Image.Image, str, bool]]) -> Found:
    found = preferred((scorer, counting), asked)
    plain, counted = zip(*found, strict=True)
    return Found(answered(scorer, iter(asked)), len(plain), float(np.mean(plain)), float(np.mean(counted)))


def _as_text(found: Found) -> str:
    lines = []
    for row in found.rows:
        shares = [f"{row.answers.get(answer, 0) / max(row.asked, 1):.3f}" for answer in ANSWERS]
        lines.append([row.truth, str(row.asked), *shares, str(row.not_found)])
    shown = table(["what is true", "asked", *ANSWERS, "an object not found"], lines)
    return (
        f"{shown}\npreferred to its mirror image, of {found.pairs}: {found.preferred:.3f}, "
        f"with relations counted {found.preferred_counting:.3f}"
    )
