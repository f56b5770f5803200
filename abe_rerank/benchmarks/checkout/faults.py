"""Best of N where what is wrong is known: ``abe-rerank benchmark faults``.

Of eight pictures for a prompt three are drawn for it, and five for the prompt with one fault each; of sixteen twice as
many. The oracle confirms what each shows, what it sees otherwise is counted and left out; the scorers see the asked
prompt alone.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from abe_rerank.benchmarks.verdicts import Judged, Question, as_table, judged, said, truth_of
from abe_rerank.drawing.sampling import Sampling, draw, settle
from abe_rerank.errors import UsageError
from abe_rerank.evaluation.statistics import bootstrap_mean, paired_difference
from abe_rerank.files import table
from abe_rerank.parsing import parse
from abe_rerank.scoring.abe import AbeScorer
from abe_rerank.shapes.oracle import Detection, Oracle, is_right
from abe_rerank.shapes.world import COLOURS, SHAPES

if TYPE_CHECKING:
    from abe_rerank.drawing.pipelines import Pipeline
    from abe_rerank.scoring import Scorer

Pairs = Sequence[tuple[str, str]]
RIGHT = "right"
FAULTS = ("colours swapped", "another colour", "one colour on two", "another shape", "object missing")
EIGHT, RIGHT_OF_EIGHT = 8, 3
SIZES = (1, 2, 4, 8, 16)
"""The numbers of pictures among which one is picked, as far as there are so many."""
SUBSETS = 40
"""So many random choices of N of a prompt's pictures are looked at, with at least one right and one wrong picture; of
one picture, where nothing is picked, each."""


@dataclass(frozen=True)
class Drawn:
    """A picture drawn for a prompt or for it with a ``fault``, as what the oracle sees confirms it."""

    image: Image.Image
    fault: str
    seen: tuple[Detection, ...]


@dataclass(frozen=True)
class Lot:
    """The confirmed pictures of one prompt, and how many were left out by what they were to show."""

    pairs: Pairs
    pictures: tuple[Drawn, ...]
    left_out: Mapping[str, int]

    @property
    def prompt(self) -> str:
        """What the scorers are asked."""
        return said(self.pairs)


def faulty(pairs: Pairs, fault: str, rng: np.random.Generator) -> Pairs:
    """The (colour, shape) pairs with one fault."""
    told = list(pairs)
    i, j = (int(k) for k in rng.choice(len(told), 2, replace=False))
    if fault == "colours swapped":
        told[i], told[j] = (told[j][0], told[i][1]), (told[i][0], told[j][1])
    elif fault == "another colour":
        told[i] = (str(rng.choice([c for c in COLOURS if c not in {c for c, _ in told}])), told[i][1])
    elif fault == "one colour on two":
        told[i] = (told[j][0], told[i][1])
    elif fault == "another shape":
        told[i] = (told[i][0], str(rng.choice([s for s in SHAPES if s not in {s for _, s in told}])))
    elif fault == "object missing":
        del told[i]
    return told


def lots(
    pipeline: Pipeline, oracle: Oracle, objects: int, prompts: int, seed: int = 0, pictures: int = EIGHT
) -> Iterator[Lot]:
    """The pictures of ``prompts`` prompts of ``objects`` objects, all colours and shapes of a prompt different.

    ``pictures`` of each prompt are drawn. Raises UsageError unless these are eight or a multiple of it.
    """
    if pictures < EIGHT or pictures % EIGHT:
        raise UsageError(f"{pictures} pictures of a prompt: give {EIGHT} or a multiple of it, so that faults share out")
    times = pictures // EIGHT
    for k in range(prompts):
        rng = np.random.default_rng((seed, objects, k))
        colours, shapes = rng.choice(COLOURS, objects, replace=False), rng.choice(SHAPES, objects, replace=False)
        pairs = [(str(c), str(s)) for c, s in zip(colours, shapes, strict=True)]
        wanted: list[tuple[str, Pairs, int]] = [(RIGHT, pairs, times * RIGHT_OF_EIGHT)]
        wanted += [(fault, faulty(pairs, fault, rng), times) for fault in FAULTS]
        first, kept, left_out = int(rng.integers(2**31)), [], Counter[str]()
        for fault, shown, count in wanted:
            drawing = settle(pipeline, Sampling(n=count, seed=first, batch_size=count))
            first += count
            images = [sample.image for sample in draw(pipeline, said(shown), drawing).images]
            for image, seen in zip(images, oracle.detect(images), strict=True):
                if is_right(seen, parse(said(shown))):
                    kept.append(Drawn(image, fault, tuple(seen)))
                else:
                    left_out[fault] += 1
        yield Lot(pairs, tuple(kept), dict(left_out))


def generated_questions(found: Sequence[Lot]) -> Iterator[Question]:
    """The pictures as questions, as what the oracle sees answers them."""
    for lot in found:
        for picture in lot.pictures:
            seen = {thing.shape: thing.colour for thing in picture.seen}
            yield Question(picture.image, lot.prompt, {s: truth_of(seen, lot.pairs, c, s) for c, s in lot.pairs})


def values_of(scorer: Scorer, found: Sequence[Lot]) -> list[np.ndarray]:
    """The scores of each lot's pictures for its prompt."""
    return [scorer.score([p.image for p in lot.pictures], [parse(lot.prompt)])[:, 0] for lot in found]


def choices(lot: Lot, n: int, number: int) -> list[np.ndarray]:
    """Sets of ``n`` of a lot's pictures in the order they are looked at, each with a right and a wrong one; none where
    there are too few."""
    right = np.array([p.fault == RIGHT for p in lot.pictures])
    if len(right) < 2 or right.all() or not right.any():
        return []
    if n == 1:
        return [np.array([k]) for k in range(len(right))]
    rng = np.random.default_rng((n, number))
    found: list[np.ndarray] = []
    while len(found) < SUBSETS:
        order = rng.permutation(len(right))[: min(n, len(right))]
        if right[order].any() and not right[order].all():
            found.append(order)
    return found


def picks(found: Sequence[Lot], values: Sequence[np.ndarray] | None, n: int) -> list[Mapping[str, float]]:
    """For each lot that has choices: the share of them in which the highest value is each fault's (or right); without
    values the shares of what can be picked, as a random pick, or the first, finds them."""
    rows: list[Mapping[str, float]] = []
    for number, lot in enumerate(found):
        counts: Counter[str] = Counter()
        sets = choices(lot, n, number)
        for order in sets:
            taken = order if values is None else [order[int(np.argmax(values[number][order]))]]
            for k in taken:
                counts[lot.pictures[int(k)].fault] += 1 / len(taken) / len(sets)  # type: ignore[assignment]
        if sets:
            rows.append(dict(counts))
    return rows


def main(
    pipeline: Pipeline,
    scorers: Mapping[str, Scorer],
    objects: Sequence[int],
    prompts: int,
    json_output: bool = False,
    pictures: int = EIGHT,
) -> str:
    """Draws, scores and says how often each scorer picks a right picture or each fault, as text or JSON."""
    oracle = Oracle.load()
    parts = []
    for count in objects:
        found = list(lots(pipeline, oracle, count, prompts, pictures=pictures))
        values = {name: values_of(scorer, found) for name, scorer in scorers.items()}
        abe = scorers.get("abe")
        verdicts = judged(abe, generated_questions(found)) if isinstance(abe, AbeScorer) else Judged((), None)
        parts.append((measured(count, found, values, pictures), verdicts))
    if json_output:
        listed = [part | {"verdicts": asdict(verdicts)} for part, verdicts in parts]
        return json.dumps({"schema_version": 1, "benchmark": "faults", "prompts": prompts, "parts": listed})
    return "\n\n".join(f"{_text(part)}\n{as_table(verdicts)}" for part, verdicts in parts)


def measured(
    objects: int, found: Sequence[Lot], values: Mapping[str, Sequence[np.ndarray]], most: int = EIGHT
) -> dict[str, object]:
    """The numbers of prompts of ``objects`` objects: for each N of SIZES up to ``most`` what each scorer picks."""
    left = sum((Counter(lot.left_out) for lot in found), Counter[str]())
    rows = []
    for n in (size for size in SIZES if size <= most):
        shares = {"first or random": picks(found, None, n), **{name: picks(found, v, n) for name, v in values.items()}}
        base = np.array([row.get(RIGHT, 0.0) for row in shares[next(iter(values))]])
        for name, part in shares.items():
            right = np.array([row.get(RIGHT, 0.0) for row in part])
            faults = {fault: float(np.mean([row.get(fault, 0.0) for row in part])) for fault in FAULTS}
            less = None if np.array_equal(base, right) else str(paired_difference(base, right))
            rows.append({"n": n, "pick": name, "right": str(bootstrap_mean(right)), "less": less, "faults": faults})
        if n > 1:
            rows.append({"n": n, "pick": "best possible", "right": "1.000", "less": None, "faults": {}})
    pictures = sum(len(lot.pictures) for lot in found)
    counted = len(picks(found, None, EIGHT))
    return {"objects": objects, "prompts": counted, "pictures": pictures, "left_out": dict(left), "rows": rows}


def _text(part: Mapping[str, object]) -> str:
    rows: list[dict[str, object]] = part["rows"]  # type: ignore[assignment]
    lines = []
    for row in rows:
        faults: dict[str, float] = row["faults"]  # type: ignore[assignment]
        cells = [f"{faults[f]:.3f}" if faults else "-" for f in FAULTS]
        lines.append([str(row["n"]), str(row["pick"]), str(row["right"]), *cells, str(row["less"] or "-")])
    left: dict[str, int] = part["left_out"]  # type: ignore[assignment]
    said_left = ", ".join(f"{count} {name}" for name, count in left.items()) or "none"
    head = f"{part['objects']} objects: {part['prompts']} prompts, {part['pictures']} pictures; left out: {said_left}"
    return f"{head}\n" + table(["N", "pick", "right", *FAULTS, "the first scorer's lead"], lines)
