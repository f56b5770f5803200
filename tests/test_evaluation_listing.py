"""Images that exist already, in the layouts of T2I-CompBench and GenEval, and named by manifests."""

from __future__ import annotations

import json
import os

import pytest
from evaluation_runs import Shape, write_run

from abe_rerank import UsageError
from abe_rerank.evaluation.layouts import find_images
from abe_rerank.suites import SuitePrompt


def suite(*texts):
    return [SuitePrompt(f"id{k}", text, category="c") for k, text in enumerate(texts)]


def touch(folder, *names):
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).write_bytes(b"")


def names(listing):
    return [[file.name for file in files] for files in listing.files]


@pytest.mark.parametrize("inside", [".", "samples"])
def test_compbench_names_give_prompt_and_number(tmp_path, inside):
    touch(tmp_path / inside, *(f"a red cube_{k:06d}.png" for k in (10, 2, 0)), "a snake_case cat_000001.JPG", "x.json")
    found = find_images(tmp_path)
    assert [p.prompt for p in found.prompts] == ["a red cube", "a snake_case cat"]
    assert names(found) == [[f"a red cube_{k:06d}.png" for k in (0, 2, 10)], ["a snake_case cat_000001.JPG"]]


def test_a_prompt_with_underscores_and_numbers_is_matched_whole_to_the_suite(tmp_path):
    touch(tmp_path, "model_3_000000.png", "model_3_000001.png", "model_000000.png", "room_12.png", "a_b_c.png")
    found = find_images(tmp_path, suite("model", "model_3", "room_12", "a_b_c", "Room", "nothing of it"))
    assert names(found) == [
        ["model_000000.png"],
        ["model_3_000000.png", "model_3_000001.png"],
        ["room_12.png"],
        ["a_b_c.png"],
        [],
        [],
    ]
    assert found.left_out == ()
    assert found.prompts[0].id == "id0"


def test_a_name_that_lost_its_signs_is_matched_by_letters_if_only_one_prompt_has_them(tmp_path):
    touch(tmp_path, "A red-green cube_000000.png", "on_off_000000.png", "other_000000.png")
    found = find_images(tmp_path, suite("a red/green cube.", "on/off", "on, off"))
    assert names(found) == [["A red-green cube_000000.png"], [], []]
    assert [text.split("/")[-1] for text in found.left_out] == [
        "on_off_000000.png: its prompt is not in the suite",
        "other_000000.png: its prompt is not in the suite",
    ]


def geneval(folder, number, prompt, images):
    touch(folder / f"{number:05d}" / "samples", *(f"{k:04d}.png" for k in range(images)), "grid.txt")
    record = {"tag": "colors", "include": [{"class": "cube", "count": 1, "color": "red"}], "prompt": prompt}
    (folder / f"{number:05d}" / "metadata.jsonl").write_text(json.dumps(record))


def test_geneval_folders_give_prompts_pairs_and_images(tmp_path):
    geneval(tmp_path, 0, "a photo of a red cube", 4)
    geneval(tmp_path, 3, "a photo of nothing", 0)
    geneval(tmp_path, 7, "a photo of a red_cube", 2)
    touch(tmp_path / "00009" / "samples", "0000.png")
    (tmp_path / "00009" / "metadata.jsonl").write_text("{")
    found = find_images(tmp_path)
    assert [(p.id, p.category, p.prompt) for p in found.prompts] == [
        ("00000", "colors", "a photo of a red cube"),
        ("00003", "colors", "a photo of nothing"),
        ("00007", "colors", "a photo of a red_cube"),
    ]
    assert found.prompts[0].pairs == (("red", "cube"),)
    assert names(found) == [["0000.png", "0001.png", "0002.png", "0003.png"], [], ["0000.png", "0001.png"]]
    assert len(found.left_out) == 1
    assert "00009" in found.left_out[0]
    matched = find_images(tmp_path, suite("a photo of a red_cube", "another"))
    assert names(matched) == [["0000.png", "0001.png"], []]


@pytest.mark.parametrize("form", ["csv", "jsonl"])
def test_manifests_name_images_prompts_ids_and_categories(tmp_path, form):
    rows = [("b.png", "a red cube", "p1", "colour"), ("a.png", "a red cube", "p1", "colour"), ("c.png", "x", "", "")]
    keys = ("image", "prompt", "id", "category")
    file = tmp_path / f"list.{form}"
    if form == "csv":
        file.write_text("\n".join(",".join(row) for row in [keys, *rows]))
    else:
        file.write_text("\n".join(json.dumps(dict(zip(keys, row, strict=True))) for row in rows))
    found = find_images(file)
    assert [(p.id, p.category, p.prompt) for p in found.prompts] == [("p1", "colour", "a red cube"), ("2", "", "x")]
    assert found.files == ((tmp_path / "b.png", tmp_path / "a.png"), (tmp_path / "c.png",))
    assert found.first(1).files == found.files[:1]


def test_names_that_are_no_text_are_escaped(tmp_path):
    raw = os.fsencode(tmp_path) + b"/\xff red cube_000000.png"
    try:
        with open(raw, "wb"):
            pass
    except OSError:
        pytest.skip("this file system takes no such names")
    found = find_images(tmp_path)
    assert found.prompts[0].prompt == "\\xff red cube"
    assert found.files[0][0].is_file()


def test_nothing_to_be_found_is_refused(tmp_path):
    with pytest.raises(UsageError, match="no images"):
        find_images(tmp_path)
    touch(tmp_path, "a red cube_000000.png")
    with pytest.raises(UsageError, match=r"no images of these prompts .* not in the suite"):
        find_images(tmp_path, suite("a blue cube"))
    with pytest.raises(UsageError, match="no such folder"):
        find_images(tmp_path / "none")
    write_run(tmp_path / "run", Shape(), complete=False)
    (tmp_path / "run" / "prompts.jsonl").write_text('{"prompt": "x"}')
    with pytest.raises(UsageError, match="not complete"):
        find_images(tmp_path / "run")
