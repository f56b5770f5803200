"""Run folders of schema version 1, as the code before wrote them, are read with the same numbers."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from abe_rerank import Reranker
from abe_rerank.drawing.pipelines import load_pipeline
from abe_rerank.drawing.sampling import Sampling, call_arguments
from abe_rerank.runs.evaluated import Result
from abe_rerank.runs.generated import Report, read_report
from abe_rerank.runs.provenance import pipeline_record
from abe_rerank.runs.reading import open_run, read_results
from abe_rerank.scoring import make_scorer

OLD = Path(__file__).with_name("data") / "version_1"
"""Two runs, and what ``show``, ``summarize --json`` and ``compare --json`` of then said of them."""


@pytest.fixture
def old(tmp_path, monkeypatch):
    """A copy of the old runs, which is the working folder."""
    shutil.copytree(OLD, tmp_path / "old")
    monkeypatch.chdir(tmp_path / "old")
    return tmp_path / "old"


def test_show_says_what_it_said(old, cli):
    code, out, err = cli("show", "generated")
    assert (code, err) == (0, "")
    assert out == (old / "show.txt").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("name", "words"),
    [("summarize", ("summarize", "evaluated")), ("compare", ("compare", "evaluated", "evaluated"))],
)
def test_summaries_and_comparisons_say_the_same_numbers(old, cli, name, words):
    code, out, err = cli(*words, "--json")
    assert (code, err) == (0, "")
    assert _without_new(json.loads(out)) == json.loads((old / f"{name}.json").read_text(encoding="utf-8"))


def _without_new(value):
    """A summary without the numbers that summaries did not have before."""
    new = {
        *("picked_by_global_score", "picked_minus_global_score", "soft_tifa", "tuning"),
        *(f"{judge}_{name}" for judge in ("judge", "oracle") for name in ("by_global_score", "best")),
    }
    if isinstance(value, dict):
        return {name: _without_new(part) for name, part in value.items() if name not in new}
    return [_without_new(part) for part in value] if isinstance(value, list) else value


def test_reports_are_made_again(old, cli):
    assert cli("report", "generated")[0] == 0
    assert "red is on the cube: 0.98" in (old / "generated" / "report.html").read_text(encoding="utf-8")
    assert cli("report", "evaluated")[0] == 0
    assert (old / "evaluated" / "report.html").is_file()


NEW = ("seen", "seen_of", "certainty")
"""What pairs did not have before."""


def test_numbers_of_a_report_stay_to_the_bit_and_maps_to_a_level(old):
    before = json.loads((old / "generated" / "report.json").read_text(encoding="utf-8"))
    report = read_report(old / "generated")
    for candidate, was in zip(report.candidates, before["candidates"], strict=True):
        for pair, old_pair in zip(candidate.score.pairs, was["score"]["pairs"], strict=True):
            kept = json.loads(pair.model_dump_json(exclude={"region", "contrast", *NEW}))
            assert kept == {name: old_pair[name] for name in kept}
            assert list(pair.region.box) == old_pair["region"]["box"]
            weights, contrast = np.array(old_pair["region"]["weights"]), np.array(old_pair["contrast"])
            np.testing.assert_allclose(pair.region.heat.values, weights, atol=weights.max() / 500)
            np.testing.assert_allclose(pair.contrast.values, contrast, atol=np.ptp(contrast) / 500)
    assert report == Report.model_validate_json(report.model_dump_json())


def test_numbers_of_results_stay_to_the_bit(old):
    before = [json.loads(line) for line in (old / "evaluated" / "results.jsonl").read_text().splitlines()]
    for result, was in zip(read_results(open_run(old / "evaluated")), before, strict=True):
        assert (result.value, result.local, result.image) == (was["value"], was["local"], was["image"])
        for pair, old_pair in zip(result.pairs, was["pairs"], strict=True):
            assert (pair.evidence, pair.margin, pair.probability) == tuple(
                old_pair[name] for name in ("evidence", "margin", "probability")
            )
            assert pair.region.heat.levels == old_pair["heat"]["levels"]
            assert pair.region.heat.values.sum() == pytest.approx(1)
        assert result == Result.model_validate_json(result.line())


def test_the_images_of_an_old_run_are_scored_again(old, cli, tmp_path):
    code, _, err = cli("evaluate", "--images", "evaluated", "--out", tmp_path / "again", "--device", "cpu")
    assert code == 0, err
    before = [json.loads(line) for line in (old / "evaluated" / "results.jsonl").read_text().splitlines()]
    reranker = Reranker.from_pretrained()  # the backbone is another one by now
    wanted = [reranker.explain(old / "evaluated" / row["image"], row["prompt"]).value for row in before]
    again = [result.value for result in read_results(open_run(tmp_path / "again"))]
    assert again == pytest.approx(wanted, abs=1e-5)


def stopped(old):
    """The evaluated run as if it had been stopped after three of four results: its command, and its lines."""
    command = json.loads((old / "evaluated" / "run.json").read_text())["command"].split()[1:]
    before = (old / "evaluated" / "results.jsonl").read_bytes().splitlines(keepends=True)
    (old / "evaluated" / "results.jsonl").unlink()
    (old / "evaluated" / "results" / "rank-00000.jsonl").write_bytes(b"".join(before[:3]))
    return command, before


def test_a_run_of_an_old_scorer_is_not_mixed_with_the_scores_of_another(old, cli):
    command, before = stopped(old)
    code, _, err = cli(*command)
    assert code == 2
    assert "evaluated holds a run of other settings: scorer is " in err
    assert "choose another folder with --out" in err
    assert (old / "evaluated" / "results" / "rank-00000.jsonl").read_bytes() == b"".join(before[:3])


def test_an_old_run_is_continued_by_the_scorer_that_it_names(old, cli):
    command, before = stopped(old)
    record = old / "evaluated" / "run.json"
    there = json.loads(record.read_text())
    scorer = Reranker.from_pretrained().scorer
    there["scorer"], there["judge"] = scorer.stamp, make_scorer("clip", scorer.backbone).stamp
    there["backbone"]["weights"] = scorer.backbone.weights_hash  # the models are others by now
    drawn_by = load_pipeline(None, device="cpu")
    there["text_to_image"]["weights"] = pipeline_record(drawn_by, "built-in").weights
    there["settings"]["guidance_scale"] = call_arguments(drawn_by, Sampling())["guidance_scale"]
    record.write_text(json.dumps(there))
    code, _, err = cli(*command)
    assert code == 0, err
    assert "3 of 4 results are there" in err
    after = (old / "evaluated" / "results.jsonl").read_bytes().splitlines(keepends=True)
    assert after[:3] == before[:3]
    assert json.loads(after[3])["schema_version"] == 2
    drawn = json.loads(after[3])
    score = Reranker.from_pretrained().explain(old / "evaluated" / drawn["image"], drawn["prompt"])
    assert drawn["value"] == pytest.approx(score.value, abs=1e-5)


@pytest.mark.parametrize("weights", [[[0.5], [0.25, 0.25]], [], [[]], "x", [["a"]], [[1e308, 1e308]]])
def test_maps_that_are_none_are_named(old, cli, weights):
    report = json.loads((old / "generated" / "report.json").read_text(encoding="utf-8"))
    report["candidates"][1]["score"]["pairs"][0]["region"]["weights"] = weights
    (old / "generated" / "report.json").write_text(json.dumps(report))
    code, _, err = cli("show", "generated")
    assert code == 1
    assert "candidates.1.score.pairs.0.region.weights: must be rows of finite numbers, all of one length" in err
