"""Calibration: monotone, honest on fresh rows, kept beside its backbone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from abe_rerank.calibration import (
    FILE,
    Calibration,
    expected_calibration_error,
    fit,
    read_calibration,
    write_calibration,
)
from abe_rerank.errors import AbeRerankError, UsageError


def pairs(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Pairs whose chance of being bound is a known function of margin and evidence; the third number is noise."""
    rng = np.random.default_rng(seed)
    x = rng.normal(0, [0.1, 0.05, 0.02], (n, 3)) + np.array([0.02, 0.3, 0.3])
    chance = 1 / (1 + np.exp(-(30 * x[:, 0] + 10 * (x[:, 1] - 0.3))))
    return x, rng.random(n) < chance


def fitted(seed: int = 0) -> Calibration:
    return fit(*pairs(3000, seed), "key", {"right": 1, "swapped": 2})


def test_error_is_small_on_fresh_rows() -> None:
    x, bound = pairs(4000, seed=1)
    assert expected_calibration_error(fitted().probabilities(x), bound) < 0.05


def test_probabilities_never_fall_when_a_number_rises() -> None:
    calibration = fitted()
    base = np.random.default_rng(2).normal([0.0, 0.3, 0.3], 0.15, (50, 3))
    for axis in range(3):
        raised = base.copy()
        raised[:, axis] += 0.05
        assert (calibration.probabilities(raised) >= calibration.probabilities(base)).all()
    ladder = np.linspace(-2, 2, 200)[:, None] * np.array([1, 0, 0]) + np.array([0, 0.3, 0.3])
    values = calibration.probabilities(ladder)
    assert (np.diff(values) >= 0).all()
    assert 0 < values[0] < 0.1
    assert 0.9 < values[-1] < 1


def test_error_by_hand() -> None:
    probabilities = np.array([0.05, 0.05, 0.95, 0.95])
    assert expected_calibration_error(probabilities, np.array([0, 0, 1, 1])) == pytest.approx(0.05)
    assert expected_calibration_error(probabilities, np.array([1, 1, 0, 0])) == pytest.approx(0.95)
    assert expected_calibration_error(np.array([1.0]), np.array([1])) == 0
    with pytest.raises(ValueError, match="no pairs"):
        expected_calibration_error(np.empty(0), np.empty(0))


def test_found_threshold_divides_the_labels() -> None:
    x, bound = pairs(400, seed=3)
    found = x[:, 2] > 0.29
    threshold = fit(x, bound, "key", {}, found).found_above
    assert threshold is not None
    assert abs(threshold - 0.29) < 0.005
    assert fit(x, bound, "key", {}, np.ones(400)).found_above is None


def test_too_few_labels_are_refused() -> None:
    x, _ = pairs(100, seed=4)
    with pytest.raises(UsageError, match="at least 20 bound and 20 unbound"):
        fit(x, np.arange(100) < 5, "key", {})


def test_file_round_trip_and_replacement(tmp_path: Path) -> None:
    assert read_calibration(tmp_path, "key") is None
    first = fitted()
    write_calibration(tmp_path, first)
    write_calibration(tmp_path, fit(*pairs(300, 5), "other", {}))
    assert read_calibration(tmp_path, "key") == first
    second = fitted(seed=6)
    write_calibration(tmp_path, second)
    assert read_calibration(tmp_path, "key") == second
    assert read_calibration(tmp_path, "other") is not None
    assert read_calibration(tmp_path, "third") is None


def test_a_broken_file_is_named(tmp_path: Path) -> None:
    (tmp_path / FILE).write_text('[{"weights": 3}]')
    with pytest.raises(AbeRerankError, match=r"calibration\.json is not a calibration file"):
        read_calibration(tmp_path, "key")
