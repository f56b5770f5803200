"""Labelled (attribute, object) pairs, to fit a calibration and to measure it, and whether the scorer looks where the
object is: pointing, and the share of its heat on the object's mask."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import tee
from pathlib import Path

import numpy as np
from PIL import Image

from abe_rerank.benchmarks.binding_scenes import (
    Things,
    caption,
    picture,
    replace_colour,
    replace_shape,
    scenes,
    swap_colours,
)
from abe_rerank.benchmarks.cases import Seen
from abe_rerank.errors import UsageError
from abe_rerank.images import to_pil
from abe_rerank.parsing import parse
from abe_rerank.scoring.abe import AbeScorer
from abe_rerank.scoring.calibration import GENERAL, Calibration, fit_rows
from abe_rerank.scoring.decision import Decision
from abe_rerank.scoring.placing import peak
from abe_rerank.scoring.stream import score_stream
from abe_rerank.shapes.world import Split
from abe_rerank.suites.rows import read_records
from abe_rerank.types import Box, PairScore, Region, Spec

Asked = tuple[str, dict[str, str]]
"""A prompt, and what is true of the pair of each shape that it names."""


def _asked(split: Split, count: int) -> Iterator[tuple[Image.Image, list[Asked]]]:
    """Pictures of ``count`` scenes of each of 1 to 4 objects with what they are asked about: their own captions, those
    with a colour or a shape replaced, and from 2 objects on with two colours swapped."""
    rng = np.random.default_rng(7)
    for objects in (1, 2, 3, 4):
        for _, scene in zip(range(count), scenes(objects, split), strict=False):
            prompts = [scene.objects, replace_colour(scene.objects, rng), replace_shape(scene.objects, rng)]
            if objects > 1:
                prompts.append(swap_colours(scene.objects, rng))
            yield picture(scene), [(caption(things), _truth(scene.objects, things)) for things in prompts]


def _truth(seen: Things, asked: Things) -> dict[str, str]:
    colours = {thing.shape: thing.colour for thing in seen}
    truth = {}
    for thing in asked:
        if thing.shape not in colours:
            truth[thing.shape] = "missing"
        elif colours[thing.shape] == thing.colour:
            truth[thing.shape] = "right"
        else:
            truth[thing.shape] = "swapped" if thing.colour in colours.values() else "replaced"
    return truth


Told = tuple[str, PairScore]
"""What is true of a pair (right, swapped, replaced or missing), and what the scorer says of it."""


def told_pairs(scorer: AbeScorer, split: Split, count: int) -> list[Told]:
    """What the scorer says, as a report has it, of every pair of the true and false captions of ``count`` scenes of
    each of 1 to 4 objects."""
    mine, theirs = tee((image, *asked) for image, found in _asked(split, count) for asked in found)
    scores = score_stream(scorer, ((image, parse(prompt)) for image, prompt, _ in theirs))
    return [
        (kinds[pair.object.text], pair)
        for (_, _, kinds), score in zip(mine, scores, strict=True)
        for pair in score.pairs
    ]


def verdict_counts(told: Sequence[Told]) -> dict[str, dict[str, int]]:
    """How many pairs of each kind get each verdict."""
    counts: dict[str, Counter[str]] = {kind: Counter() for kind in ("right", "swapped", "replaced", "missing")}
    for kind, pair in told:
        counts[kind][pair.verdict] += 1
    return {kind: dict(found) for kind, found in counts.items()}


def probabilities_of(told: Sequence[Told]) -> tuple[np.ndarray, np.ndarray]:
    """The probabilities [M] that were said, and whether each pair is bound [M]."""
    likely = np.array([pair.probability for _, pair in told], dtype=np.float64)
    return likely, np.array([kind == "right" for kind, _ in told])


_YES, _NO = {"1", "true", "yes", "bound", "right"}, {"0", "false", "no", "unbound", "wrong"}


@dataclass(frozen=True)
class LabelledRow:
    """One labelled picture; ``pair`` names the pair that the label is about. Where it is "", a bound label is about all
    pairs, another about the one of the least margin.
    """

    image: Path
    prompt: str
    bound: bool
    pair: str = ""
    kind: str = ""


def read_rows(path: Path) -> list[LabelledRow]:
    """Rows of a CSV or JSONL file with image, prompt, bound, and optionally pair and kind; paths relative to the file.

    Raises UsageError, naming the line, for what cannot be read.
    """
    rows = [_row(path, number, record) for number, record in read_records(path)]
    if not rows:
        raise UsageError(f"no labelled rows in {path}")
    return rows


def _row(path: Path, number: int, record: dict[str, object]) -> LabelledRow:
    if not all(record.get(key) not in (None, "") for key in ("image", "prompt", "bound")):
        raise UsageError(f"{path}, line {number}: needs image, prompt and bound")
    label = str(record["bound"]).strip().lower()
    if label not in _YES | _NO:
        raise UsageError(f"{path}, line {number}: bound is {record['bound']!r}; say true or false")
    return LabelledRow(
        image=path.parent / str(record["image"]),
        prompt=str(record["prompt"]),
        bound=label in _YES,
        pair=" ".join(str(record.get("pair") or "").split()),
        kind=str(record.get("kind") or ""),
    )


def calibrate_on_rows(scorer: AbeScorer, rows: Sequence[LabelledRow]) -> Calibration:
    """A calibration for ``scorer`` whose decision stays, and is read as labelled rows have it.

    Raises UsageError for a row without pairs, a named pair that its prompt does not have, or too few rows of one label,
    and AbeRerankError for a picture that cannot be read.
    """
    decision = (scorer.calibration or GENERAL).decision
    told = row_pairs(_deciding(scorer, decision), rows)
    mix = Counter(row.kind or ("right" if row.bound else "wrong") for row, _ in told)
    return fit_rows(decision, *row_probabilities(told), scorer.calibration_key, mix)


def _deciding(scorer: AbeScorer, decision: Decision) -> AbeScorer:
    """The scorer with the probabilities of a decision as they are."""
    return AbeScorer(scorer.backbone, scorer.settings, Calibration(scorer.calibration_key, decision))


def row_pairs(scorer: AbeScorer, rows: Sequence[LabelledRow]) -> list[tuple[LabelledRow, PairScore]]:
    """What the scorer says of each pair that the labels are about. Raises as :func:`calibrate_on_rows` does."""
    found = []
    for row in rows:
        spec = parse(row.prompt)
        if spec.nothing_to_bind:
            raise UsageError(f"{row.image}: nothing to bind was found in the prompt {row.prompt!r}; leave the row out")
        about = _about(row, spec)
        (score,) = scorer.explain([to_pil(row.image)], spec)
        least = min(range(len(score.pairs)), key=lambda j: score.pairs[j].margin)
        found += [(row, score.pairs[j]) for j in ([least] if about is None else about)]
    return found


def row_probabilities(told: Sequence[tuple[LabelledRow, PairScore]]) -> tuple[np.ndarray, np.ndarray]:
    """The probabilities [M] that were said of the pairs, and the labels [M]."""
    return np.array([pair.probability for _, pair in told], np.float64), np.array([row.bound for row, _ in told])


def _about(row: LabelledRow, spec: Spec) -> Sequence[int] | None:
    """The places of the pairs that a label is about; None for the one of the least margin."""
    if row.pair:
        names = [f"{attribute} {noun}" for attribute, noun in spec.pairs]
        if row.pair not in names:
            raise UsageError(f"{row.image}: no pair {row.pair!r} in its prompt; there are {', '.join(names)}")
        return [names.index(row.pair)]
    return range(len(spec.pairs)) if row.bound else None


@dataclass(frozen=True)
class Localisation:
    """Per object: ``pointing``, 1 if the centre of its heaviest patch lies in its box; ``heat``, the share of the
    region's weight on the object's mask; ``chance``, the share of the image that the mask covers.
    """

    pointing: np.ndarray
    heat: np.ndarray
    chance: np.ndarray


def localise(scorer: AbeScorer, pictures: Iterable[Seen]) -> Localisation:
    """Where the scorer finds the objects that each picture's caption names, asked with that caption."""
    rows = []
    seen, asked = tee(pictures)
    scores = score_stream(scorer, ((one.image, parse(one.caption)) for one in asked))
    for one, score in zip(seen, scores, strict=True):
        regions = {(pair.attribute.text, pair.object.text): pair.region for pair in score.pairs}
        for target in one.targets:
            if (target.colour, target.shape) in regions:
                region = regions[target.colour, target.shape]
                rows.append((pointed_at(region, target.box), heat_on(region, target.mask), float(target.mask.mean())))
    pointing, heat, chance = np.array(rows, dtype=np.float64).reshape(-1, 3).T
    return Localisation(pointing, heat, chance)


def pointed_at(region: Region, box: Box) -> float:
    """1.0 if the centre of the heaviest patch lies in the box (fractions of the image), else 0.0."""
    rows, columns = region.weights.shape
    row, column = peak(region.weights)
    left, top, right, bottom = region.window
    x, y = left + (right - left) * (column + 0.5) / columns, top + (bottom - top) * (row + 0.5) / rows
    return float(box[0] <= x <= box[2] and box[1] <= y <= box[3])


def heat_on(region: Region, mask: np.ndarray) -> float:
    """The share of the region's weight on ``mask`` [h, w] in [0, 1], each weight spread evenly over its patch."""
    rows, columns = region.weights.shape
    left, top, right, bottom = region.window
    row, inside_rows = _cells(mask.shape[0], rows, top, bottom)
    column, inside_columns = _cells(mask.shape[1], columns, left, right)
    spread = region.weights[row[:, None], column[None, :]] * inside_rows[:, None] * inside_columns[None, :]
    return float((spread * mask).sum() / spread.sum())


def _cells(pixels: int, cells: int, start: float, end: float) -> tuple[np.ndarray, np.ndarray]:
    """The grid cell of each pixel along one axis, and whether the grid covers the pixel."""
    place = ((np.arange(pixels) + 0.5) / pixels - start) / (end - start)
    return np.clip((place * cells).astype(int), 0, cells - 1), (place >= 0) & (place < 1)
