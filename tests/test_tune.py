"""Tuning a backbone: what is kept for it, who uses it, and what is said; on a tiny backbone with a small search."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tiny_models import images, save_tiny

from abe_rerank.backbones import DualEncoder, load_backbone
from abe_rerank.benchmarks import tune as tuning_run
from abe_rerank.benchmarks import tuning
from abe_rerank.benchmarks.binding_scenes import TASKS, twins
from abe_rerank.benchmarks.choosing import TUNED, UNTUNED, choose, part, settled
from abe_rerank.benchmarks.preferences import Right, gain, judge_both_ways, tasks
from abe_rerank.benchmarks.tune import Amount, Asked, Notes, advice
from abe_rerank.benchmarks.tuning_page import bins
from abe_rerank.errors import AbeRerankError, UsageError
from abe_rerank.parsing import parse
from abe_rerank.runs.provenance import backbone_record
from abe_rerank.scoring import make_scorer
from abe_rerank.scoring.abe import AbeScorer
from abe_rerank.scoring.calibration import GENERAL
from abe_rerank.scoring.clip import ClipScorer
from abe_rerank.scoring.second_look import LOOK
from abe_rerank.scoring.terms import AbeSettings, write_settings
from abe_rerank.scoring.tuned import export, home_of, kept_in, read_tuned, take_over, tuning_line

Cli = Callable[..., tuple[int, str, str]]
SPEC = parse("a red cube and a blue sphere")


def small_search(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, few in (("LAMBDAS", (1.0,)), ("MUS", (1.0, 7.0)), ("COMPETITIONS", (1.0,))):
        monkeypatch.setattr(tuning, name, few)


@pytest.fixture(scope="module")
def once(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, tuning_run.Outcome]:
    """A folder with the model and the data that tuning it left, and what was found."""
    folder = tmp_path_factory.mktemp("tuned")
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setenv("XDG_DATA_HOME", str(folder / "data"))
        small_search(monkeypatch)
        backbone = load_backbone(save_tiny("SiglipModel", folder / "model"), device="cpu")
        return folder, tuning_run.tune(backbone, Asked(Amount(1, ("regions",))))


@pytest.fixture
def backbone(once: tuple[Path, tuning_run.Outcome], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> DualEncoder:
    """The model, with a data folder that is empty."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    small_search(monkeypatch)
    shutil.copytree(once[0] / "model", tmp_path / "model")
    return load_backbone(tmp_path / "model", device="cpu")


@pytest.fixture
def found(once: tuple[Path, tuning_run.Outcome], backbone: DualEncoder, tmp_path: Path) -> tuning_run.Outcome:
    """What was found for the model, and is kept."""
    shutil.copytree(once[0] / "data", tmp_path / "data")
    return once[1]


def test_what_was_tuned_is_kept_and_used_with_its_probabilities(
    backbone: DualEncoder, found: tuning_run.Outcome, tmp_path: Path
) -> None:
    assert kept_in(backbone).is_relative_to(tmp_path / "data")
    assert {path.name for path in (tmp_path / "model").iterdir()}.isdisjoint({"abe.json", "calibration.json"})
    scorer = AbeScorer(load_backbone(backbone.folder, device="cpu"))
    assert scorer.settings == found.choice.settings
    assert scorer.explain(images(1), SPEC)[0].pairs[0].probability is not None
    assert f"tuned for this backbone on {found.tuned.created[:10]}, calibration error" in str(tuning_line(backbone))
    assert found.tuned.advice in str(tuning_line(backbone))


def test_other_weights_another_size_and_other_settings_get_general_probabilities(
    backbone: DualEncoder, found: tuning_run.Outcome, tmp_path: Path
) -> None:
    other = load_backbone(save_tiny("CLIPModel", tmp_path / "other"), device="cpu")
    larger = load_backbone(backbone.folder, device="cpu", image_size=48)
    for one in (other, larger):
        assert AbeScorer(one).settings == AbeSettings()
        assert_general(AbeScorer(one))
        said = str(tuning_line(one))
        assert "was not tuned for this backbone, and its probabilities are general ones (calibration error" in said
        assert f"abe-rerank tune --backbone {one.name}" in said
    assert_general(AbeScorer(backbone, AbeSettings(mu=9.0)))


def assert_general(scorer: AbeScorer) -> None:
    """A pair's probability is that of any backbone, given outright."""
    assert scorer.calibration is None
    own, given = (
        one.explain(images(1), SPEC) for one in (scorer, AbeScorer(scorer.backbone, scorer.settings, GENERAL))
    )
    assert own[0].pairs[0].probability == given[0].pairs[0].probability


def test_records_say_whether_abe_was_tuned_where_abe_scores(backbone: DualEncoder, found: tuning_run.Outcome) -> None:
    for name in ("abe", "ensemble:abe+clip"):
        assert backbone_record(make_scorer(name, backbone), "mine").tuning == tuning_line(backbone)
    assert backbone_record(make_scorer("clip", backbone), "mine").tuning is None
    assert backbone_record(make_scorer("abe", load_backbone(device="cpu")), "built-in").tuning is None


def test_a_folder_that_brings_its_own_settings_wins(backbone: DualEncoder, found: tuning_run.Outcome) -> None:
    assert found.choice.settings != AbeSettings(mu=5.0)
    write_settings(backbone.folder, AbeSettings(mu=5.0))
    assert home_of(backbone) == backbone.folder
    assert AbeScorer(backbone).settings == AbeSettings(mu=5.0)
    assert "brings its own settings" in str(tuning_line(backbone))


def test_what_is_kept_travels_in_a_file_to_the_same_weights_alone(
    backbone: DualEncoder, found: tuning_run.Outcome, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    export(backbone, tmp_path / "tuned.json")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "elsewhere"))
    assert home_of(backbone) is None
    with pytest.raises(UsageError, match="nothing is kept for"):
        export(backbone, tmp_path / "again.json")
    assert take_over(backbone, tmp_path / "tuned.json") == found.tuned == read_tuned(kept_in(backbone))
    assert AbeScorer(backbone).settings == found.choice.settings
    assert AbeScorer(backbone).calibration == found.calibration
    other = load_backbone(save_tiny("CLIPModel", tmp_path / "other"), device="cpu")
    with pytest.raises(UsageError, match="made for other weights"):
        take_over(other, tmp_path / "tuned.json")
    parts = json.loads((tmp_path / "tuned.json").read_text())
    for one in parts["calibration.json"]:
        one["key"] = one["key"].removesuffix(f" | {LOOK}")  # as before pictures were looked at in this way
    (tmp_path / "tuned.json").write_text(json.dumps(parts))
    with pytest.raises(UsageError, match="made by another version"):
        take_over(backbone, tmp_path / "tuned.json")
    (tmp_path / "tuned.json").write_text("{}")
    with pytest.raises(UsageError, match="is not what abe-rerank tune --export writes"):
        take_over(backbone, tmp_path / "tuned.json")


DECISION = {"fits": [1], "presence": [[1, 2, 3]], "swapped": 0, "wrong": 0, "absent": 0}
HOSTILE = {
    "nested": "[" * 200_000,
    "nested objects": '{"a":' * 200_000,
    "a list": "[]",
    "no JSON": "\xff\xfe",
    "infinite": '{"abe.json": {"softness": 1e999}, "calibration.json": [], "tuned.json": {}}',
    "not a number": '{"abe.json": {"softness": NaN}, "calibration.json": [], "tuned.json": {}}',
    "digits": "9" * 5000,
    "cut text": '"\xe4',
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_a_tuned_file_that_is_none_is_refused_and_nothing_is_kept(
    backbone: DualEncoder, tmp_path: Path, text: str
) -> None:
    file = tmp_path / "tuned.json"
    file.write_text(text, encoding="latin-1")
    with pytest.raises(UsageError, match="is not what abe-rerank tune --export writes") as refused:
        take_over(backbone, file)
    assert "unexpected" not in str(refused.value)
    assert len(str(refused.value)) < 400
    assert not kept_in(backbone).exists()


@pytest.mark.parametrize(
    ("part", "value"),
    [
        ("tuned.json", {"created": 5}),
        ("tuned.json", {"error": "none"}),
        ("tuned.json", {"extra": 1}),
        ("abe.json", {"softness": "x" * 100}),
        ("abe.json", {"lambda_": [1]}),
        ("abe.json", {"alpha": 7}),
        ("abe.json", {"region": "everywhere"}),
        ("calibration.json", 3),
        ("calibration.json", [{"decision": "abc"}]),
        ("calibration.json", [{"key": "k", "decision": {**DECISION, "fits": [1, 2]}}]),
        ("calibration.json", [{"key": "k", "decision": {**DECISION, "presence": [[1, 2]]}}]),
        ("calibration.json", [{"key": "k", "decision": DECISION, "knots": [[0, 1], [1, 0]]}]),
    ],
)
def test_a_part_of_another_type_is_refused_wherever_it_is_read(
    backbone: DualEncoder, found: tuning_run.Outcome, tmp_path: Path, part: str, value: object
) -> None:
    export(backbone, tmp_path / "tuned.json")
    parts = json.loads((tmp_path / "tuned.json").read_text())
    parts[part] = {**parts[part], **value} if isinstance(value, dict) else value
    (tmp_path / "tuned.json").write_text(json.dumps(parts))
    with pytest.raises(UsageError, match="is not what abe-rerank tune --export writes"):
        take_over(backbone, tmp_path / "tuned.json")
    assert read_tuned(kept_in(backbone)) == found.tuned
    (kept_in(backbone) / part).write_text(json.dumps(parts[part]))
    with pytest.raises(AbeRerankError, match=part) as refused:
        used(backbone)
    assert "\n" not in str(refused.value)


def used(backbone: DualEncoder) -> None:
    """Read all that is kept for a backbone."""
    tuning_line(backbone)
    assert AbeScorer(backbone).calibration is not None


@pytest.mark.parametrize("text", ["[" * 200_000, "[]", "3", "\0", '{"request": NaN}'])
def test_notes_that_cannot_be_read_are_made_again(tmp_path: Path, text: str) -> None:
    file = tmp_path / "unfinished.json"
    file.write_text(text)
    assert Notes(file, "asked", lambda _: None).step("a", lambda: 1) == 1


def test_a_stopped_tuning_goes_on_where_it_was(tmp_path: Path) -> None:
    made: list[str] = []

    def step(notes: Notes, name: str) -> Any:
        return notes.step(name, lambda: made.append(name) or [len(made)])

    first = Notes(tmp_path / "notes.json", "ten scenes", lambda _: None)
    assert [step(first, "a"), step(first, "b")] == [[1], [2]]
    again = Notes(tmp_path / "notes.json", "ten scenes", lambda _: None)
    assert [step(again, "a"), step(again, "b"), step(again, "c")] == [[1], [2], [3]]
    assert made == ["a", "b", "c"]
    step(Notes(tmp_path / "notes.json", "twenty scenes", lambda _: None), "a")
    assert made == ["a", "b", "c", "a"]


def test_preferences_are_what_single_scores_say(backbone: DualEncoder) -> None:
    scorers = {"abe": AbeScorer(backbone), "clip": ClipScorer(backbone)}
    cases = [pair.case() for pair in twins(TASKS[0], "choose", 3)]
    right = judge_both_ways(backbone, scorers, iter(cases))
    for name, scorer in scorers.items():
        for k, case in enumerate(cases):
            (a, b), (c, d) = scorer.score(list(case.images), [parse(caption) for caption in case.captions])
            assert right[name][0][k] == ((a > b) + (d > c)) / 2
            assert right[name][1][k] == ((a > c) + (d > b)) / 2
    expected = np.mean([right["abe"][0], right["abe"][1]]) - np.mean([right["clip"][0], right["clip"][1]])
    assert gain({"task": right}, "abe", "clip").mean == pytest.approx(expected)


def held(tuned: list[float]) -> dict[str, Right]:
    """Cases held back, of which the defaults have every other one right."""
    half = [1.0, 0.0] * (len(tuned) // 2)
    return {"colours swapped": {TUNED: (tuned, tuned), UNTUNED: (half, half)}}


def test_settings_are_taken_where_they_are_better_on_scenes_held_back_beyond_chance() -> None:
    best = AbeSettings(patch_readout="value", mu=9.0)
    taken = settled(best, held([1.0] * 40))
    assert taken.settings == best
    assert taken.why.startswith("The settings that were found are taken: +0.500 [+0.3")
    assert taken.why.endswith("against the defaults on 40 cases held back.")
    one_more = [1.0, 1.0, *[1.0, 0.0] * 19]
    for tuned in (one_more, [1.0, 0.0] * 20, [0.0] * 40):
        stays = settled(best, held(tuned))
        assert stays.settings == AbeSettings()
        assert stays.why.startswith("The defaults stay: the settings that were found are ")


def test_a_search_among_settings_that_differ_by_chance_alone_keeps_the_defaults() -> None:
    rng = np.random.default_rng(3)
    taken = 0
    for _ in range(100):  # the luckiest of 200 on one half of the cases, tried on the other half
        right = rng.random((200, 80)) < 0.9
        lucky = right[right[:, :40].mean(axis=1).argmax(), 40:].astype(float).tolist()
        plain = (rng.random(40) < 0.9).astype(float).tolist()
        choice = settled(AbeSettings(mu=9.0), {"task": {TUNED: (lucky, lucky), UNTUNED: (plain, plain)}})
        taken += choice.settings != AbeSettings()
    assert taken <= 8  # one in 40 is expected


def test_no_scene_that_is_searched_on_is_held_back() -> None:
    drawn = {name: draw for name, draw in tasks().items() if name in ("colours swapped, 2", "flat: shape replaced, 2")}
    parted = part(drawn, 4)
    for name, count in (("colours swapped, 2", 4), ("flat: shape replaced, 2", 1)):
        searched, back = (
            [case.images[0].tobytes() for case in found[name]] for found in (parted.searched, parted.held)
        )
        assert len(searched) == len(back) == count
        assert not set(searched) & set(back)


def test_a_search_that_finds_the_defaults_says_so(backbone: DualEncoder) -> None:
    def step(name: str, _: Callable[[], Any]) -> Any:
        return {"settings": vars(AbeSettings(patch_readout="regions 0.375/0.125/0.5")), "mean": 1.0}

    choice = choose(backbone, ("regions",), 1, {}, step)
    assert choice.settings == AbeSettings()
    assert choice.why == "The defaults stay: no settings that were searched rank better."


def test_whether_to_use_the_scorer_is_said_in_words() -> None:
    half, sure = [0.5] * 20, [1.0] * 20

    def right(tuned: list[float], plain: list[float]) -> dict[str, tuple[list[float], list[float]]]:
        return {TUNED: (tuned, tuned), tuning_run.GLOBAL: (plain, plain)}

    assert advice({"colours swapped": right(sure, half), "shape replaced": right(sure, sure)}).startswith("use it: ")
    assert advice({"colours swapped": right(half, half), "shape replaced": right(sure, sure)}).startswith("do not use")
    worse = advice({"colours swapped": right(sure, half), "shape replaced": right(half, sure)})
    assert worse.startswith("use it for binding alone")
    assert "-0.50 where one is replaced" in worse


def test_bins_hold_each_pair_once() -> None:
    found = bins(np.array([0.05, 0.07, 0.55, 1.0]), np.array([False, True, True, True]))
    assert [pairs for _, _, pairs in found] == [2, 1, 1]
    assert found[0][:2] == (pytest.approx(0.06), 0.5)


def test_the_command_tells_in_words_writes_a_page_and_is_told_of_later(
    cli: Cli, backbone: DualEncoder, tmp_path: Path
) -> None:
    options = ["--backbone", backbone.folder, "--device", "cpu"]
    images(1)[0].save(tmp_path / "picture.png")
    (tmp_path / "rows.csv").write_text("image,prompt,bound\npicture.png,a red cube,yes\n")
    score = ["score", tmp_path / "picture.png", "--prompt", SPEC.prompt, *options]
    assert "was not tuned for this backbone" in cli(*score)[2]
    code, text, err = cli("tune", *options, "--scenes", "1", "--quick", "--rows", tmp_path / "rows.csv")
    assert code == 0, err
    assert "The defaults stay: " in text
    assert "Where two attributes are swapped, the right caption and picture are preferred: ABE, tuned in" in text
    assert "your own 1 pictures, 1 pairs" in text
    page = (kept_in(backbone) / "tuned.html").read_text()
    for words in ("colours swapped, 2", "Calibration error", "data:image/png", "<circle", "your own 1 pictures"):
        assert words in page
    assert "was tuned for this backbone on" in cli(*score)[2]
    assert cli("tune", *options, "--export", tmp_path / "kept.json")[0] == 0
    assert set(json.loads((tmp_path / "kept.json").read_text())) == {"abe.json", "calibration.json", "tuned.json"}
    shutil.rmtree(kept_in(backbone))
    assert cli("tune", *options, "--tuned", tmp_path / "kept.json")[0] == 0
    assert "was tuned for this backbone on" in cli(*score)[2]
    code, _, err = cli("tune", *options, "--tuned", tmp_path / "kept.json", "--quick")
    assert (code, "stand alone" in err) == (2, True)


@pytest.mark.slow
def test_backbones_are_compared_by_one_command(cli: Cli, backbone: DualEncoder, found: tuning_run.Outcome) -> None:
    words = ["benchmark", "backbones", "--backbone", backbone.folder, "--scenes", "2", "--device", "cpu"]
    code, text, err = cli(*words)
    assert code == 0, err
    for expected in (
        "ABE, tuned",
        "ABE, untuned",
        "global score",
        "FILIP",
        "colours swapped, 3",
        "pointing",
        "times the",
    ):
        assert expected in text
    code, text, err = cli(*words, "--json")
    assert code == 0, err
    (one,) = json.loads(text)["backbones"]
    assert one["readings"]["ABE, tuned"]["calibration_error"] is not None
    assert one["readings"]["ABE, untuned"]["calibration_error"] is not None
