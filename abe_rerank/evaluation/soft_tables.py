"""Soft-TIFA of a run as tables for people, and as rows for other programs."""

from __future__ import annotations

from collections.abc import Iterator

from abe_rerank.evaluation.summary_schema import Estimate, SoftTifa
from abe_rerank.evaluation.tables import Block, Cell, Number

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
