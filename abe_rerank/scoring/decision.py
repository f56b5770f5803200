"""From what is seen of a pair to its verdict: a small logistic model, monotone in each of its numbers. Ours.

The hypotheses of a pair are that its object has one of the values (the asked one, one that is asked of another object,
any other value of the kind) or is not there. The weights may not be negative, so that more evidence for a hypothesis
never lowers it. All evidence is in logits of the backbone, so that one set of weights serves any backbone until it has
its own; probabilities are meant as such only where it has.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from abe_rerank.errors import UsageError
from abe_rerank.scoring.second_look import Choices, Look
from abe_rerank.types import Verdict

CERTAIN = 0.5
"""A verdict that is less likely than this is "unsure"."""
_RIDGE = 1e-3


@dataclass(frozen=True)
class Decision:
    """The weights of the evidence by readout (``fits`` [r], ``presence`` [r, 3]), and how likely it is beforehand that
    a value is one of another object's (``swapped``) or any other (``wrong``), or that nothing is there (``absent``), as
    logits against the asked value."""

    fits: tuple[float, ...]
    presence: tuple[tuple[float, ...], ...]
    swapped: float
    wrong: float
    absent: float

    def probabilities(self, look: Look, asked: Choices) -> np.ndarray:
        """[c + 1]: of each value, and last that the object is not there."""
        fits = np.array(self.fits) @ look.fits
        swaps, others = _shares(asked)
        biases = np.where(swaps > 0, self.swapped + _log(swaps), 0) + np.where(others > 0, self.wrong + _log(others), 0)
        logits = fits - fits.max() + biases
        gone = self.absent - float((np.array(self.presence) * look.presence).sum())
        odds = np.exp(np.array([*logits, gone]) - max(logits.max(), gone))
        return np.asarray(odds / odds.sum())


STANDARD = Decision(
    fits=(0.75, 0.8, 0.55),
    presence=((0.0, 0.0, 0.6), (0.5, 0.7, 0.05), (0.15, 0.7, 0.15)),
    swapped=-1.05,
    wrong=1.4,
    absent=6.4,
)
"""For backbones without a fit: that of the built-in one."""


@dataclass(frozen=True)
class Found:
    """The ``verdict`` on a pair with its ``certainty``, the value ``seen`` instead of the asked one, the object that it
    was asked of, and the probabilities of the asked value and of the likeliest other one."""

    verdict: Verdict
    certainty: float
    seen: str | None
    seen_of: str | None
    bound: float
    other: float


def decide(probabilities: np.ndarray, asked: Choices) -> Found:
    """The likeliest of bound, swapped, wrong and not found, or unsure where none reaches ``CERTAIN``."""
    values = probabilities[:-1]
    swaps, others = (shares > 0 for shares in _shares(asked))
    sums: dict[Verdict, float] = {
        "bound": float(values[0]),
        "swapped": float(values[swaps].sum()),
        "wrong": float(values[others].sum()),
        "not found": float(probabilities[-1]),
    }
    verdict = max(sums, key=lambda name: sums[name])
    other = float(values[1:].max()) if len(values) > 1 else 0.0
    if sums[verdict] < CERTAIN:
        return Found("unsure", sums[verdict], None, None, sums["bound"], other)
    if verdict not in ("swapped", "wrong"):
        return Found(verdict, sums[verdict], None, None, sums["bound"], other)
    k = int(np.where(swaps if verdict == "swapped" else others, values, -1.0).argmax())
    return Found(verdict, sums[verdict], asked.values[k], asked.asked_of[k] or None, sums["bound"], other)


@dataclass(frozen=True)
class Labelled:
    """A pair whose truth is known: the index of the value that the object has, None where it is not there. ``group``
    names what rows are weighed together, so that no kind of case outweighs another."""

    look: Look
    asked: Choices
    value: int | None
    group: str


def fit_decision(rows: Sequence[Labelled]) -> Decision:
    """The weights that make the truths likeliest, each group of rows counting alike, those that begin with "in place"
    twice: a report that denies what is in plain view is not believed again.

    Raises UsageError for fewer than 20 rows that are in place, that are not, or whose object is not there.
    """
    from scipy.optimize import minimize

    values = [row.value for row in rows]
    kinds = (values.count(0), sum(bool(value) for value in values), values.count(None))
    if min(kinds) < 20:
        raise UsageError(f"verdicts need at least 20 pairs in place, 20 with another value and 20 missing, got {kinds}")
    readouts, most = len(rows[0].look.fits), max(len(row.asked.values) for row in rows)
    fits, there = np.zeros((len(rows), readouts, most)), np.zeros((len(rows), most), bool)
    swaps, others = np.zeros((2, len(rows), most))
    for n, row in enumerate(rows):
        c = len(row.asked.values)
        fits[n, :, :c], there[n, :c] = row.look.fits, True
        swaps[n, :c], others[n, :c] = _shares(row.asked)
    presence = np.array([row.look.presence.ravel() for row in rows])
    level, weights = presence.mean(axis=0), _weights([row.group for row in rows])
    truth = np.array([most if row.value is None else row.value for row in rows])
    count = readouts * 4

    def loss(w: np.ndarray) -> float:
        """The weighted log loss with its ridge."""
        values = np.where(there, np.einsum("nrc,r->nc", fits, w[:readouts]), -np.inf)
        values = values - values.max(axis=1, keepdims=True)
        values = values + np.where(swaps > 0, w[-3] + _log(swaps), 0) + np.where(others > 0, w[-2] + _log(others), 0)
        logits = np.column_stack([values, w[-1] - (presence - level) @ w[readouts:count]])
        likely = logits[np.arange(len(rows)), truth] - np.logaddexp.reduce(logits, axis=1)
        return -float(weights @ likely) + _RIDGE * float((w[:count] ** 2).sum())

    start = np.concatenate([np.full(readouts, 0.5), np.full(count - readouts, 0.3), [-0.5, -0.5, 0.0]])
    bounds = [(0, None)] * count + [(None, None)] * 3
    w = minimize(loss, start, method="L-BFGS-B", bounds=bounds, options={"maxfun": 200_000, "maxiter": 2000}).x
    b = w[readouts:count]
    return Decision(
        fits=tuple(float(x) for x in w[:readouts]),
        presence=tuple(tuple(float(x) for x in row) for row in b.reshape(readouts, -1)),
        swapped=float(w[-3]),
        wrong=float(w[-2]),
        absent=float(w[-1] + level @ b),
    )


def _shares(asked: Choices) -> tuple[np.ndarray, np.ndarray]:
    """Of the values asked of another object and of all other ones [c] each: 1 / their number, 0 for the rest."""
    swaps = np.array([bool(name) for name in asked.asked_of])
    others = ~swaps
    others[0] = False
    return swaps / max(1, swaps.sum()), others / max(1, others.sum())


def _log(shares: np.ndarray) -> np.ndarray:
    """The logarithm where there is a share, else 0."""
    return np.log(np.where(shares > 0, shares, 1.0))


def _weights(groups: Sequence[str]) -> np.ndarray:
    """[n], with a sum of 1."""
    names, place, sizes = np.unique(np.array(groups), return_inverse=True, return_counts=True)
    each = np.array([2.0 if name.startswith("in place") else 1.0 for name in names]) / sizes
    weights = each[place]
    return np.asarray(weights / weights.sum())
