"""How likely a pair is bound: a monotone map from a pair's numbers to a probability, fitted on labelled pairs.

A logistic regression on (margin, evidence, noun evidence) with weights that may not be negative, then isotonic
regression (pool adjacent violators) on its output: more margin, evidence or noun never lowers the probability. All
three are in the backbone's own units (:mod:`abe_rerank.scoring.units`). The paper has no calibration; this is ours. A
calibration holds for one backbone's weights and one scorer's settings; ``GENERAL`` stands in where there is none.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from abe_rerank.errors import AbeRerankError, UsageError
from abe_rerank.files import checked, read_json, write_whole
from abe_rerank.scoring.decision import Decision

FILE = "calibration.json"
LOST = 0.05
"""The largest share of the objects that are there, in the labelled rows, that may be called absent."""
_RIDGE = 1e-3
"""The weight of the squares of the logistic regression's weights beside the mean log loss."""


@dataclass(frozen=True)
class Calibration:
    """A fitted map. ``weights`` are for (margin, evidence, noun), ``bias`` is added; ``knots`` are (logit, probability)
    points, joined by lines. ``found_above`` is the noun evidence below which an object counts as not there, None if
    that could not be fitted. ``decision`` gives verdicts and then the probabilities, too; None where it was not fitted.
    ``mix`` counts the labelled pairs by kind; ``ece`` is on the fitting rows.
    """

    key: str
    weights: tuple[float, float, float]
    bias: float
    knots: tuple[tuple[float, float], ...]
    found_above: float | None = None
    decision: Decision | None = None
    mix: Mapping[str, int] = field(default_factory=dict)
    ece: float = 0.0

    def __post_init__(self) -> None:
        if not self.knots:
            raise ValueError("knots: there is none")

    def probability(self, margin: float, evidence: float, noun: float) -> float:
        """The probability that the pair is bound."""
        return float(self.probabilities(np.array([[margin, evidence, noun]]))[0])

    def probabilities(self, features: np.ndarray) -> np.ndarray:
        """Probabilities [M] of pairs [M, 3] (margin, evidence, noun)."""
        x, y = np.array(self.knots).T
        return np.asarray(np.interp(features @ np.array(self.weights) + self.bias, x, y))

    def absent(self, noun: float) -> bool:
        """Whether noun evidence this low says that the object is not in the picture."""
        return self.found_above is not None and noun < self.found_above


GENERAL = Calibration(
    key="any backbone",
    weights=(0.25, 0.07, 0.0),
    bias=0.25,
    knots=tuple((float(x), float(1 / (1 + np.exp(-x)))) for x in np.linspace(-6, 6, 25)),
)
"""For backbones without a fit: a logistic curve in margin and evidence, logits that mean about the same on any.

Fitted, and rounded, on the choosing split of two backbones as if nothing were tuned for them, the built-in one and one
that hardly tells shapes (the proving one of 1,400 steps).
"""
GENERAL_ERROR = 0.07
"""The most that its expected calibration error was on backbones that it was not fitted to (scoring/README.md)."""


def fit(
    features: np.ndarray, bound: np.ndarray, key: str, mix: Mapping[str, int], found: np.ndarray | None = None
) -> Calibration:
    """Fit on pairs [M, 3] (margin, evidence, noun) with labels ``bound`` [M] and, if known, ``found`` [M].

    Raises UsageError unless there are at least 20 pairs of each label.
    """
    bound = bound.astype(bool)
    if bound.sum() < 20 or (~bound).sum() < 20:
        raise UsageError(
            f"a calibration needs at least 20 bound and 20 unbound pairs, got {int(bound.sum())} and "
            f"{int((~bound).sum())}; add labelled rows"
        )
    weights, bias = _logistic(features, bound)
    logits = features @ weights + bias
    fitted = Calibration(
        key=key,
        weights=(float(weights[0]), float(weights[1]), float(weights[2])),
        bias=float(bias),
        knots=_isotonic(logits, bound),
        found_above=None if found is None else _threshold(features[:, 2], found.astype(bool)),
        mix=dict(mix),
    )
    error = expected_calibration_error(fitted.probabilities(features), bound)
    return replace(fitted, ece=error)


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


def _logistic(features: np.ndarray, bound: np.ndarray) -> tuple[np.ndarray, float]:
    """Weights [3] >= 0 and bias of a logistic regression on standardised features, with a small ridge."""
    from scipy.optimize import minimize
    from scipy.special import expit

    mean, spread = features.mean(axis=0), features.std(axis=0) + 1e-12
    x = np.column_stack([(features - mean) / spread, np.ones(len(features))])
    ridge = np.array([*np.full(features.shape[1], _RIDGE), 0.0])

    def loss(w: np.ndarray) -> tuple[float, np.ndarray]:
        """The mean log loss with the ridge, and its gradient [4]."""
        logits = x @ w
        value = np.mean(np.logaddexp(0, logits) - bound * logits) + 0.5 * ridge @ w**2
        return float(value), x.T @ (expit(logits) - bound) / len(x) + ridge * w

    bounds = [(0, None)] * features.shape[1] + [(None, None)]
    options = {"maxiter": 1000, "ftol": 1e-14, "gtol": 1e-8}
    found = minimize(loss, np.zeros(x.shape[1]), jac=True, method="L-BFGS-B", bounds=bounds, options=options)
    weights = found.x[:-1] / spread
    return weights, float(found.x[-1] - weights @ mean)


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


def _threshold(noun: np.ndarray, found: np.ndarray) -> float | None:
    """The noun evidence below which an object is called absent; None for only one label.

    The cut that best divides found from absent objects (balanced accuracy), or a lower one below which a share of
    ``LOST`` of the found objects lies: a report that denies an object in plain view is not believed again.
    """
    if found.all() or not found.any():
        return None
    order = np.argsort(noun, kind="stable")
    here = np.cumsum(found[order]) / found.sum()
    gone = np.cumsum(~found[order]) / (~found).sum()
    cut = int(np.argmax(gone - here))
    best = float(noun[order[cut]] + noun[order[min(cut + 1, len(order) - 1)]]) / 2
    return min(best, float(np.quantile(noun[found], LOST)))


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
    if not path.is_file():
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
