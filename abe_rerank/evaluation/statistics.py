"""Means over prompts with bootstrap intervals, and p-values by sign flips; differences are paired by prompt."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

DRAWS = 10_000
EXACT_UP_TO = 14
"""With at most so many differences that are not 0, every pattern of signs is tried."""
_BLOCK = 1_000_000
_WORK = 50_000_000


@dataclass(frozen=True)
class Interval:
    """A mean with the ends of its interval."""

    mean: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.mean:.3f} [{self.low:.3f}, {self.high:.3f}]"


@dataclass(frozen=True)
class SignFlips:
    """A two-sided p-value, and how many patterns of signs it rests on; ``exact`` if these were all there are."""

    p_value: float
    patterns: int
    exact: bool


def draws_for(prompts: int) -> int:
    """How many resamples to draw: 10,000, and fewer (never under 1,000) beyond 5,000 prompts, to end within seconds."""
    return max(1_000, min(DRAWS, _WORK // max(prompts, 1)))


def bootstrap_mean(values: np.ndarray, level: float = 0.95, draws: int = DRAWS, seed: int = 0) -> Interval:
    """Mean of ``values`` [prompts] with its percentile bootstrap interval (Efron 1979), resampling prompts.

    Equal seeds resample equal prompts, so intervals of several columns of one table belong together. Raises ValueError
    for no values or values that are not finite: an unscored prompt must be left out by name, never averaged.
    """
    values = np.asarray(values, dtype=np.float64)
    if values.ndim != 1 or not values.size or not np.isfinite(values).all():
        raise ValueError(f"needs a non-empty vector of finite values, got shape {values.shape}")
    return bootstrap_ratios(values[:, None], np.ones((values.size, 1)), level, draws, seed)[0]


def bootstrap_ratios(
    numerators: np.ndarray, denominators: np.ndarray, level: float = 0.95, draws: int = DRAWS, seed: int = 0
) -> list[Interval]:
    """Sum of numerators over sum of denominators of each column [prompts, columns], with percentile intervals.

    With denominators of 1 that is a mean; with numbers of pairs it is a rate in which each pair counts once; a prompt
    that has no such number has 0 in both and does not count. All columns are resampled together; a resample in which
    nothing counts is left out of that column's interval. Raises ValueError for shapes that differ, numbers that are not
    finite, or a column in which nothing counts.
    """
    top, bottom = (np.asarray(x, dtype=np.float64) for x in (numerators, denominators))
    if top.ndim != 2 or top.shape != bottom.shape or not top.size or not np.isfinite([top, bottom]).all():
        raise ValueError(f"needs two non-empty finite matrices of one shape, got {top.shape} and {bottom.shape}")
    if not (bottom.sum(axis=0) > 0).all():
        raise ValueError("a column has a denominator of 0: nothing counts in it")
    different, places = _different(np.hstack([top, bottom]))
    sums = _resampled_sums(different, draws, seed)[:, places]
    counted = sums[:, top.shape[1] :]
    ratios = np.divide(sums[:, : top.shape[1]], counted, out=np.full(counted.shape, np.nan), where=counted > 0)
    low, high = np.nanquantile(ratios, [(1 - level) / 2, (1 + level) / 2], axis=0)
    means = [float(top[:, k].sum() / bottom[:, k].sum()) for k in range(top.shape[1])]
    return [Interval(mean, float(a), float(b)) for mean, a, b in zip(means, low, high, strict=True)]


def paired_difference(
    first: np.ndarray, second: np.ndarray, level: float = 0.95, draws: int = DRAWS, seed: int = 0
) -> Interval:
    """Mean of ``first - second`` [prompts] with its paired bootstrap interval. Raises ValueError if shapes differ."""
    if np.shape(first) != np.shape(second):
        raise ValueError(f"{np.shape(first)} and {np.shape(second)} do not pair")
    difference = np.asarray(first, dtype=np.float64) - np.asarray(second, dtype=np.float64)
    return bootstrap_mean(difference, level, draws, seed)


def sign_flips(differences: np.ndarray, flips: int = DRAWS, seed: int = 0) -> SignFlips:
    """Could paired ``differences`` [prompts] have had either sign? The randomisation test of Fisher (1935), two-sided.

    The p-value is the share of patterns of signs whose sum is as far from 0 as the sum that was found. All patterns are
    tried where at most ``EXACT_UP_TO`` differences are not 0; else ``flips`` random ones, and with k of them as far off
    the p-value is (k + 1) / (flips + 1), which counts the pattern that was found. Raises ValueError for no differences
    or some that are not finite.
    """
    values = np.asarray(differences, dtype=np.float64)
    if values.ndim != 1 or not values.size or not np.isfinite(values).all():
        raise ValueError(f"needs a non-empty vector of finite differences, got shape {values.shape}")
    values = values[values != 0]  # these have no sign to flip
    reached = abs(values.sum()) - 1e-9 * np.abs(values).sum()  # sums of equal numbers in another order are equal
    if values.size <= EXACT_UP_TO:
        patterns = np.arange(2**values.size)
        signs = 1 - 2 * ((patterns[:, None] >> np.arange(values.size)) & 1)
        return SignFlips(float(np.mean(np.abs(signs @ values) >= reached)), patterns.size, exact=True)
    rng = np.random.default_rng(seed)
    block = max(1, _BLOCK // values.size)
    as_far = 0
    for start in range(0, flips, block):
        signs = 1 - 2 * rng.integers(2, size=(min(block, flips - start), values.size), dtype=np.int8)
        as_far += int(np.sum(np.abs(signs @ values) >= reached))
    return SignFlips((as_far + 1) / (flips + 1), flips, exact=False)


def _different(columns: np.ndarray) -> tuple[np.ndarray, list[int]]:
    """The columns without repetitions, and where each one stands: the columns of a table share most denominators."""
    places: dict[bytes, int] = {}
    where = [places.setdefault(column.tobytes(), len(places)) for column in columns.T]
    first = [where.index(k) for k in range(len(places))]
    return columns[:, first], where


def _resampled_sums(columns: np.ndarray, draws: int, seed: int) -> np.ndarray:
    """Sums [draws, columns] over as many rows of ``columns`` as there are, drawn with replacement."""
    rng = np.random.default_rng(seed)
    size = len(columns)
    block = max(1, _BLOCK // size)
    sums = []
    for start in range(0, draws, block):
        rows = min(block, draws - start)
        places = rng.integers(size, size=(rows, size)) + size * np.arange(rows)[:, None]
        times = np.bincount(places.ravel(), minlength=rows * size).reshape(rows, size)
        sums.append(times.astype(np.float64) @ columns)
    return np.concatenate(sums)
