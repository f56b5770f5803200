"""Calibration: monotone, honest on fresh rows, kept beside its backbone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tiny_models import images, save_tiny

from abe_rerank.backbones import load_backbone
from abe_rerank.benchmarks.labelled_pairs import LabelledRow, calibrate_on_rows, read_rows
from abe_rerank.benchmarks.tune import Amount, Asked, rows_measured
from abe_rerank.errors import AbeRerankError, UsageError
from abe_rerank.images import to_pil
from abe_rerank.parsing import parse
from abe_rerank.scoring.abe import AbeScorer
from abe_rerank.scoring.calibration import (
    FILE,
    Calibration,
    expected_calibration_error,
    fit,
    read_calibration,
    write_calibration,
)

FEW = Amount(1, ())


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


def test_few_of_the_objects_that_are_there_are_called_absent() -> None:
    """Where the labels overlap, the best cut would deny many found objects; at most one in twenty is."""
    rng = np.random.default_rng(8)
    found = np.arange(2000) % 2 == 0
    x = np.column_stack([rng.normal(size=2000), rng.normal(size=2000), rng.normal(0, 1, 2000) + found])
    fitted = fit(x, found, "key", {}, found)
    denied = np.array([fitted.absent(noun) for noun in x[:, 2]])
    assert denied[found].mean() == pytest.approx(0.05, abs=0.001)
    assert denied[~found].mean() > 3 * denied[found].mean()


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


@pytest.fixture
def scorer(tmp_path: Path) -> AbeScorer:
    return AbeScorer(load_backbone(save_tiny("SiglipModel", tmp_path / "model"), device="cpu"))


def write_rows(folder: Path, count: int) -> Path:
    lines = ["image,prompt,bound,pair,kind"]
    for k, picture in enumerate(images(count)):
        picture.save(folder / f"{k}.png")
        pair, kind = ("red cube", "swapped") if k % 4 == 1 else ("", "")
        lines.append(f"{k}.png,a red cube and a blue ring,{'true' if k % 2 == 0 else 'no'},{pair},{kind}")
    (folder / "rows.csv").write_text("\n".join(lines) + "\n")
    return folder / "rows.csv"


def test_rows_of_the_user_become_a_calibration(
    cli: Callable[..., tuple[int, str, str]], tmp_path: Path, scorer: AbeScorer
) -> None:
    rows = read_rows(write_rows(tmp_path, 48))
    assert [r.bound for r in rows[:2]] == [True, False]
    calibration = calibrate_on_rows(scorer, rows)
    # 24 bound rows of two pairs each; 24 unbound rows, one pair each, of which every other one is named and a swap
    assert calibration.mix == {"right": 48, "swapped": 12, "wrong": 12}
    assert calibration.key == scorer.calibration_key
    options = ["--backbone", scorer.backbone.folder, "--rows", tmp_path / "rows.csv", "--device", "cpu"]
    code, text, err = cli("tune", *options, "--fit-rows", "--no-search", "--scenes", "1")
    assert code == 0, err
    assert "your own 48 pictures, 72 pairs that the probabilities were fitted to" in text
    fresh = AbeScorer(load_backbone(scorer.backbone.folder, device="cpu"))
    assert fresh.calibration == calibration


def test_many_rows_are_measured_by_what_was_fitted_to_the_other_half(tmp_path: Path, scorer: AbeScorer) -> None:
    rows = read_rows(write_rows(tmp_path, 120))
    said = rows_measured(AbeScorer(scorer.backbone, None, calibrate_on_rows(scorer, rows)), Asked(FEW, rows, True))
    assert said.startswith("your own 120 pictures, 180 pairs, each half by what was fitted to the other: ")
    bound, unbound = ([row for row in rows if row.bound == label] for label in (True, False))
    halves = [unbound[k::2] + bound[k::2] for k in (0, 1)]
    likely, truth = [], []
    for half, other in (halves, halves[::-1]):
        fitted = calibrate_on_rows(scorer, half)
        for row in other:
            numbers = pair_numbers(scorer, row)
            names = [f"{attribute} {noun}" for attribute, noun in parse(row.prompt).pairs]
            about = [names.index(row.pair)] if row.pair else [0, 1] if row.bound else [int(numbers[:, 0].argmin())]
            likely += [fitted.probability(*numbers[j]) for j in about]
            truth += [row.bound for _ in about]
    error = expected_calibration_error(np.array(likely), np.array(truth))
    assert said.endswith(f"told right, calibration error {error:.3f}")


def test_rows_without_the_object_say_when_one_counts_as_found(tmp_path: Path, scorer: AbeScorer) -> None:
    rows = read_rows(write_rows(tmp_path, 48))
    assert calibrate_on_rows(scorer, rows).found_above is None
    marked = [row if row.bound else replace(row, kind="missing") for row in rows]
    calibration = calibrate_on_rows(scorer, marked)
    nouns = [numbers[2] for row in rows if row.bound for numbers in pair_numbers(scorer, row)]
    assert calibration.found_above is not None
    assert np.mean(np.array(nouns) < calibration.found_above) <= 0.05 + 1 / len(nouns)


def pair_numbers(scorer: AbeScorer, row: LabelledRow) -> np.ndarray:
    return scorer.pair_features(scorer.encode([to_pil(row.image)]), [parse(row.prompt)])[0][0]


def test_a_prompt_of_two_lines_is_one_row(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text('image,prompt,bound\na.png,"a red cube\nand a blue sphere",yes\n')
    assert [row.prompt for row in read_rows(tmp_path / "rows.csv")] == ["a red cube\nand a blue sphere"]


def test_wrong_rows_are_named(tmp_path: Path, scorer: AbeScorer) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text('{"image": "a.png", "prompt": "a red cube", "bound": "maybe"}\n')
    with pytest.raises(UsageError, match="line 1: bound is 'maybe'"):
        read_rows(path)
    path.write_text('{"image": "a.png", "prompt": "a red cube"}\n')
    with pytest.raises(UsageError, match="line 1: needs image, prompt and bound"):
        read_rows(path)
    path.write_text('{"image": "a.png", "prompt": "a red cube", "bound": true}\n{"image": \n')
    with pytest.raises(UsageError, match="line 2: not JSON"):
        read_rows(path)
    path.write_text("")
    with pytest.raises(UsageError, match="no labelled rows"):
        read_rows(path)
    images(1)[0].save(tmp_path / "a.png")
    for prompt, pair, message in (("a dog", "", "nothing to bind"), ("a red cube", "blue cube", "no pair 'blue cube'")):
        with pytest.raises(UsageError, match=message):
            calibrate_on_rows(scorer, [LabelledRow(tmp_path / "a.png", prompt, True, pair)])
