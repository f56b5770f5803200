"""``compare``: paired differences against naive loops and exhaustive permutation, and what is not compared."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace

import jsonschema
import numpy as np
import pytest
from evaluation_runs import STAMP, Shape, bound, by_prompt, picked_of, results, said_by, write_run

from abe_rerank.errors import UsageError
from abe_rerank.evaluation.comparison import METRICS, compare
from abe_rerank.evaluation.statistics import bootstrap_ratios, draws_for, paired_difference, sign_flips
from abe_rerank.evaluation.summary import summarize
from abe_rerank.evaluation.summary_schema import Comparison

A = Shape(prompts=24, unscored=0.1, nothing=0.1)
B = Shape(prompts=24, n=3, first=2, seed=1, drift=0.3, unscored=0.1, nothing=0.1)


def number(metric, images):
    """The number of one prompt by a loop, as (numerator, denominator); None if it has none."""
    quantity, choice = METRICS[metric]
    first, picked = images[0], picked_of(images)
    scored = [image for image in images if image.status == "scored"]
    if quantity in ("score", "bound"):
        if first.status != "scored":
            return None
        chosen = {"first": [first], "mean": scored, "picked": [picked]}[choice]
        if quantity == "score":
            return sum(image.value for image in chosen) / len(chosen), 1
        return sum(bound(image) for image in chosen) / len(chosen), len(first.pairs)

    def says(image):
        if quantity == "oracle":
            return image.oracle.right
        return image.judge.value if image.judge.status == "scored" else None

    if picked is None or says(first) is None or says(picked) is None:
        return None
    chosen = {"first": [first], "mean": images, "picked": [picked]}[choice]
    values = [says(image) for image in chosen if says(image) is not None]
    return sum(values) / len(values), 1


@pytest.fixture
def runs(tmp_path):
    """Two runs that share 22 prompts, one of other numbers of images."""
    return write_run(tmp_path / "a", A), write_run(tmp_path / "b", B, complete=False)


@pytest.mark.parametrize("metric", METRICS)
def test_every_difference_is_that_of_a_naive_loop(runs, metric):
    found = compare(*runs, metric=metric, top=100)
    prompts = [{images[0].prompt_id: images for images in by_prompt(results(shape))} for shape in (A, B)]
    common = [key for key in prompts[0] if key in prompts[1]]
    groups = {None: common}
    for key in common:
        groups.setdefault(prompts[0][key][0].category, []).append(key)
    assert [group.category for group in (found.all, *found.categories)] == list(groups)
    for group in (found.all, *found.categories):
        keys = groups[group.category]
        pairs = {key: [number(metric, side[key]) for side in prompts] for key in keys}
        there = [pair for pair in pairs.values() if None not in pair and pair[0][1] == pair[1][1]]
        d = group.difference
        assert group.matched == len(keys)
        assert d.prompts == len(there) > 1
        weight = sum(a[1] for a, _ in there)
        assert d.a == pytest.approx(sum(a[0] for a, _ in there) / weight)
        assert d.b == pytest.approx(sum(b[0] for _, b in there) / weight)
        assert d.difference == pytest.approx(d.b - d.a)
        assert d.low <= d.difference <= d.high
        flips = sign_flips(np.array([b[0] - a[0] for a, b in there]))
        assert (d.p_value, d.exact) == (pytest.approx(flips.p_value), flips.exact)
        if group.category is None:
            gaps = {key: b[0] / b[1] - a[0] / a[1] for key, (a, b) in pairs.items() if a and b and a[1] == b[1]}
            largest = sorted((abs(gap) for gap in gaps.values() if gap), reverse=True)
            assert [abs(p.difference) for p in found.largest] == pytest.approx(largest)
            assert all(p.difference == pytest.approx(gaps[p.prompt_id]) for p in found.largest)
            assert {p.prompt_id for p in found.not_comparable} == set(keys) - set(gaps)


def test_the_prompts_that_differ_most_come_with_their_images(runs):
    prompts = [{images[0].prompt_id: images for images in by_prompt(results(shape))} for shape in (A, B)]
    for metric, choose in (
        ("first", lambda images: images[:1]),
        ("picked", lambda images: [picked_of(images)]),
        ("mean", lambda images: images),
    ):
        found = compare(*runs, metric=metric, top=3)
        assert len(found.largest) == 3
        for prompt in found.largest:
            for run, side, paths in zip(runs, prompts, (prompt.images_a, prompt.images_b), strict=True):
                chosen = [image.image for image in choose(side[prompt.prompt_id])]
                assert list(paths) == [None if image is None else str(run / image) for image in chosen]
            assert prompt.prompt == f"prompt number {prompt.prompt_id[1:]}"
    existing = Shape(drawn=False)
    a, b = (write_run(runs[0].parent / f"existing{k}", replace(existing, seed=k)) for k in range(2))
    assert compare(a, b, metric="first").largest[0].images_a[0].startswith("/data/")


def test_prompts_in_one_run_only_are_counted_and_named(runs, capsys):
    found = compare(*runs)
    assert [prompt.prompt_id for prompt in found.only_in_a] == ["p0", "p1"]
    assert [prompt.prompt_id for prompt in found.only_in_b] == ["p24", "p25"]
    code, out, _ = said_by(capsys, "compare", *runs)
    assert code == 0
    assert f"prompts only in A ({runs[0]}): 2 (p0, p1)" in out
    assert f"prompts only in B ({runs[1]}): 2 (p24, p25)" in out
    assert "B is not complete" in out
    assert "picked of 4 images in A, of 3 in B" in said_by(capsys, "compare", *runs, "--metric", "picked")[1]


def test_prompts_are_matched_by_id_and_text(tmp_path):
    a = write_run(tmp_path / "a", Shape())
    other = [result.model_copy(update={"prompt": f"{result.prompt}!"}) for result in results(Shape())]
    with pytest.raises(UsageError, match="no prompt in common"):
        compare(a, write_run(tmp_path / "b", Shape(), other))
    same = [result.model_copy(update={"prompt_id": "p0", "prompt": "prompt number 0"}) for result in results(Shape())]
    with pytest.raises(UsageError, match="stands twice"):
        compare(a, write_run(tmp_path / "c", Shape(), same))


def test_scores_of_other_scorers_do_not_compare_but_the_oracle_does(tmp_path, capsys):
    a = write_run(tmp_path / "a", Shape())
    stamp, weights = replace(Shape(), scorer=STAMP.replace("mu=1.0", "mu=2.0")), replace(Shape(), weights="ffff")
    for k, shape in enumerate((stamp, weights)):
        b = write_run(tmp_path / f"b{k}", replace(shape, seed=1))
        for metric in ("first", "mean", "picked", "bound", "bound-picked"):
            code, out, err = said_by(capsys, "compare", a, b, "--metric", metric)
            assert (code, out) == (2, "")
            assert "different scorers" in err
            assert "--metric oracle" in err
        assert compare(a, b, metric="oracle-picked").all.difference is not None
        assert compare(a, b, metric="judge").all.difference is not None
    unjudged = write_run(tmp_path / "c", Shape(judge=None, oracle=False))
    with pytest.raises(UsageError, match="one and the same judge"):
        compare(a, unjudged, metric="judge")
    with pytest.raises(UsageError, match=r"c was not judged by the oracle"):
        compare(a, unjudged, metric="oracle")
    with pytest.raises(UsageError, match="unknown metric 'beauty'; choose from first, mean, picked"):
        compare(a, a, metric="beauty")


def test_a_run_does_not_differ_from_itself(runs):
    found = compare(runs[0], runs[0])
    assert (found.all.difference.difference, found.all.difference.p_value) == (0.0, 1.0)
    assert found.largest == found.only_in_a == ()


def test_the_json_is_of_the_declared_schema_and_agrees_with_summarize(runs, capsys):
    code, out, _ = said_by(capsys, "compare", *runs, "--metric", "bound", "--json")
    assert code == 0
    found = Comparison.model_validate_json(out)
    assert found == compare(*runs, metric="bound")
    schema = Comparison.model_json_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(json.loads(out), schema)
    assert schema["properties"]["schema_version"]["const"] == 1
    assert set(json.loads(out)) == set(schema["properties"])
    itself = compare(runs[0], runs[0], metric="bound").all.difference
    assert itself.a == pytest.approx(summarize([runs[0]]).runs[0].all.bound.mean.mean)


@pytest.mark.parametrize("values", [[0.4], [0.5, -0.1, 0.2], [0.1, 0.2, 0.3, -0.1, 0.0, 0.0, 0.7], [1.0, 1.0, -1.0]])
def test_few_differences_are_tested_by_all_patterns_of_signs(values):
    observed = abs(sum(values))
    sums = [abs(np.dot(signs, values)) for signs in itertools.product((1, -1), repeat=len(values))]
    found = sign_flips(np.array(values))
    assert found.exact
    assert found.p_value == pytest.approx(np.mean([total >= observed - 1e-12 for total in sums]))


def test_many_differences_are_tested_by_random_signs_that_agree_with_all(monkeypatch):
    values = np.random.default_rng(3).normal(0.3, 1, 14)
    exact = sign_flips(values)
    assert exact.exact
    assert exact.patterns == 2**14
    more = np.concatenate([values, [1e-9] * 6])  # too many for all patterns, and as good as the same
    sampled = sign_flips(more, flips=40_000)
    assert not sampled.exact
    assert sampled.p_value == pytest.approx(exact.p_value, abs=0.01)
    assert sampled == sign_flips(more, flips=40_000)
    certain = sign_flips(np.full(40, 0.5), flips=999)
    assert certain.p_value == 1 / 1000  # (0 + 1) / (999 + 1): never 0
    with pytest.raises(ValueError, match="finite"):
        sign_flips(np.array([np.nan]))


def test_p_values_are_uniform_where_nothing_differs():
    rng = np.random.default_rng(0)
    found = np.array([sign_flips(rng.normal(size=30), flips=400).p_value for _ in range(300)])
    for level in (0.1, 0.5, 0.9):
        assert np.mean(found <= level) == pytest.approx(level, abs=0.09)


def test_ratios_resample_numerators_with_their_denominators():
    rng = np.random.default_rng(1)
    top, bottom = rng.random((20, 2)), rng.integers(1, 4, size=(20, 2)).astype(float)
    top[:5], bottom[:5] = 0, 0
    places = np.random.default_rng(0).integers(20, size=(500, 20))
    for k, found in enumerate(bootstrap_ratios(top, bottom, draws=500)):
        ratios = [top[row, k].sum() / bottom[row, k].sum() for row in places]
        assert found.mean == pytest.approx(top[:, k].sum() / bottom[:, k].sum())
        assert (found.low, found.high) == pytest.approx(tuple(np.quantile(ratios, [0.025, 0.975])))
    for wrong in (top[:, :1], np.full_like(top, np.nan), np.zeros_like(top)):
        with pytest.raises(ValueError, match=r"matrices|denominator"):
            bootstrap_ratios(top, wrong)
    assert paired_difference(top[:, 0], top[:, 0]).high == 0
    assert (draws_for(1), draws_for(5_000), draws_for(10_000), draws_for(10**6)) == (10_000, 10_000, 5_000, 1_000)


def test_resamples_in_which_nothing_counts_are_left_out_of_the_interval():
    top, bottom = np.zeros((6, 1)), np.zeros((6, 1))
    top[:2, 0], bottom[:2, 0] = (1, 3), (2, 4)
    places = np.random.default_rng(0).integers(6, size=(400, 6))
    ratios = [top[row, 0].sum() / bottom[row, 0].sum() for row in places if bottom[row, 0].sum()]
    assert len(ratios) < 400
    found = bootstrap_ratios(top, bottom, draws=400)[0]
    assert (found.low, found.high) == pytest.approx(tuple(np.quantile(ratios, [0.025, 0.975])))
    assert str(bootstrap_ratios(top[:1], bottom[:1])[0]) == "0.500 [0.500, 0.500]"
