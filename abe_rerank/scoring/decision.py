"""From what is seen of a pair to its verdict: a small logistic model, monotone in each of its numbers. Ours.

The hypotheses of a pair are that its object has one of the values (the asked one, one that is asked of another object,
any other value of the kind) or is not there. The weights may not be negative, so that more evidence for a hypothesis
never lowers it. All evidence is in logits of the backbone, so that one set of weights serves any backbone until it has
its own; probabilities are meant as such only where it has.

Two colours change places more often than one goes astray: a value that is asked of another object is likelier where
that object seems to have this one's. That is said once, from what each pair shows by itself, and exact for two pairs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from abe_rerank.errors import UsageError
from abe_rerank.scoring.second_look import Choices, Look
from abe_rerank.types import Verdict

BOUND_FROM = 0.7
"""A pair is called bound where that is at least so likely: to call a missing thing bound is more than twice as bad as
to leave open what is there."""
LIKELIEST = 0.5
"""The share of what is not bound that another verdict needs."""
MOST_MUTUAL = 5.0
"""However often swaps come in twos where a decision is fitted, one without its other must stay thinkable."""
_RIDGE = 1e-3


@dataclass(frozen=True)
class Decision:
    """The weights of the evidence by readout (``fits`` [r], ``presence`` [r, 3]), and how likely it is beforehand that
    a value is one of another object's (``swapped``) or any other (``wrong``), or that nothing is there (``absent``), as
    logits against the asked value. ``mutual`` is what the logit of a swap gains where the other object swaps, too."""

    fits: tuple[float, ...]
    presence: tuple[tuple[float, ...], ...]
    swapped: float
    wrong: float
    absent: float
    mutual: float = 0.0

    def __post_init__(self) -> None:
        if [len(row) for row in self.presence] != [3] * len(self.fits) or not self.fits:
            raise ValueError("presence: three numbers are expected for each one of fits")

    def probabilities(self, looks: Sequence[Look], asked: Sequence[Choices]) -> list[np.ndarray]:
        """For each pair of a prompt [c + 1]: of each value, and last that the object is not there."""
        logits = [self._logits(look, choices) for look, choices in zip(looks, asked, strict=True)]
        alone = [_softmax(pair) for pair in logits]
        for i, c, j, k in exchanges(asked):
            logits[i][c] += np.log1p(np.expm1(self.mutual) * alone[j][k])
        return [_softmax(pair) for pair in logits]

    def _logits(self, look: Look, asked: Choices) -> np.ndarray:
        fits = np.array(self.fits) @ look.fits
        swaps, others = _shares(asked)
        biases = np.where(swaps > 0, self.swapped + _log(swaps), 0) + np.where(others > 0, self.wrong + _log(others), 0)
        gone = self.absent - float((np.array(self.presence) * look.presence).sum())
        return np.array([*(fits - fits.max() + biases), gone])


def exchanges(asked: Sequence[Choices]) -> list[tuple[int, int, int, int]]:
    """(i, c, j, k) for each two pairs of a prompt whose values may have changed places: value c of pair i is what pair
    j asks for, and value k of pair j is what pair i asks for."""
    owners = [{value: c for c, (value, of) in enumerate(zip(a.values, a.asked_of, strict=True)) if of} for a in asked]
    wants = [a.values[0] for a in asked]
    return [
        (i, mine[wants[j]], j, theirs[wants[i]])
        for i, mine in enumerate(owners)
        for j, theirs in enumerate(owners)
        if i != j and wants[j] in mine and wants[i] in theirs
    ]


STANDARD = Decision(
    fits=(0.11, 0.3, 0.4),
    presence=((0.0, 0.0, 0.03), (0.0, 0.41, 1.37), (0.1, 0.38, 0.4)),
    swapped=-1.86,
    wrong=-0.88,
    absent=0.08,
    mutual=3.18,
)
"""For backbones without a fit: fitted on the choosing split of three together, the built-in one, read as if nothing
were tuned for it, one of CLIP's kind, which tells shapes less well, and one of SigLIP's kind, hardly trained."""


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
    """Bound from ``BOUND_FROM`` on; below, the likeliest of swapped, wrong and not found, if it is as likely as bound
    and has ``LIKELIEST`` of what is left of it; else unsure."""
    values = probabilities[:-1]
    bound = float(values[0])
    other = float(values[1:].max()) if len(values) > 1 else 0.0
    if bound >= BOUND_FROM:
        return Found("bound", bound, None, None, bound, other)
    swaps, others = (shares > 0 for shares in _shares(asked))
    denials: dict[Verdict, float] = {
        "swapped": float(values[swaps].sum()),
        "wrong": float(values[others].sum()),
        "not found": float(probabilities[-1]),
    }
    verdict = max(denials, key=lambda name: denials[name])
    certainty = denials[verdict]
    if certainty < max(bound, LIKELIEST * (1 - bound)):
        return Found("unsure", max(bound, certainty), None, None, bound, other)
    if verdict == "not found":
        return Found(verdict, certainty, None, None, bound, other)
    k = int(np.where(swaps if verdict == "swapped" else others, values, -1.0).argmax())
    return Found(verdict, certainty, asked.values[k], asked.asked_of[k] or None, bound, other)


@dataclass(frozen=True)
class Labelled:
    """A pair whose truth is known: the index of the value that the object has, None where it is not there. ``group``
    names what rows are weighed together, so that no kind of case outweighs another."""

    look: Look
    asked: Choices
    value: int | None
    group: str


def fit_decision(questions: Sequence[Sequence[Labelled]]) -> Decision:
    """The weights that make the truths likeliest, half of all that counts being pairs in place, whichever are drawn, so
    that beforehand a pair is as likely bound as not; the groups of each half count alike.

    A question is the pairs of one prompt on one picture, in the prompt's order. Raises UsageError for fewer than 20
    pairs that are in place, that are not, or whose object is not there.
    """
    from scipy.optimize import minimize

    table = _tabulate(questions)
    readouts = table.fits.shape[1]
    count = readouts * 4

    def loss(w: np.ndarray) -> float:
        """The weighted log loss with its ridge."""
        return table.loss(w) + _RIDGE * float((w[:count] ** 2).sum())

    start = np.concatenate([np.full(readouts, 0.5), np.full(count - readouts, 0.3), [-0.5, -0.5, 0.0, 1.0]])
    bounds = [(0, None)] * count + [(None, None)] * 3 + [(0, MOST_MUTUAL)]
    w = minimize(loss, start, method="L-BFGS-B", bounds=bounds, options={"maxfun": 200_000, "maxiter": 2000}).x
    b = w[readouts:count]
    swapped, wrong, absent, mutual = (float(x) for x in w[count:])
    return Decision(
        fits=tuple(float(x) for x in w[:readouts]),
        presence=tuple(tuple(float(x) for x in row) for row in b.reshape(readouts, -1)),
        swapped=swapped,
        wrong=wrong,
        absent=absent + float(table.level @ b),
        mutual=mutual,
    )


@dataclass(frozen=True)
class _Table:
    """Labelled pairs as padded arrays: ``fits`` [n, r, c], ``there``, ``swaps`` and ``others`` [n, c], ``presence``
    [n, r * 3] without its mean ``level``, the hypothesis that is true ``truth`` [n] (c for an absent object),
    ``weights`` [n], and ``exchanges`` [4, m] with rows in place of pairs."""

    fits: np.ndarray
    there: np.ndarray
    swaps: np.ndarray
    others: np.ndarray
    presence: np.ndarray
    level: np.ndarray
    truth: np.ndarray
    weights: np.ndarray
    exchanges: np.ndarray

    def loss(self, w: np.ndarray) -> float:
        """The weighted log loss of (fits, presence, swapped, wrong, absent, mutual): :meth:`Decision.probabilities`
        of all pairs at once."""
        readouts = self.fits.shape[1]
        swapped, wrong, absent, mutual = w[-4:]
        values = np.where(self.there, np.einsum("nrc,r->nc", self.fits, w[:readouts]), -np.inf)
        values = values - values.max(axis=1, keepdims=True)
        values = values + np.where(self.swaps > 0, swapped + _log(self.swaps), 0)
        values = values + np.where(self.others > 0, wrong + _log(self.others), 0)
        logits = np.column_stack([values, absent - self.presence @ w[readouts:-4]])
        i, c, j, k = self.exchanges
        gains = np.log1p(np.expm1(mutual) * _softmax(logits)[j, k])
        np.add.at(logits, (i, c), gains)
        likely = logits[np.arange(len(logits)), self.truth] - np.logaddexp.reduce(logits, axis=1)
        return -float(self.weights @ likely)


def _tabulate(questions: Sequence[Sequence[Labelled]]) -> _Table:
    rows = [row for question in questions for row in question]
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
    firsts = np.cumsum([0, *(len(question) for question in questions)])
    found = [
        (first + i, c, first + j, k)
        for first, question in zip(firsts, questions, strict=False)
        for i, c, j, k in exchanges([row.asked for row in question])
    ]
    return _Table(
        fits=fits,
        there=there,
        swaps=swaps,
        others=others,
        presence=presence - presence.mean(axis=0),
        level=presence.mean(axis=0),
        truth=np.array([most if value is None else value for value in values]),
        weights=_weights(rows),
        exchanges=np.array(found, int).reshape(-1, 4).T,
    )


def _softmax(logits: np.ndarray) -> np.ndarray:
    """Over the last axis."""
    odds = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return np.asarray(odds / odds.sum(axis=-1, keepdims=True))


def _shares(asked: Choices) -> tuple[np.ndarray, np.ndarray]:
    """Of the values asked of another object and of all other ones [c] each: 1 / their number, 0 for the rest."""
    swaps = np.array([bool(name) for name in asked.asked_of])
    others = ~swaps
    others[0] = False
    return swaps / max(1, swaps.sum()), others / max(1, others.sum())


def _log(shares: np.ndarray) -> np.ndarray:
    """The logarithm where there is a share, else 0."""
    return np.log(np.where(shares > 0, shares, 1.0))


def _weights(rows: Sequence[Labelled]) -> np.ndarray:
    """[n], with a sum of 1: a half for the pairs that are in place and a half for the others, each half shared alike by
    its groups, each group by its rows."""
    groups, own = np.array([row.group for row in rows]), np.array([row.value == 0 for row in rows])
    weights = np.zeros(len(rows))
    for half in (own, ~own):
        names, place, sizes = np.unique(groups[half], return_inverse=True, return_counts=True)
        weights[half] = 0.5 / len(names) / sizes[place]
    return weights
