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
    fit_rows,
    read_calibration,
    write_calibration,
)
from abe_rerank.scoring.decision import BOUND_FROM, STANDARD, Labelled, decide, fit_decision
from abe_rerank.scoring.second_look import Choices, Look

FEW = Amount(1, ())


def pairs(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """What a decision that is too sure of itself says of pairs, and whether they are bound."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 4, n)
    return 1 / (1 + np.exp(-logits)), rng.random(n) < 1 / (1 + np.exp(-0.4 * logits - 0.5))


def fitted(seed: int = 0) -> Calibration:
    return fit_rows(STANDARD, *pairs(3000, seed), "key", {"right": 1, "swapped": 2})


def test_a_backbones_probabilities_are_the_decisions_own(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    asked = Choices(("red", "blue", "green"), ("", "ring", ""))
    questions = []
    for k in range(200):
        value = (0, 1, 2, None)[k % 4]
        fits = rng.normal(0, 2, (3, 3)) + (0 if value is None else 4 * np.eye(3)[value])
        seen = Look(fits, np.full((3, 3), 0.0 if value is None else 8.0) + rng.normal(0, 2, (3, 3)))
        questions.append([Labelled(seen, asked, value, ("in place", "swapped", "replaced", "missing")[k % 4])])
    found = fit("key", questions)
    assert (found.key, found.decision, found.knots) == ("key", fit_decision(questions), ())
    assert found.mix == {"in place": 50, "swapped": 50, "replaced": 50, "missing": 50}
    said = [found.decision.probabilities([row.look], [asked])[0][0] for (row,) in questions]
    assert found.ece == pytest.approx(expected_calibration_error(np.array(said), np.arange(200) % 4 == 0))
    assert 0 < found.ece < 0.1
    write_calibration(tmp_path, found)
    assert read_calibration(tmp_path, "key") == found


def test_error_is_small_on_fresh_rows() -> None:
    said, bound = pairs(4000, seed=1)
    assert expected_calibration_error(said, bound) > 0.1
    assert expected_calibration_error(fitted().bound(said), bound) < 0.05


def test_probabilities_never_fall_when_the_decision_is_surer() -> None:
    values = fitted().bound(np.linspace(0, 1, 500))
    assert (np.diff(values) >= 0).all()
    assert 0 < values[0] < 0.15
    assert 0.85 < values[-1] < 1


def test_a_map_shifts_what_is_bound_alone_and_the_verdict_follows_it() -> None:
    rng = np.random.default_rng(4)
    asked = Choices(("red", "blue", "green"), ("", "ring", ""))
    calibration = replace(fitted(), decision=replace(STANDARD, absent=1.0))
    met = set()
    for _ in range(200):
        look = Look(rng.normal(0, 3, (3, 3)), rng.normal(2, 3, (3, 3)))
        ((pair,), (plain,)) = (one.probabilities([look], [asked]) for one in (calibration, calibration.decision))
        assert pair.sum() == pytest.approx(1)
        assert pair[1:] / pair[1:].sum() == pytest.approx(plain[1:] / plain[1:].sum())
        found = decide(pair, asked)
        assert (found.verdict == "bound") == (found.bound >= BOUND_FROM)
        met.add(found.verdict == decide(plain, asked).verdict)
    assert met == {True, False}


def test_error_by_hand() -> None:
    probabilities = np.array([0.05, 0.05, 0.95, 0.95])
    assert expected_calibration_error(probabilities, np.array([0, 0, 1, 1])) == pytest.approx(0.05)
    assert expected_calibration_error(probabilities, np.array([1, 1, 0, 0])) == pytest.approx(0.95)
    assert expected_calibration_error(np.array([1.0]), np.array([1])) == 0
    with pytest.raises(ValueError, match="no pairs"):
        expected_calibration_error(np.empty(0), np.empty(0))


def test_too_few_labels_are_refused() -> None:
    said, _ = pairs(100, seed=4)
    with pytest.raises(UsageError, match="at least 20 bound and 20 unbound"):
        fit_rows(STANDARD, said, np.arange(100) < 5, "key", {})


def test_file_round_trip_and_replacement(tmp_path: Path) -> None:
    assert read_calibration(tmp_path, "key") is None
    first = fitted()
    write_calibration(tmp_path, first)
    write_calibration(tmp_path, fit_rows(STANDARD, *pairs(300, 5), "other", {}))
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
        refitted = AbeScorer(scorer.backbone, scorer.settings, calibrate_on_rows(scorer, half))
        for row in other:
            (score,) = refitted.explain([to_pil(row.image)], parse(row.prompt))
            names = [f"{pair.attribute.text} {pair.object.text}" for pair in score.pairs]
            least = int(np.argmin([pair.margin for pair in score.pairs]))
            about = [names.index(row.pair)] if row.pair else [0, 1] if row.bound else [least]
            likely += [score.pairs[j].probability for j in about]
            truth += [row.bound for _ in about]
    error = expected_calibration_error(np.array(likely), np.array(truth))
    assert said.endswith(f"told right, calibration error {error:.3f}")


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
