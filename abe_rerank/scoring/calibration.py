"""How likely a pair is bound: what the decision on its verdict says. Ours.

Verdict and probability come from one distribution, over the values that a pair's object may have and its absence
(:mod:`abe_rerank.scoring.decision`). Where a user fits the probabilities to labelled pictures of their own, a monotone
map of the probability that the pair is bound, fitted by isotonic regression (pool adjacent violators), stands on top,
and the rest shares what is left. A calibration holds for one backbone's weights, one scorer's settings and one way of
looking at pictures again; ``GENERAL`` stands in where there is none.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from abe_rerank.errors import AbeRerankError, UsageError
from abe_rerank.files import checked, read_json, write_whole
from abe_rerank.scoring.decision import STANDARD, Decision, Labelled, fit_decision
from abe_rerank.scoring.second_look import Choices, Look

FILE = "calibration.json"
_LEAST = 1e-9
"""Probabilities are told apart down to this one, and up to 1 minus it."""


@dataclass(frozen=True)
class Calibration:
    """The ``decision`` on pairs and how its probability that one is bound is read: ``knots`` are (logit, probability)
    points, joined by lines; without any as it is. ``mix`` counts the labelled pairs by kind; ``ece`` is on the fitting
    rows.
    """

    key: str
    decision: Decision
    knots: tuple[tuple[float, float], ...] = ()
    mix: Mapping[str, int] = field(default_factory=dict)
    ece: float = 0.0

    def __post_init__(self) -> None:
        if any(list(column) != sorted(column) for column in zip(*self.knots, strict=True)):
            raise ValueError("knots: they must rise")

    def probabilities(self, looks: Sequence[Look], asked: Sequence[Choices]) -> list[np.ndarray]:
        """For each pair of a prompt [c + 1]: of each value, the asked one first, and last that nothing is there."""
        return [self._mapped(pair) for pair in self.decision.probabilities(looks, asked)]

    def bound(self, said: np.ndarray) -> np.ndarray:
        """The probabilities [M] that pairs are bound of those that the decision gives [M]."""
        if not self.knots:
            return said
        x, y = np.array(self.knots).T
        return np.asarray(np.interp(_logits(said), x, y))

    def _mapped(self, pair: np.ndarray) -> np.ndarray:
        bound = self.bound(pair[:1])
        return np.concatenate([bound, pair[1:] * ((1 - bound) / max(float(pair[1:].sum()), _LEAST))])


GENERAL = Calibration(key="any backbone", decision=STANDARD)
"""For backbones without a fit."""
GENERAL_ERROR = 0.17
"""Its expected calibration error was at most this on the backbones that it was measured on, 0.05 on those that see well
(scoring/README.md)."""


def fit(key: str, questions: Sequence[Sequence[Labelled]]) -> Calibration:
    """The decision that makes the truths of labelled pairs likeliest, with its own probabilities.

    They are not mapped to how many of these pairs are bound: what that gains and costs on which backbone stands in
    scoring/README.md. A question is the pairs of one prompt on one picture. Raises UsageError as
    :func:`abe_rerank.scoring.decision.fit_decision` does.
    """
    decision = fit_decision(questions)
    rows = [row for question in questions for row in question]
    asked = [([row.look for row in question], [row.asked for row in question]) for question in questions]
    said = np.array([pair[0] for looks, choices in asked for pair in decision.probabilities(looks, choices)])
    bound = np.array([row.value == 0 for row in rows])
    kinds = dict(Counter(row.group for row in rows))
    return Calibration(key, decision, mix=kinds, ece=expected_calibration_error(said, bound))


def fit_rows(decision: Decision, said: np.ndarray, bound: np.ndarray, key: str, mix: Mapping[str, int]) -> Calibration:
    """A decision that stays, and a map of what it ``said`` of pairs [M], the probability that each is bound, to the
    user's own labels [M]: on pictures like these, as many as they say are bound.

    Raises UsageError unless there are at least 20 pairs of each label.
    """
    bound = bound.astype(bool)
    if bound.sum() < 20 or (~bound).sum() < 20:
        raise UsageError(
            f"a calibration needs at least 20 bound and 20 unbound pairs, got {int(bound.sum())} and "
            f"{int((~bound).sum())}; add labelled rows"
        )
    fitted = Calibration(key, decision, _isotonic(_logits(said), bound), dict(mix))
    return replace(fitted, ece=expected_calibration_error(fitted.bound(said), bound))


def expected_calibration_error(probabilities: np.ndarray, bound: np.ndarray, bins: int = 10) -> float:
    """Mean over pairs of |share bound - mean probability| of the pair's bin; ``bins`` of equal width on [0, 1].

    Guo et al. 2017 (arXiv 1706.04599), equation 3. Raises ValueError for no pairs.
    """
    if len(probabilities) == 0:
        raise ValueError("no pairs to measure a calibration error on")
    place = np.minimum((probabilities * bins).astype(int), bins - 1)
    counts = np.bincount(place, minlength=bins)
    gaps = np.bincount(place, bound.astype(float), bins) - np.bincount(place, probabilities, bins)
    return float(np.abs(gaps).sum() / counts.sum())


def _logits(probabilities: np.ndarray) -> np.ndarray:
    kept = np.clip(probabilities, _LEAST, 1 - _LEAST)
    return np.asarray(np.log(kept) - np.log1p(-kept))


def _isotonic(logits: np.ndarray, bound: np.ndarray) -> tuple[tuple[float, float], ...]:
    """Knots (mean logit, probability) of the blocks that isotonic regression leaves, with rising logits.

    It is fitted to the shares of at most 40 groups of at least 10 pairs; groups with one fitted share are one block. A
    block of n pairs of which m are bound gets (m + 1/2) / (n + 1), so that no probability is 0 or 1.
    """
    from scipy.optimize import isotonic_regression

    groups = np.array_split(np.argsort(logits, kind="stable"), max(2, min(40, len(logits) // 10)))
    sizes = np.array([len(group) for group in groups])
    fitted = isotonic_regression([bound[group].mean() for group in groups], weights=sizes).x
    starts = np.flatnonzero(np.diff(fitted, prepend=-1) > 1e-12)
    n, m, sums = (
        np.add.reduceat(column, starts)
        for column in (sizes, [bound[group].sum() for group in groups], [logits[group].sum() for group in groups])
    )
    rising = np.maximum.accumulate((m + 0.5) / (n + 1))
    return tuple((float(x), float(y)) for x, y in zip(sums / n, rising, strict=True))


def read_calibration(folder: Path, key: str) -> Calibration | None:
    """The calibration for ``key`` in a backbone's folder; None if there is none.

    Raises AbeRerankError if the file is there and is not one of ours.
    """
    for entry in _entries(folder / FILE):
        if entry.key == key:
            return entry
    return None


def write_calibration(folder: Path, calibration: Calibration) -> Path:
    """Keep a calibration beside its backbone in place of the one with its key. Raises AbeRerankError if it cannot."""
    path = folder / FILE
    entries = [entry for entry in _entries(path) if entry.key != calibration.key]
    text = json.dumps([asdict(entry) for entry in (*entries, calibration)], indent=1)
    try:
        write_whole(path, (text + "\n").encode())
    except AbeRerankError as error:
        raise AbeRerankError(f"{error}, or copy the backbone to your own folder") from error
    return path


def _entries(path: Path) -> Sequence[Calibration]:
    if not path.exists():
        return ()
    try:
        return calibrations(read_json(path))
    except (OSError, ValueError) as error:
        raise AbeRerankError(
            f"{path} is not a calibration file ({error}); remove it and run abe-rerank tune"
        ) from error


def calibrations(rows: Any) -> list[Calibration]:
    """The calibrations in a JSON value. Raises ValueError for what is none."""
    if not isinstance(rows, list):
        raise ValueError("a list is expected")
    return [checked(Calibration, row) for row in rows]
