"""The measurement of the parser: counts against a naive recount, and the targets on the reporting lines."""

from __future__ import annotations

import json

import pytest

from abe_rerank.benchmarks.checkout.parser_agreement import GOLD, gold_folder, measure, predicted, read_gold
from abe_rerank.errors import UsageError
from abe_rerank.parsing import parse

TARGETS = {"attend-and-excite": 0.99, "geneval": 0.99, "conceptmix": 0.85, "t2i-compbench": 0.98}


def test_counts_agree_with_a_naive_recount(tmp_path):
    rows = [("a red cube", [["red", "cube"]]), ("two blue dogs", [["blue", "dog"], ["big", "dog"]]), ("an old cup", [])]
    lines = [json.dumps({"prompt": prompt, "pairs": pairs}) for prompt, pairs in rows for _ in range(2)]
    path = tmp_path / "gold.jsonl"
    path.write_text("\n".join(lines), encoding="utf-8")
    result = measure("mine", read_gold(path, "report"))
    assert (result.prompts, result.right, result.extra, result.missed) == (3, 2, 1, 1)
    assert result.precision == pytest.approx(2 / 3)
    assert result.f1 == pytest.approx(2 / 3)


def test_shaped_words_count_as_their_value():
    assert predicted(parse("two heart-shaped boxes")) == {("heart", "box")}


def test_the_two_halves_share_no_line(tmp_path):
    path = tmp_path / "gold.jsonl"
    path.write_text("\n".join(json.dumps({"prompt": str(k), "pairs": []}) for k in range(1, 8)), encoding="utf-8")
    assert [prompt for prompt, _ in read_gold(path, "report")] == ["1", "3", "5", "7"]
    assert [prompt for prompt, _ in read_gold(path, "dev")] == ["2", "4", "6"]


def test_a_file_that_is_not_gold_is_named(tmp_path):
    path = tmp_path / "bad.jsonl"
    path.write_text("{}", encoding="utf-8")
    with pytest.raises(UsageError, match=r"bad\.jsonl"):
        read_gold(path, "report")


@pytest.mark.parametrize("name", list(GOLD))
def test_targets_on_the_reporting_lines(name):
    path = gold_folder() / GOLD[name]
    if not path.is_file():
        pytest.skip(f"the gold file is not at {path}")
    assert measure(name, read_gold(path, "report")).f1 >= TARGETS[name]
