"""Numbers of each prompt from those of its images: of the first, of all, of the picked one, of the best possible.

A measure is a column of numerators and denominators over prompts, so that a mean and a rate of pairs are one thing:
the sum of numerators over the sum of denominators. A prompt that has no such number has 0 in both.

*Picked* is the image with the highest score, ties to the first; the judge and the oracle never pick. *Picked by the
global score* is the one that CLIPScore alone would pick, which is what binding is measured against. A prompt counts
for the score and its pairs if its first image is scored, for the judge and the oracle if these could judge the first
and the picked image: so all columns of a table are about the same prompts. Where nothing is to bind the value is the
global score, on another scale: such prompts count for the oracle only.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from abe_rerank.evaluation.numbers import SCORED, Floats, Images, Ints, RunNumbers

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Measure:
    """One number of each prompt: numerators and denominators [prompts], both 0 where there is none."""

    numerator: Floats
    denominator: Floats

    def minus(self, other: Measure) -> Measure:
        """The difference by prompt. Raises ValueError if the denominators differ."""
        if not np.array_equal(self.denominator, other.denominator):
            raise ValueError("the measures are not about the same prompts and pairs")
        return Measure(self.numerator - other.numerator, self.denominator)

    @property
    def counts(self) -> Mask:
        """The prompts that have this number."""
        return self.denominator > 0

    @property
    def values(self) -> Floats:
        """The number of each prompt, nan where there is none."""
        values: Floats = np.full(len(self.numerator), np.nan)
        values[self.counts] = self.numerator[self.counts] / self.denominator[self.counts]
        return values


@dataclass(frozen=True)
class Choices:
    """Rows of :class:`Images` for each prompt: its first image, the picked one, and that picked by the global score.

    ``any`` says where an image has a value, ``any_global`` where one has a global score.
    """

    starts: Ints
    picked: Ints
    any: Mask
    by_global: Ints
    any_global: Mask


def choices_of(images: Images) -> Choices:
    """What is picked of each prompt."""
    starts = np.flatnonzero(np.diff(images.prompt, prepend=-1))
    return Choices(starts, *_highest(images, images.value, starts), *_highest(images, images.global_score, starts))


def _highest(images: Images, numbers: Floats, starts: Ints) -> tuple[Ints, Mask]:
    """The row of each prompt's highest number, ties to the first, and whether it has any."""
    worth = np.where(np.isnan(numbers), -np.inf, numbers)
    rows = np.lexsort((images.candidate, -worth, images.prompt))[starts]
    return rows, worth[rows] > -np.inf


def measures_of(images: Images) -> dict[str, Measure]:
    """All measures of a run, by names such as "score.first", each over the prompts of ``images`` in their order."""
    if not len(images):
        return {}
    chosen = choices_of(images)
    scored = images.status == SCORED
    there = scored[chosen.starts]
    score = _of_images(np.where(scored, images.value, np.nan), chosen, there)
    found = {f"score.{name}": score[name] for name in ("first", "mean", "picked")}
    found |= _of_pairs("bound", images.bound, images.pairs, scored, chosen)
    found |= _of_pairs("probability", images.probability, images.calibrated, scored, chosen)
    for name, values in (("judge", images.judge), ("oracle", images.right)):
        there = np.isfinite(values[chosen.starts]) & np.isfinite(values[chosen.picked]) & chosen.any
        found |= {f"{name}.{key}": measure for key, measure in _of_images(values, chosen, there).items()}
        found |= {f"{name}.{key}": measure for key, measure in _against_global(values, chosen, there).items()}
    return found | _gains(found)


CURVE = {
    "score": "score.picked",
    "bound": "bound.picked",
    "judge": "judge.picked",
    "judge_by_global_score": "judge.picked_by_global_score",
    "judge_best": "judge.best",
    "oracle": "oracle.picked",
    "oracle_by_global_score": "oracle.picked_by_global_score",
    "oracle_best": "oracle.best",
}
"""The measures that are shown for a growing number of images, by their names there."""


def curve_of(numbers: RunNumbers) -> dict[int, dict[str, Measure]]:
    """For N = 1, 2, 4, ... what is picked of the first N images of each prompt that has so many, over all prompts."""
    images, prompts = numbers.images, len(numbers.prompts)
    counts = np.bincount(images.prompt, minlength=prompts)
    curve = {}
    for n in numbers_of_images(int(counts.max(initial=1))):
        enough = counts >= n
        found = measures_of(images.where(enough[images.prompt] & (images.candidate < n)))
        curve[n] = {name: _spread(found[key], enough) for name, key in CURVE.items() if key in found}
    return curve


def _of_images(values: Floats, chosen: Choices, there: Mask) -> dict[str, Measure]:
    """First, mean, picked and best of a number that images have (nan: none), for the prompts that are ``there``."""
    known = ~np.isnan(values)
    sums = np.add.reduceat(np.where(known, values, 0.0), chosen.starts)
    counts = np.add.reduceat(known, chosen.starts, dtype=np.int64)
    best = np.maximum.reduceat(np.where(known, values, -np.inf), chosen.starts)
    found = {
        "first": values[chosen.starts],
        "mean": sums / np.maximum(counts, 1),
        "picked": values[chosen.picked],
        "best": best,
    }
    return {name: Measure(np.where(there, column, 0.0), there.astype(np.float64)) for name, column in found.items()}


def _against_global(values: Floats, chosen: Choices, there: Mask) -> dict[str, Measure]:
    """The number of the image that the global score picks, and what picking by the score gains over it, for those of
    the prompts that are ``there`` where that image has the number."""
    theirs, ours = values[chosen.by_global], values[chosen.picked]
    there = there & chosen.any_global & np.isfinite(theirs)
    weight = there.astype(np.float64)
    return {
        "picked_by_global_score": Measure(np.where(there, theirs, 0.0), weight),
        "picked_minus_global_score": Measure(np.where(there, ours - theirs, 0.0), weight),
    }


def _of_pairs(name: str, part: NDArray[np.generic], whole: Ints, scored: Mask, chosen: Choices) -> dict[str, Measure]:
    """A rate of pairs: of the first image, of all scored images of the prompt in equal parts, of the picked one."""
    there = scored[chosen.starts]
    top, bottom = np.where(scored, part, 0).astype(np.float64), np.where(scored, whole, 0).astype(np.float64)
    counts = np.maximum(np.add.reduceat(scored, chosen.starts, dtype=np.int64), 1)
    columns = {
        "first": (top[chosen.starts], bottom[chosen.starts]),
        "mean": tuple(np.add.reduceat(column, chosen.starts) / counts for column in (top, bottom)),
        "picked": (top[chosen.picked], bottom[chosen.picked]),
    }
    return {f"{name}.{key}": Measure(np.where(there, a, 0), np.where(there, b, 0)) for key, (a, b) in columns.items()}


def _gains(found: dict[str, Measure]) -> dict[str, Measure]:
    """What picking gains over the first image, and over a random one."""
    gains = {}
    for name in ("score", "bound", "judge", "oracle"):
        for other in ("first", "mean"):
            gains[f"{name}.picked_minus_{other}"] = found[f"{name}.picked"].minus(found[f"{name}.{other}"])
    return gains


def _spread(measure: Measure, there: Mask) -> Measure:
    """A measure over some prompts as one over all, 0 elsewhere."""
    columns = []
    for column in (measure.numerator, measure.denominator):
        wide = np.zeros(len(there))
        wide[there] = column
        columns.append(wide)
    return Measure(columns[0], columns[1])


def numbers_of_images(n: int) -> list[int]:
    """1, 2, 4, 8, ... up to ``n``, and ``n`` itself."""
    powers = [2**k for k in range(n.bit_length()) if 2**k <= n]
    return powers if powers[-1] == n else [*powers, n]
