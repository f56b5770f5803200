"""The binding benchmark: its scenes, its verdicts against enumeration, its readers on files of the public shapes."""

from __future__ import annotations

import json
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tiny_models import images, save_tiny

from abe_rerank.backbones import Backbone, load_backbone
from abe_rerank.benchmarks import tuning
from abe_rerank.benchmarks.binding_benchmark import ABE, GLOBAL, as_json, as_markdown, as_text, run, run_cases, variants
from abe_rerank.benchmarks.binding_scenes import TASKS, Task, scenes, twins
from abe_rerank.benchmarks.binding_scenes import picture as picture_of
from abe_rerank.benchmarks.cases import Case, Crop, judge, read_cases, verdicts
from abe_rerank.benchmarks.checkout.backbone_reading import distinct_scenes, zero_shot
from abe_rerank.benchmarks.labelled_pairs import (
    heat_on,
    localise,
    pointed_at,
    probabilities_of,
    told_pairs,
    verdict_counts,
)
from abe_rerank.benchmarks.scene_sources import shown
from abe_rerank.errors import UsageError
from abe_rerank.parsing import parse
from abe_rerank.scoring.abe import AbeScorer
from abe_rerank.shapes.world import COLOURS, SHAPES
from abe_rerank.types import Region

ATTRIBUTES = {"colours": "colour", "patterns": "pattern", "sizes": "size", "colour": "colour", "shape": "shape"}


@pytest.fixture(scope="module")
def backbone(tmp_path_factory: pytest.TempPathFactory) -> Backbone:
    return load_backbone(save_tiny("SiglipModel", tmp_path_factory.mktemp("siglip")), device="cpu")


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.name)
def test_twins_differ_in_what_the_task_says_and_the_captions_are_true(task: Task) -> None:
    attribute = ATTRIBUTES[task.name.split()[0]]
    for pair in twins(task, "choose", 3):
        before, after = (scene.objects for scene in pair.scenes)
        changed = [k for k in range(task.objects) if getattr(before[k], attribute) != getattr(after[k], attribute)]
        assert len(changed) == (1 if "replaced" in task.name else 2)
        if "swapped" in task.name:
            i, j = changed
            assert getattr(after[i], attribute) == getattr(before[j], attribute)
            assert getattr(after[j], attribute) == getattr(before[i], attribute)
        for things, caption in zip((before, after), pair.captions, strict=True):
            for thing in things:
                words = [str(getattr(thing, said)) for said in (*task.says, "shape")]
                assert " ".join(words) in caption
        assert pair.captions[0] != pair.captions[1]
        assert len({picture.tobytes() for picture in pair.case().images}) == 2


def test_scenes_are_the_same_every_time_and_differ_between_splits() -> None:
    first, again = list(islice(scenes(2, "choose"), 3)), list(islice(scenes(2, "choose"), 3))
    assert first == again
    assert first != list(islice(scenes(2, "report"), 3))


def test_verdicts_enumerate_winogrounds_comparisons() -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        s = rng.integers(0, 4, (2, 2)).astype(float)
        text = [s[0, 0] > s[0, 1], s[1, 1] > s[1, 0]]
        image = [s[0, 0] > s[1, 0], s[1, 1] > s[0, 1]]
        assert verdicts(s) == (sum(text) / 2, float(all(text) and all(image)))
    right, group = verdicts(np.array([[0.5, 0.5]]))
    assert right == 0
    assert np.isnan(group)


def test_judging_blocks_equals_judging_each_case_alone(backbone: Backbone) -> None:
    scorers = variants(backbone)
    pictures = images(4)
    cases = [
        Case((pictures[0],), ("a red cube and a blue ring", "a blue cube and a red ring")),
        Case((pictures[1], pictures[2]), ("a striped ball and a dog", "a dog and a plain ball")),
        Case((pictures[3],), ("a wooden car", "a metal car", "a photo of the car")),
    ]
    results = judge(backbone, scorers, cases, block=2)
    for name, scorer in scorers.items():
        for k, case in enumerate(cases):
            matrix = scorer.score(list(case.images), [parse(caption) for caption in case.captions])
            np.testing.assert_equal((results[name].right[k], results[name].group[k]), verdicts(matrix))


def test_the_report_holds_every_scorer_on_every_task(backbone: Backbone) -> None:
    report = run(backbone, scenes=2, split="choose", ablate=False)
    assert {(c.scorer, c.task) for c in report.cells} == {
        (n, t.name) for n in variants(backbone, None, False) for t in TASKS
    }
    assert report.pointing is not None
    assert report.heat_by_chance is not None
    assert 0 < report.heat_by_chance < 1
    assert report.calibration_error is not None
    assert report.time_ratio is not None
    assert report.time_ratio > 0
    for task in TASKS:
        abe, plain = (next(c for c in report.cells if (c.scorer, c.task) == (n, task.name)) for n in (ABE, GLOBAL))
        assert report.abe_minus_global[task.name].mean == pytest.approx(abe.accuracy.mean - plain.accuracy.mean)
    text = as_text(report)
    assert "colours swapped, 2" in text
    assert "expected calibration error" in text
    assert json.loads(as_json(report))["stamp"] == report.stamp
    rows = as_markdown(report).splitlines()
    assert len({row.count("|") for row in rows}) == 1
    assert len(rows) == 2 + len(variants(backbone, None, False)) + 2


def test_tuning_finds_what_the_benchmark_measures(backbone: Backbone, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, few in (
        ("SOFTNESSES", (1.0,)),
        ("REGIONS", (("top", 0.1),)),
        ("SMOOTHINGS", (0.0,)),
        ("COMPETITIONS", (1.0,)),
        ("LAMBDAS", (0.5,)),
    ):
        monkeypatch.setattr(tuning, name, few)
    monkeypatch.setattr(tuning, "MUS", (0.0, 2.0))
    trials = tuning.search(backbone, [[pair.case() for pair in twins(task, "choose", 3)] for task in TASKS], ("value",))
    assert len(trials) == 2
    assert trials[0].mean >= trials[1].mean
    for trial in trials:
        scorer = AbeScorer(backbone, trial.settings)
        for task, accuracy in zip(TASKS, trial.accuracy, strict=True):
            cases = [pair.case() for pair in twins(task, "choose", 3)]
            captions = np.mean(judge(backbone, {ABE: scorer}, iter(cases))[ABE].right)
            won = []
            for case in cases:
                (a, b), (c, d) = scorer.score(list(case.images), [parse(caption) for caption in case.captions])
                won += [a > c, d > b]
            assert accuracy == pytest.approx((captions + np.mean(won)) / 2)
        assert trial.mean == pytest.approx(np.mean(trial.accuracy))


def test_pointing_and_heat_by_hand() -> None:
    weights = np.zeros((2, 2))
    weights[0, 1], weights[1, 1] = 0.75, 0.25
    region = Region(weights, (0.5, 0, 1, 1))
    assert pointed_at(region, (0.5, 0.0, 1.0, 0.5)) == 1
    assert pointed_at(region, (0.0, 0.0, 0.5, 0.5)) == 0
    mask = np.zeros((8, 8))
    mask[:4, 6:] = 1
    assert heat_on(region, mask) == pytest.approx(0.375)
    assert heat_on(region, np.ones((8, 8))) == pytest.approx(1)
    inner = Region(weights, (0.5, 0, 1, 1), window=(0.25, 0.25, 0.75, 0.75))
    assert pointed_at(inner, (0.5, 0.25, 0.75, 0.5)) == 1
    assert pointed_at(inner, (0.75, 0.0, 1.0, 0.5)) == 0
    outside = np.ones((8, 8))
    outside[2:6, 2:6] = 0
    assert heat_on(inner, outside) == 0


def test_localisation_of_no_region_is_chance(backbone: Backbone) -> None:
    from abe_rerank.scoring.terms import AbeSettings

    seen = localise(AbeScorer(backbone, AbeSettings(region="whole")), map(shown, islice(scenes(2, "choose"), 3)))
    np.testing.assert_allclose(seen.heat, seen.chance, atol=1e-5)


def test_every_labelled_pair_knows_what_is_true_and_gets_one_verdict(backbone: Backbone) -> None:
    scorer = AbeScorer(backbone)
    told = told_pairs(scorer, "choose", 2)
    counts = verdict_counts(told)
    mix = {kind: sum(found.values()) for kind, found in counts.items()}
    # two scenes of each of 1 to 4 objects: their own caption, a colour and a shape replaced; two colours swapped from 2
    assert mix == {"right": 78 - 28, "missing": 2 * 4, "swapped": 2 * 2 * 3, "replaced": 2 * 4}
    likely, bound = probabilities_of(told)
    assert (len(likely), bound.sum()) == (len(told), mix["right"])
    seen = shown(next(scenes(1, "choose")))
    (pair,) = scorer.explain([seen.image], parse(seen.caption))[0].pairs
    assert pair.verdict in counts["right"]


def _write_pictures(folder: Path, names: list[str]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, picture in zip(names, images(len(names)), strict=True):
        picture.save(folder / name)


def test_aro_is_read_with_its_boxes(tmp_path: Path, backbone: Backbone) -> None:
    _write_pictures(tmp_path / "images", ["1.jpg"])
    row = {
        **{"image_path": "1.jpg", "true_caption": "the red cube and the blue ring"},
        **{"false_caption": "the blue cube and the red ring", "attributes": ["red", "blue"]},
        **{"bbox_x": 4, "bbox_y": 8, "bbox_w": 20, "bbox_h": 10},
    }
    (tmp_path / "visual_genome_attribution.json").write_text(json.dumps([row]))
    (case,) = read_cases("aro", tmp_path)
    assert case.captions == (row["true_caption"], row["false_caption"])
    crop = case.images[0]
    assert isinstance(crop, Crop)
    assert crop.load().size == (20, 10)
    report = run_cases(backbone, read_cases("aro", tmp_path), ablate=False)
    assert {cell.task for cell in report.cells} == {"visual_genome_attribution"}
    assert all(cell.group is None for cell in report.cells)


def test_sugarcrepe_finds_cocos_pictures(tmp_path: Path) -> None:
    _write_pictures(tmp_path / "val2017", ["7.jpg"])
    row = {"filename": "7.jpg", "caption": "a red cube", "negative_caption": "a blue cube"}
    (tmp_path / "swap_att.json").write_text(json.dumps({"0": row}))
    (case,) = read_cases("sugarcrepe", tmp_path)
    assert (case.images, case.category) == ((tmp_path / "val2017" / "7.jpg",), "swap_att")


def test_winoground_pairs_pictures_and_captions(tmp_path: Path, backbone: Backbone) -> None:
    _write_pictures(tmp_path / "images", ["ex_0_img_0.png", "ex_0_img_1.png"])
    row = {
        **{"id": 0, "image_0": "ex_0_img_0", "image_1": "ex_0_img_1", "collapsed_tag": "Object"},
        **{"caption_0": "a dog and a red car", "caption_1": "a red dog and a car"},
    }
    (tmp_path / "examples.jsonl").write_text(json.dumps(row) + "\n")
    report = run_cases(backbone, read_cases("winoground", tmp_path), ablate=False)
    assert {cell.task for cell in report.cells} == {"Object"}
    assert all(cell.group is not None for cell in report.cells)


def test_abc6k_takes_line_pairs_and_leaves_equal_ones_out(tmp_path: Path) -> None:
    lines = [
        "A red cube, a blue ring.",
        "A blue cube , a red ring .",
        "White on white.",
        "White on white .",
        "a b",
        "b a",
    ]
    (tmp_path / "ABC-6K.txt").write_text("\n".join(lines) + "\n")
    _write_pictures(tmp_path / "images", ["0.png", "2.jpg"])
    found = list(read_cases("abc6k", tmp_path))
    assert [case.captions for case in found] == [(lines[0], lines[1]), (lines[4], lines[5])]
    assert [Path(str(case.images[0])).name for case in found] == ["0.png", "2.jpg"]


def test_what_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="unknown benchmark format 'coco'"):
        read_cases("coco", tmp_path)
    with pytest.raises(UsageError, match="no such folder"):
        read_cases("aro", tmp_path / "nowhere")
    with pytest.raises(UsageError, match=r"examples\.jsonl"):
        list(read_cases("winoground", tmp_path))
    (tmp_path / "examples.jsonl").write_text('{"id": 0}\n')
    with pytest.raises(UsageError, match="row 0: KeyError"):
        list(read_cases("winoground", tmp_path))
    (tmp_path / "swap_att.json").write_text("{")
    with pytest.raises(UsageError, match="cannot be read as JSON"):
        list(read_cases("sugarcrepe", tmp_path))


def test_a_picture_that_is_missing_is_named(tmp_path: Path, backbone: Backbone) -> None:
    with pytest.raises(UsageError, match=r"no such image file: .*gone\.png"):
        judge(backbone, variants(backbone, None, False), [Case((tmp_path / "gone.png",), ("a", "b"))])
    Image.new("RGB", (3, 3)).save(tmp_path / "small.png")
    (result, *_) = judge(
        backbone, variants(backbone, None, False), [Case((tmp_path / "small.png",), ("a", "b"))]
    ).values()
    assert len(result.right) == 1


def test_single_objects_are_named_among_all_shapes_and_colours(backbone: Backbone) -> None:
    drawn = distinct_scenes(5, 1, "choose")
    images = [backbone.encode_images([picture_of(scene)]).global_[0].numpy() for scene in drawn]
    rates = zero_shot(backbone, np.stack(images), drawn)
    assert [(rate.task, rate.trials) for rate in rates] == [
        ("zero-shot shape of 12, 1 object", 5),
        ("zero-shot colour of 12, 1 object", 5),
    ]

    def phrase(colour: str, shape: str) -> np.ndarray:
        return backbone.encode_texts([f"{'an' if colour == 'orange' else 'a'} {colour} {shape}"])[0].double().numpy()

    by_shape = {s: np.mean([phrase(c, s) for c in COLOURS], axis=0) for s in SHAPES}
    by_colour = {c: np.mean([phrase(c, s) for s in SHAPES], axis=0) for c in COLOURS}
    for rate, means, kind in ((rates[0], by_shape, "shape"), (rates[1], by_colour, "colour")):
        said = [max(means, key=lambda name: float(i @ means[name] / np.linalg.norm(means[name]))) for i in images]
        assert rate.value == np.mean([s == getattr(d.objects[0], kind) for s, d in zip(said, drawn, strict=True)])
