"""Suites, statistics and the benchmark of picking, against enumeration and hand-made outcomes."""

from __future__ import annotations

import itertools
import json

import numpy as np
import pytest

from abe_rerank import UsageError, parse
from abe_rerank.benchmarks.best_of_n import NotJudged, Outcome, run, summarise
from abe_rerank.evaluation.measures import numbers_of_images
from abe_rerank.evaluation.statistics import bootstrap_mean, paired_difference
from abe_rerank.files import data_folder
from abe_rerank.suites import SuitePrompt, as_line, load_prompts, names
from abe_rerank.suites.generators.shapes_prompts import suite


def outcome(values, right, global_scores=None):
    values = np.array(values, dtype=float)
    global_scores = values if global_scores is None else np.array(global_scores, dtype=float)
    return Outcome(
        SuitePrompt("1", "x"), tuple(range(len(values))), values, global_scores, np.array(right), None, 1.0, 0.1
    )


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


def test_the_table_is_that_of_a_naive_loop():
    rng = np.random.default_rng(3)
    outcomes = [outcome(rng.random(8), rng.random(8) < 0.4, rng.random(8)) for _ in range(40)]
    for line in summarise(outcomes, [1, 2, 4, 8]):
        n = line.n
        picked = [o.right[max(range(n), key=lambda k, o=o: o.values[k])] for o in outcomes]
        by_global = [o.right[max(range(n), key=lambda k, o=o: o.global_scores[k])] for o in outcomes]
        assert line.first.mean == pytest.approx(sum(o.right[0] for o in outcomes) / 40)
        assert line.random.mean == pytest.approx(sum(o.right[:n].mean() for o in outcomes) / 40)
        assert line.picked.mean == pytest.approx(sum(picked) / 40)
        assert line.picked_by_global_score.mean == pytest.approx(sum(by_global) / 40)
        assert line.best_possible.mean == pytest.approx(sum(o.right[:n].any() for o in outcomes) / 40)
        assert line.picked_minus_first.mean == pytest.approx(line.picked.mean - line.first.mean)
    with pytest.raises(UsageError, match="none of the prompts"):
        summarise([], [1])


def test_an_unscored_image_is_picked_last_and_ties_go_to_the_first():
    line = summarise([outcome([-np.inf, -3.0], [True, False]), outcome([0.5, 0.5], [True, False])], [2])[0]
    assert line.picked.mean == 0.5


def test_numbers_of_images_are_powers_of_two_and_n():
    assert numbers_of_images(8) == [1, 2, 4, 8]
    assert numbers_of_images(6) == [1, 2, 4, 6]
    assert numbers_of_images(1) == [1]


def test_a_run_draws_scores_and_judges_each_prompt_with_seeds_of_its_own(pipeline, reranker):
    import torch

    from abe_rerank.drawing.sampling import Sampling, draw, settle
    from abe_rerank.shapes.detector import Detector
    from abe_rerank.shapes.oracle import Oracle

    torch.manual_seed(0)
    oracle = Oracle(Detector(), threshold=0.5, apart=0.7)
    prompts = [
        SuitePrompt("a", "a red cube", (("red", "cube"),)),
        SuitePrompt("b", "a red zebra"),
        SuitePrompt("c", "a blue star"),
    ]
    sampling = Sampling(n=2, seed=10, steps=1)
    first, second, third = run(prompts, pipeline, reranker, oracle, sampling)
    assert isinstance(second, NotJudged)
    assert "zebra" in second.reason
    assert isinstance(first, Outcome)
    assert isinstance(third, Outcome)
    assert first.seeds == (10, 11)
    assert third.seeds == (14, 15)
    assert first.parsed_as_expected is True
    assert third.parsed_as_expected is None
    images = [s.image for s in draw(pipeline, "a blue star", settle(pipeline, Sampling(n=2, seed=14, steps=1))).images]
    np.testing.assert_allclose(third.values, reranker.score(images, "a blue star")[:, 0], atol=1e-5)
    assert third.right.tolist() == [oracle.is_right(image, parse("a blue star")) for image in images]
