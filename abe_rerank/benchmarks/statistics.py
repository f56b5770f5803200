"""Means over prompts with bootstrap intervals; differences are paired by prompt."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

DRAWS = 10_000
_BLOCK = 4_000_000


@dataclass(frozen=True)
class Interval:
    """A mean with the ends of its interval."""

    mean: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.mean:.3f} [{self.low:.3f}, {self.high:.3f}]"


def bootstrap_mean(values: np.ndarray, level: float = 0.95, draws: int = DRAWS, seed: int = 0) -> Interval:
    """Mean of ``values`` [prompts] with its percentile bootstrap interval (Efron 1979), resampling prompts.

    Equal seeds resample equal prompts, so intervals of several columns of one table belong together. Raises ValueError
    for no values or values that are not finite: an unscored prompt must be left out by name, never averaged.
    """
    values = np.asarray(values, dtype=np.float64)
    if values.ndim != 1 or not values.size or not np.isfinite(values).all():
        raise ValueError(f"needs a non-empty vector of finite values, got shape {values.shape}")
    rng = np.random.default_rng(seed)
    block = max(1, _BLOCK // values.size)
    means = [
        values[rng.integers(values.size, size=(min(block, draws - start), values.size))].mean(axis=1)
        for start in range(0, draws, block)
    ]
    low, high = np.quantile(np.concatenate(means), [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(values.mean()), float(low), float(high))


def paired_difference(
    first: np.ndarray, second: np.ndarray, level: float = 0.95, draws: int = DRAWS, seed: int = 0
) -> Interval:
    """Mean of ``first - second`` [prompts] with its paired bootstrap interval. Raises ValueError if shapes differ."""
    if np.shape(first) != np.shape(second):
        raise ValueError(f"{np.shape(first)} and {np.shape(second)} do not pair")
    difference = np.asarray(first, dtype=np.float64) - np.asarray(second, dtype=np.float64)
    return bootstrap_mean(difference, level, draws, seed)
