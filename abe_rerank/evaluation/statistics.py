"""Means over prompts with bootstrap intervals, and p-values by sign flips; differences are paired by prompt.

SciPy resamples and tests. It is imported where it is used, for its import takes longer than a small table.
"""

from __future__ import annotations

import warnings
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
    means = [top[:, k].sum() / bottom[:, k].sum() for k in range(top.shape[1])]
    low, high = (means, means) if len(top) == 1 else _percentiles(top, bottom, level, draws, seed)
    return [Interval(float(mean), float(a), float(b)) for mean, a, b in zip(means, low, high, strict=True)]


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
    if values.size < 2:
        return SignFlips(1.0, 2**values.size, exact=True)
    if values.size <= EXACT_UP_TO:
        return SignFlips(_exact_p_value(values, reached), 2**values.size, exact=True)
    return SignFlips(_sampled_p_value(values, reached, flips, seed), flips, exact=False)


def _exact_p_value(values: np.ndarray, reached: float) -> float:
    """The share of all patterns of signs with which ``values`` sum to ``reached`` or more, either way."""
    from scipy.stats import permutation_test

    def as_far(signed: np.ndarray, axis: int) -> np.ndarray:
        return np.asarray(np.abs(signed.sum(axis=axis)) >= reached, dtype=np.float64)

    found = permutation_test(
        (values,), as_far, permutation_type="samples", vectorized=True, n_resamples=np.inf, alternative="greater"
    )
    return float(found.pvalue)


def _sampled_p_value(values: np.ndarray, reached: float, flips: int, seed: int) -> float:
    """The same over random patterns: SciPy's permutation test takes 75 times as long for 25,000 differences."""
    from scipy.stats import monte_carlo_test

    rng = np.random.default_rng(seed)

    def random_signs(size: tuple[int, ...]) -> np.ndarray:
        return 1 - 2 * rng.integers(2, size=size, dtype=np.int8)

    def as_far(signs: np.ndarray, axis: int) -> np.ndarray:
        return np.asarray(np.abs(signs @ values) >= reached, dtype=np.float64)

    found = monte_carlo_test(
        np.ones(values.size),
        random_signs,
        as_far,
        vectorized=True,
        n_resamples=flips,
        batch=max(1, _BLOCK // values.size),
        alternative="greater",
    )
    return float(found.pvalue)


def _percentiles(
    top: np.ndarray, bottom: np.ndarray, level: float, draws: int, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Ends [columns] of the percentile intervals of the ratios of two matrices [prompts, columns]; 2 prompts or more.

    SciPy resamples the numbers of the rows, so that all columns share one count of how often each row was drawn.
    """
    from scipy.stats import DegenerateDataWarning, bootstrap

    size, count = top.shape
    different, places = _different(np.hstack([top, bottom]))

    def ratios(rows: np.ndarray, axis: int) -> np.ndarray:
        drawn = rows + size * np.arange(len(rows))[:, None]
        times = np.bincount(drawn.ravel(), minlength=drawn.size).reshape(drawn.shape)
        sums = (times.astype(np.float64) @ different)[:, places].T
        found = np.full((count, len(rows)), np.nan)
        np.divide(sums[:count], sums[count:], out=found, where=sums[count:] > 0)
        return found

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DegenerateDataWarning)  # of resamples in which nothing counts
        found = bootstrap(
            (np.arange(size),),
            ratios,
            n_resamples=draws,
            batch=max(1, _BLOCK // size),
            vectorized=True,
            confidence_level=level,
            method="percentile",
            rng=np.random.default_rng(seed),
        )
    low, high = (np.array(end) for end in found.confidence_interval)
    holed = np.isnan(low)
    if holed.any():
        ends = [(1 - level) / 2, (1 + level) / 2]
        low[holed], high[holed] = np.nanquantile(found.bootstrap_distribution[holed], ends, axis=-1)
    return low, high


def _different(columns: np.ndarray) -> tuple[np.ndarray, list[int]]:
    """The columns without repetitions, and where each one stands: the columns of a table share most denominators."""
    places: dict[bytes, int] = {}
    where = [places.setdefault(column.tobytes(), len(places)) for column in columns.T]
    first = [where.index(k) for k in range(len(places))]
    return columns[:, first], where
