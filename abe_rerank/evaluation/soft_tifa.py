"""Soft-TIFA of a run (GenEval 2, arXiv 2512.16853): soft judgments of single atoms, joined by two means.

For an image the arithmetic mean of its atoms' probabilities says how many atoms are right, the geometric mean how sure
it is that all are; both are averaged over prompts. The atoms are those of the judge where it gives any, else those of
the scorer: its own, or its calibrated pairs.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np

from abe_rerank.evaluation.measures import choices_of
from abe_rerank.evaluation.numbers import Floats, Images, RunNumbers
from abe_rerank.evaluation.statistics import bootstrap_ratios, draws_for
from abe_rerank.evaluation.summary_schema import AtomCount, AtomKind, Estimate, SoftMeans, SoftTifa
from abe_rerank.evaluation.tables import Block, Cell, Number
from abe_rerank.suites import read_file
from abe_rerank.types import ATOMS


def soft_tifa(numbers: RunNumbers, level: float, seed: int) -> SoftTifa | None:
    """The means over the prompts whose images all have atoms; None if there are none."""
    images = numbers.images
    if not len(images):
        return None
    chosen = choices_of(images)
    lacking = np.add.reduceat(~(images.atoms > 0), chosen.starts, dtype=np.int64)
    there = (lacking == 0) & chosen.any
    if not there.any():
        return None
    rows = {"first": chosen.starts[there], "picked": chosen.picked[there]}
    sizes = np.diff(chosen.starts, append=len(images))[there]

    def estimates(values: Floats) -> SoftMeans:
        columns = {name: values[row] for name, row in rows.items()}
        columns["mean"] = np.add.reduceat(values, chosen.starts)[there] / sizes
        return SoftMeans(**{name: _mean(column, level, seed) for name, column in columns.items()})

    counts = atom_counts(numbers, images, chosen.starts)[there]
    picked = rows["picked"]
    by_count = tuple(
        AtomCount(
            atoms=int(count),
            arithmetic=_mean(images.soft_mean[picked[counts == count]], level, seed),
            geometric=_mean(images.soft_product[picked[counts == count]], level, seed),
        )
        for count in np.unique(counts)
    )
    return SoftTifa(
        asked_by="judge" if numbers.run.record.judge is not None and _judged(images) else "scorer",
        prompts=int(there.sum()),
        arithmetic=estimates(images.soft_mean),
        geometric=estimates(images.soft_product),
        kinds=tuple(_kinds(images.kinds[picked], level, seed)),
        by_count=by_count,
    )


def _judged(images: Images) -> bool:
    return bool(images.by_judge.any())


def _kinds(sums: Floats, level: float, seed: int) -> Iterable[AtomKind]:
    """Each kind's mean over atoms; ``sums`` [prompts, 8]: the sum of each kind's probabilities, then their number."""
    for k, kind in enumerate(ATOMS):
        total, count = sums[:, k], sums[:, len(ATOMS) + k]
        asked = count > 0
        if asked.any():
            yield AtomKind(
                kind=kind,  # type: ignore[arg-type]
                atoms=int(count.sum()),
                mean=_ratio(total[asked], count[asked], level, seed),
            )


def atom_counts(numbers: RunNumbers, images: Images, starts: np.ndarray) -> np.ndarray:
    """How many atoms each prompt has: as the suite counts them, else as many as were asked."""
    counted: Mapping[tuple[str, str], int | None] = {}
    suite = numbers.run.path / "prompts.jsonl"
    if suite.is_file():
        counted = {(prompt.id, prompt.prompt): prompt.atom_count for prompt in read_file(suite)}
    asked = images.atoms[starts]
    said: Sequence[int | None] = [counted.get((prompt.id, prompt.text)) for prompt in numbers.prompts]
    return np.array([int(n) if count is None else count for count, n in zip(said, asked, strict=True)])


def _mean(values: Floats, level: float, seed: int) -> Estimate:
    return _ratio(values, np.ones(len(values)), level, seed)


def _ratio(top: Floats, bottom: Floats, level: float, seed: int) -> Estimate:
    above, below = (np.asarray(column, dtype=np.float64)[:, None] for column in (top, bottom))
    found = bootstrap_ratios(above, below, level, draws_for(len(top)), seed)[0]
    return Estimate(mean=found.mean, low=found.low, high=found.high, prompts=len(top))


MEANS = {"arithmetic": "arithmetic mean (atoms)", "geometric": "geometric mean (prompts)"}


def shown(estimate: Estimate | None) -> Cell:
    """An estimate as a cell, or a dash."""
    if estimate is None:
        return "-"
    return Number(f"{estimate.mean:.3f}", (f"{estimate.low:.3f}", f"{estimate.high:.3f}"))


def soft_blocks(soft: SoftTifa | None) -> list[Block]:
    """Both means, the mean of each kind of atom, and both by the number of atoms; none where there are no atoms."""
    if soft is None:
        return []
    whole: list[list[Cell]] = []
    for name, title in MEANS.items():
        means = getattr(soft, name)
        whole.append([title, Number(str(soft.prompts)), shown(means.first), shown(means.mean), shown(means.picked)])
    kinds: list[list[Cell]] = [[kind.kind, Number(str(kind.atoms)), shown(kind.mean)] for kind in soft.kinds]
    counts: list[list[Cell]] = [
        [Number(str(at.atoms)), Number(str(at.arithmetic.prompts)), shown(at.arithmetic), shown(at.geometric)]
        for at in soft.by_count
    ]
    return [
        Block(f"Soft-TIFA, by the {soft.asked_by}'s atoms", ["", "prompts", "first", "random", "picked"], whole),
        Block("Probability of atoms in the picked image", ["kind", "atoms", "mean"], kinds),
        Block("Soft-TIFA by the number of atoms, picked image", ["atoms", "prompts", *MEANS.values()], counts),
    ]


def soft_rows(soft: SoftTifa | None) -> Iterator[tuple[str, Estimate]]:
    """(name, estimate) of every number."""
    if soft is None:
        return
    for name in MEANS:
        means = getattr(soft, name)
        for key in ("first", "mean", "picked"):
            yield f"soft_tifa.{name}.{key}", getattr(means, key)
    for kind in soft.kinds:
        yield f"soft_tifa.kind.{kind.kind}", kind.mean
    for at in soft.by_count:
        yield f"soft_tifa.arithmetic.{at.atoms}_atoms", at.arithmetic
        yield f"soft_tifa.geometric.{at.atoms}_atoms", at.geometric
