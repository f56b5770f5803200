"""``summarize``: every number against a naive loop over the records, the counts, and files that cannot be read."""

from __future__ import annotations

import json
import subprocess
import sys
import tracemalloc
from dataclasses import replace

import jsonschema
import numpy as np
import pytest
from evaluation_runs import Shape, bound, by_prompt, picked_of, results, said_by, write_run

from abe_rerank.errors import AbeRerankError, UsageError
from abe_rerank.evaluation.numbers import read_numbers
from abe_rerank.evaluation.statistics import bootstrap_mean
from abe_rerank.evaluation.summary import load, summarize, summary_of
from abe_rerank.evaluation.summary_schema import Summary
from abe_rerank.runs.reading import lines, open_run

MESSY = Shape(prompts=60, n=5, unscored=0.15, nothing=0.2)


def by_global(images):
    """The image with the highest global score, ties to the first."""
    return max((image for image in images if image.global_score is not None), key=lambda image: image.global_score)


def naive(found, n=None):
    """All means by loops over records, as {name: (mean, prompts)}."""
    columns = {}

    def add(name, numerator, denominator=1):
        columns.setdefault(name, []).append((numerator, denominator))

    for everything in by_prompt(found):
        images = everything[:n]
        first, picked = images[0], picked_of(images)
        scored = [image for image in images if image.status == "scored"]
        if first.status == "scored":
            add("score.first", first.value)
            add("score.mean", sum(image.value for image in scored) / len(scored))
            add("score.picked", max(image.value for image in scored))
            pairs = len(first.pairs)
            add("bound.first", bound(first), pairs)
            add("bound.mean", sum(bound(image) for image in scored) / len(scored), pairs)
            add("bound.picked", bound(picked), pairs)
            add("probability.first", sum(pair.probability for pair in first.pairs), pairs)
            chances = [sum(pair.probability for pair in image.pairs) for image in scored]
            add("probability.mean", sum(chances) / len(scored), pairs)
            add("probability.picked", sum(pair.probability for pair in picked.pairs), pairs)
        judged = [image.judge.value for image in images if image.judge.status == "scored"]
        if picked is not None and first.judge.status == picked.judge.status == "scored":
            add("judge.first", first.judge.value)
            add("judge.mean", sum(judged) / len(judged))
            add("judge.picked", picked.judge.value)
            add("judge.best", max(judged))
            add("judge.picked_by_global_score", by_global(images).judge.value)
        right = [image.oracle.right for image in images if image.oracle.right is not None]
        if picked is not None and first.oracle.right is not None and picked.oracle.right is not None:
            add("oracle.first", first.oracle.right)
            add("oracle.mean", sum(right) / len(right))
            add("oracle.picked", picked.oracle.right)
            add("oracle.best", any(right))
            add("oracle.picked_by_global_score", by_global(images).oracle.right)
    return {
        name: (sum(a for a, _ in column) / sum(b for _, b in column), len(column)) for name, column in columns.items()
    }


def check(group, found):
    """A group of a summary against the naive loop."""
    expected = naive(found)
    assert len(expected) == 19
    for name, (mean, prompts) in expected.items():
        choices, key = name.split(".")
        estimate = getattr(getattr(group, choices), key)
        assert estimate.mean == pytest.approx(mean), name
        assert estimate.prompts == prompts, name
        assert estimate.low <= estimate.mean <= estimate.high
    for name in ("score", "bound", "judge", "oracle"):
        choices = getattr(group, name)
        assert choices.picked_minus_first.mean == pytest.approx(choices.picked.mean - choices.first.mean)
        assert choices.picked_minus_mean.mean == pytest.approx(choices.picked.mean - choices.mean.mean)
    assert [point.images for point in group.curve] == [1, 2, 4, 5]
    for point in group.curve:
        expected = naive(found, point.images)
        for name in ("score", "bound", "judge", "oracle"):
            estimate = getattr(point, name)
            assert (estimate.mean, estimate.prompts) == pytest.approx(expected[f"{name}.picked"]), (point.images, name)
    counts = group.counts
    assert counts.prompts == len(by_prompt(found))
    assert counts.images == len(found)
    for status in ("scored", "nothing to bind", "unscored"):
        expected_count = sum(result.status == status for result in found)
        assert getattr(counts, status.replace(" ", "_")) == expected_count > 0


def test_every_number_is_that_of_a_naive_loop(tmp_path):
    found = results(MESSY)
    run = write_run(tmp_path / "run", MESSY, found)
    summary = summarize([run]).runs[0]
    check(summary.all, found)
    assert summary.all.category is None
    assert [group.category for group in summary.categories] == ["colour", "shape", "size"]
    for group in summary.categories:
        check(group, [result for result in found if result.category == group.category])
    unscored = [result for result in found if result.status == "unscored"]
    assert [(u.prompt_id, u.candidate, u.reason) for u in summary.unscored] == [
        (result.prompt_id, result.candidate, "the file is not an image") for result in unscored[:5]
    ]


def test_intervals_are_those_of_the_plain_bootstrap_over_prompts(tmp_path):
    found = results(Shape(prompts=30))
    group = summarize([write_run(tmp_path / "run", Shape(prompts=30), found)]).runs[0].all
    first = bootstrap_mean(np.array([images[0].value for images in by_prompt(found)]))
    gain = bootstrap_mean(np.array([picked_of(images).value - images[0].value for images in by_prompt(found)]))
    for estimate, expected in ((group.score.first, first), (group.score.picked_minus_first, gain)):
        assert (estimate.low, estimate.high) == pytest.approx((expected.low, expected.high))
    rng = np.random.default_rng(5)  # a rate of pairs: each resample is of prompts, and counts pairs
    rates = []
    for _ in range(4000):
        chosen = [by_prompt(found)[k][0] for k in rng.integers(30, size=30)]
        rates.append(sum(bound(image) for image in chosen) / sum(len(image.pairs) for image in chosen))
    low, high = np.quantile(rates, [0.025, 0.975])
    assert (group.bound.first.low, group.bound.first.high) == pytest.approx((low, high), abs=0.02)
    assert summarize([tmp_path / "run"]) == summarize([tmp_path / "run"])


def test_what_was_not_measured_is_null_and_never_0(tmp_path):
    shape = Shape(judge=None, oracle=False, calibrated=False)
    group = summarize([write_run(tmp_path / "run", shape)]).runs[0].all
    assert group.judge is group.oracle is group.probability is None
    assert group.score is not None
    blank = [
        result.model_copy(update={"value": None, "status": "unscored", "reason": "broken", "pairs": ()})
        for result in results(shape)
    ]
    group = summarize([write_run(tmp_path / "blank", shape, blank)]).runs[0].all
    assert group.score is group.bound is None
    assert (group.counts.unscored, group.counts.prompts_counted) == (48, 0)
    assert all(point.score is None for point in group.curve)


def test_plain_scores_have_no_pairs_and_no_bound_rate(tmp_path):
    found = [result.model_copy(update={"pairs": ()}) for result in results(Shape())]
    group = summarize([write_run(tmp_path / "run", Shape(), found)]).runs[0].all
    assert group.bound is group.probability is None
    assert group.score.first.prompts == 12


def test_ties_are_picked_first(tmp_path):
    shape = Shape(prompts=3, n=3)
    found = [
        result.model_copy(
            update={"value": 0.5, "oracle": result.oracle.model_copy(update={"right": not result.candidate})}
        )
        for result in results(shape)
    ]
    group = summarize([write_run(tmp_path / "run", shape, found)]).runs[0].all
    assert group.oracle.picked.mean == group.oracle.first.mean == 1.0
    assert group.oracle.mean.mean == pytest.approx(1 / 3)


def test_an_incomplete_run_is_read_from_its_parts_and_says_so(tmp_path, capsys):
    found = results(MESSY)
    whole = summarize([write_run(tmp_path / "whole", MESSY, found)]).runs[0]
    run = write_run(tmp_path / "run", MESSY, found[:-3], complete=False)
    with (run / "results" / "rank1.jsonl").open("a") as stream:
        stream.write(found[-1].line()[:300])  # cut off in writing
    summary = summarize([run]).runs[0]
    assert (summary.run.complete, summary.run.prompts, summary.run.unfinished) == (False, 59, 1)
    check(summary.all, found[:-5])
    assert whole.run.complete
    code, out, _ = said_by(capsys, "summarize", run)
    assert code == 0
    assert "the run is not complete: 1 prompts do not have all their images and are left out" in out
    (run / "results.jsonl").write_text("".join(r.line() + "\n" for r in found))
    assert summarize([run]).runs[0].all == whole.all


def test_images_that_existed_before_may_be_of_unequal_number(tmp_path):
    shape = Shape(prompts=9, n=5, drawn=False)
    found = [result for result in results(shape) if result.candidate < 1 + result.index % 5]
    group = summarize([write_run(tmp_path / "run", shape, found)]).runs[0].all
    expected = naive(found)
    assert group.score.mean.mean == pytest.approx(expected["score.mean"][0])
    assert group.counts.images == len(found)
    assert [(point.images, point.prompts) for point in group.curve] == [(1, 9), (2, 7), (4, 3), (5, 1)]
    four = [result for result in found if sum(r.index == result.index for r in found) >= 4]
    assert group.curve[2].score.mean == pytest.approx(naive(four, 4)["score.picked"][0])


def changed(line, **fields):
    return json.dumps(json.loads(line) | fields)


BROKEN = {
    "Invalid JSON": lambda line: line[:100],
    "the file: Input should be an object": lambda line: "[1]",
    "schema_version: Input should be 2": lambda line: changed(line, schema_version=3),
    "pairs: Field required": lambda line: json.dumps({k: v for k, v in json.loads(line).items() if k != "pairs"}),
    "value: Input should be a valid number": lambda line: changed(line, value="0.5"),
    "value must be null exactly": lambda line: changed(line, value=None),
    "NaN|finite": lambda line: changed(line, value=float("nan")),
    "value: Input should be": lambda line: changed(line, value=10**400),
    "status: Input should be 'scored', 'nothing": lambda line: changed(line, status="fine"),
    "prompt 1 is another one": lambda line: changed(line, prompt="something else"),
    "stands a second time": lambda line: changed(line, candidate=0),
    "has other pairs": lambda line: changed(line, pairs=[]),
    "index: Input should be greater": lambda line: changed(line, index=-1),
    "category: Input should be a valid string": lambda line: changed(line, category=None),
    "oracle.right: Input should be a valid boolean": lambda line: changed(line, oracle={"right": 1, "reason": None}),
}


@pytest.mark.parametrize("said", BROKEN)
def test_a_line_that_cannot_be_used_is_named(tmp_path, said):
    run = write_run(tmp_path / "run", Shape())
    written = (run / "results.jsonl").read_text().splitlines()
    written[5] = BROKEN[said](written[5])
    (run / "results.jsonl").write_text("\n".join(written) + "\n")
    with pytest.raises(AbeRerankError, match=r"results\.jsonl, line 6: .*" + said.replace("'", ".")):
        summarize([run])


def test_folders_that_are_no_runs_are_refused(tmp_path, capsys):
    with pytest.raises(UsageError, match="no such folder of a run"):
        summarize([tmp_path / "nowhere"])
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match=r"it has no run\.json"):
        summarize([tmp_path / "empty"])
    run = write_run(tmp_path / "run", Shape())
    (run / "results.jsonl").unlink()
    with pytest.raises(UsageError, match="no results yet"):
        summarize([run])
    (run / "results.jsonl").write_text("")
    with pytest.raises(UsageError, match=r"no prompt of the run .* is finished"):
        summarize([run])
    (run / "run.json").write_text('{"schema_version": 9}')
    code, _, err = said_by(capsys, "summarize", run)
    assert code == 2
    assert err.count("\n") == 1
    assert "run.json is damaged, or of another version" in err


def test_the_json_is_of_the_declared_schema(tmp_path, capsys):
    runs = [write_run(tmp_path / name, replace(MESSY, seed=k)) for k, name in enumerate("ab")]
    code, out, _ = said_by(capsys, "summarize", *runs, "--json")
    assert code == 0
    summary = Summary.model_validate_json(out)
    assert summary.schema_version == 1
    assert [run.run.folder for run in summary.runs] == [str(run) for run in runs]
    assert summary == summarize(runs)
    schema = Summary.model_json_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(json.loads(out), schema)
    assert schema["properties"]["schema_version"]["const"] == 1
    assert schema["additionalProperties"] is False
    assert set(json.loads(out)) == set(schema["properties"])
    assert set(schema["$defs"]["Estimate"]["required"]) == {"mean", "low", "high", "prompts"}
    with pytest.raises(ValueError, match="Extra inputs"):
        Summary.model_validate(json.loads(out) | {"more": 1})
    assert said_by(capsys, "summarize", *runs, "--format", "json")[1] == out


def test_formats_are_chosen_by_name(tmp_path, capsys):
    run = write_run(tmp_path / "run", Shape())
    code, _, err = said_by(capsys, "summarize", run, "--format", "xml")
    assert (code, err) == (
        2,
        "abe-rerank: error: unknown format 'xml'; choose from table, json, csv, markdown, latex\n",
    )
    assert said_by(capsys, "summarize", run, "--json", "--format", "csv")[0] == 2


def test_lines_stream_and_numbers_take_little_room(tmp_path):
    peaks = []
    for count in (50, 500):
        run = open_run(write_run(tmp_path / str(count), Shape(prompts=count)))
        tracemalloc.start()
        assert sum(1 for _ in lines(run)) == 4 * count
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < peaks[0] + 20_000
    tracemalloc.start()
    numbers = read_numbers(run)
    assert tracemalloc.get_traced_memory()[1] < 500 * len(numbers.images)
    tracemalloc.stop()


def test_summarize_imports_no_torch(tmp_path):
    run = write_run(tmp_path / "run", Shape())
    code = (
        "import sys\nfrom abe_rerank.cli.app import main\n"
        f"try:\n    main(['summarize', {str(run)!r}])\nexcept SystemExit as end:\n    assert not end.code\n"
        "print(sorted({'torch', 'diffusers', 'spacy'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_numbers_of_a_run_are_sorted_whatever_the_order_of_its_lines(tmp_path):
    found = results(MESSY)
    straight = write_run(tmp_path / "straight", MESSY, found)
    mixed = [found[k] for k in np.random.default_rng(0).permutation(len(found))]
    shuffled = write_run(tmp_path / "shuffled", MESSY, mixed)
    first, second = (summary_of(load(run)) for run in (straight, shuffled))
    assert first.all == second.all
    assert first.categories == second.categories
