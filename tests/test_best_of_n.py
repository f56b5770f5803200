"""Suites, statistics and what picking gains, against enumeration and hand-made outcomes."""

from __future__ import annotations

import itertools
import json

import numpy as np
import pytest
from evaluation_runs import Shape, results, write_run

from abe_rerank import UsageError, parse
from abe_rerank.evaluation.measures import numbers_of_images
from abe_rerank.evaluation.statistics import bootstrap_mean, paired_difference
from abe_rerank.evaluation.summary import summarize
from abe_rerank.files import data_folder
from abe_rerank.suites import as_line, load_prompts, names
from abe_rerank.suites.generators.shapes_prompts import suite


def run_of(folder, prompts):
    """All prompts of a run in numbers; each prompt is (values, rights, global scores), None for an unscored image."""
    n = len(prompts[0][0])
    shape = Shape(prompts=len(prompts), n=n)
    drawn = iter(results(shape))
    found = []
    for values, rights, global_scores in prompts:
        for value, right, global_score in zip(values, rights, global_scores, strict=True):
            result = next(drawn)
            blank = {"status": "unscored", "reason": "broken", "pairs": ()} if value is None else {}
            update = {"value": value, "global_score": global_score, "oracle": {"right": right}, **blank}
            found.append(type(result).model_validate(result.model_dump() | update))
    return summarize([write_run(folder / "run", shape, found)]).runs[0].all


def test_the_shapes_suite_is_what_its_generator_makes():
    text = (data_folder("prompts") / "shapes.jsonl").read_text(encoding="utf-8")
    assert text == "".join(as_line(prompt) + "\n" for prompt in suite())
    assert load_prompts("shapes") == suite()


def test_the_shapes_suite_says_nothing_twice_and_only_words_of_the_shapes_world():
    from abe_rerank.shapes.training.captions import vocabulary, words_of

    prompts = load_prompts("shapes")
    assert len({p.prompt for p in prompts}) == len({p.id for p in prompts}) == len(prompts) >= 500
    known = set(vocabulary())
    assert {word for p in prompts for word in words_of(p.prompt)} <= known
    assert all(p.licence and p.source and p.category and p.pairs for p in prompts)


def test_the_parser_finds_the_pairs_that_the_shapes_suite_expects():
    differing = [p.prompt for p in load_prompts("shapes") if sorted(parse(p.prompt).pairs) != sorted(p.pairs or ())]
    assert differing == []


def test_prompts_come_from_suites_categories_and_files(tmp_path):
    assert "shapes" in names()
    assert {p.category for p in load_prompts("shapes:colour-2")} == {"colour-2"}
    (tmp_path / "mine.txt").write_text("a red cube\n\n a blue star \n", encoding="utf-8")
    assert [p.prompt for p in load_prompts(str(tmp_path / "mine.txt"))] == ["a red cube", "a blue star"]
    (tmp_path / "mine.jsonl").write_text(json.dumps({"prompt": "a red cube", "pairs": [["red", "cube"]]}))
    assert load_prompts(str(tmp_path / "mine.jsonl"))[0].pairs == (("red", "cube"),)


@pytest.mark.parametrize(
    ("text", "said"),
    [("", "no prompts"), ("{", "line 1: not JSON"), ('{"a": 1}', "line 1"), ('{"prompt": "x", "pairs": [1]}', "pairs")],
)
def test_files_of_prompts_that_cannot_be_read_are_refused(tmp_path, text, said):
    (tmp_path / "mine.jsonl").write_text(text)
    with pytest.raises(UsageError, match=said):
        load_prompts(str(tmp_path / "mine.jsonl"))
    with pytest.raises(UsageError, match="no suite"):
        load_prompts("no-such-suite")
    with pytest.raises(UsageError, match="no prompts"):
        load_prompts("shapes:no-such-category")


def test_the_bootstrap_interval_is_that_of_all_resamples():
    values = np.array([0.0, 1.0, 1.0, 3.0])
    every = [np.mean(draw) for draw in itertools.product(values, repeat=4)]
    found = bootstrap_mean(values, draws=40_000)
    assert found.mean == values.mean()
    assert found.low == pytest.approx(np.quantile(every, 0.025), abs=0.26)  # one step of the discrete distribution
    assert found.high == pytest.approx(np.quantile(every, 0.975), abs=0.26)
    assert bootstrap_mean(values) == bootstrap_mean(values)


def test_paired_differences_are_narrower_than_the_columns_they_come_from():
    rng = np.random.default_rng(0)
    base = rng.random(200)
    better = base + 0.1
    found = paired_difference(better, base)
    assert found.low == pytest.approx(0.1)
    assert found.high == pytest.approx(0.1)
    assert bootstrap_mean(base).high - bootstrap_mean(base).low > 0.01


@pytest.mark.parametrize("values", [[], [[1.0]], [1.0, np.nan]])
def test_nothing_and_nan_have_no_mean(values):
    with pytest.raises(ValueError, match="finite"):
        bootstrap_mean(np.array(values))


def test_the_table_is_that_of_a_naive_loop(tmp_path):
    rng = np.random.default_rng(3)
    prompts = [(rng.random(8).tolist(), (rng.random(8) < 0.4).tolist(), rng.random(8).tolist()) for _ in range(40)]
    group = run_of(tmp_path, prompts)
    for point, n in zip(group.curve, [1, 2, 4, 8], strict=True):
        picked = [rights[max(range(n), key=lambda k, v=values: v[k])] for values, rights, _ in prompts]
        by_global = [rights[max(range(n), key=lambda k, g=scores: g[k])] for _, rights, scores in prompts]
        assert (point.images, point.prompts) == (n, 40)
        assert point.oracle.mean == pytest.approx(sum(picked) / 40)
        assert point.oracle_by_global_score.mean == pytest.approx(sum(by_global) / 40)
        assert point.oracle_best.mean == pytest.approx(sum(any(rights[:n]) for _, rights, _ in prompts) / 40)
    right = group.oracle
    assert right.first.mean == pytest.approx(sum(rights[0] for _, rights, _ in prompts) / 40)
    assert right.mean.mean == pytest.approx(sum(sum(rights) / 8 for _, rights, _ in prompts) / 40)
    assert right.picked.mean == pytest.approx(sum(picked) / 40)
    assert right.picked_by_global_score.mean == pytest.approx(sum(by_global) / 40)
    assert right.best.mean == pytest.approx(sum(any(rights) for _, rights, _ in prompts) / 40)
    gains = np.array(picked, dtype=float) - np.array(by_global, dtype=float)
    expected = bootstrap_mean(gains)
    found = right.picked_minus_global_score
    assert (found.mean, found.low, found.high) == pytest.approx((expected.mean, expected.low, expected.high))
    assert right.picked_minus_first.mean == pytest.approx(right.picked.mean - right.first.mean)
    assert right.picked_minus_mean.mean == pytest.approx(right.picked.mean - right.mean.mean)


def test_the_judge_says_what_the_global_score_would_have_picked(tmp_path):
    shape = Shape(prompts=20, n=4)
    rng = np.random.default_rng(1)
    found = [result.model_copy(update={"global_score": float(rng.random())}) for result in results(shape)]
    judge = summarize([write_run(tmp_path / "run", shape, found)]).runs[0].all.judge
    prompts = [found[k : k + 4] for k in range(0, 80, 4)]
    picked = [max(images, key=lambda image: image.value).judge.value for images in prompts]
    by_global = [max(images, key=lambda image: image.global_score).judge.value for images in prompts]
    assert judge.picked_by_global_score.mean == pytest.approx(sum(by_global) / 20)
    assert judge.picked_minus_global_score.mean == pytest.approx((sum(picked) - sum(by_global)) / 20)


def test_what_the_oracle_never_judged_or_no_global_score_picks_has_no_number(tmp_path):
    assert run_of(tmp_path / "a", [([0.5, 0.4], [None, None], [0.1, 0.2])]).oracle is None
    group = run_of(tmp_path / "b", [([0.5, 0.4], [True, False], [None, None])])
    assert group.oracle.picked.mean == 1.0
    assert group.oracle.picked_by_global_score is group.oracle.picked_minus_global_score is None


def test_an_unscored_image_is_picked_last_and_ties_go_to_the_first(tmp_path):
    unscored = ([None, -3.0], [True, False], [None, -0.1])
    group = run_of(tmp_path, [([0.5, 0.5], [True, False], [0.2, 0.2]), unscored])
    assert (group.oracle.picked.mean, group.oracle.picked_by_global_score.mean) == (0.5, 0.5)


def test_numbers_of_images_are_powers_of_two_and_n():
    assert numbers_of_images(8) == [1, 2, 4, 8]
    assert numbers_of_images(6) == [1, 2, 4, 6]
    assert numbers_of_images(1) == [1]
