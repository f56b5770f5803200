"""The command line from outside: what it writes, what it says, and how it ends."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from abe_rerank.runs.folders import default_folder, new_run_folder
from abe_rerank.runs.generated import Report

PROMPT = "a yellow cylinder and a red cube"


@pytest.fixture
def models(pipeline_folder, backbone_folder):
    return ["--model", pipeline_folder, "--backbone", backbone_folder, "--device", "cpu"]


@pytest.fixture
def run_folder(cli, models, tmp_path):
    out = tmp_path / "run"
    code, _, err = cli("generate", PROMPT, "--n", 3, "--seed", 4, "--steps", 2, "--out", out, *models)
    assert code == 0, err
    return out


def report_in(folder):
    return Report.model_validate_json((folder / "report.json").read_text(encoding="utf-8"))


def one_line(err):
    return [line for line in err.splitlines() if line.startswith("abe-rerank: ")]


def test_help_and_import_load_no_heavy_library():
    code = (
        "import sys, abe_rerank\n"
        "from abe_rerank.cli.app import main\n"
        "try:\n    main(['generate', '--help'])\nexcept SystemExit as end:\n    assert not end.code, end.code\n"
        "print([m for m in ('torch', 'diffusers', 'transformers', 'spacy', 'numpy', 'PIL') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
    assert "--guidance" in done.stdout


def test_generate_writes_a_run_folder_that_agrees_with_its_pictures(run_folder):
    report = report_in(run_folder)
    assert sorted(p.name for p in run_folder.iterdir()) == [
        *("attention", "best.png", "candidates", "contact_sheet.png", "report.html", "report.json")
    ]
    assert len(list((run_folder / "attention").iterdir())) == 2
    assert [c.rank for c in report.candidates] == [1, 2, 3]
    assert sorted(c.seed for c in report.candidates) == [4, 5, 6]
    values = [c.score.value for c in report.candidates]
    assert values == sorted(values, reverse=True)
    for candidate in report.candidates:
        assert candidate.image == f"candidates/{candidate.rank:02d}_seed{candidate.seed}.png"
        assert (run_folder / candidate.image).is_file()
    assert np.array_equal(Image.open(run_folder / "best.png"), Image.open(run_folder / report.candidates[0].image))
    assert report.parse.pairs == (("yellow", "cylinder"), ("red", "cube"))
    assert report.settings["num_inference_steps"] == 2
    assert report.settings["dtype"] == "float32"
    assert report.text_to_image.kind == "StableDiffusionPipeline"
    assert report.backbone.kind == "SiglipModel"
    assert "<html" in (run_folder / "report.html").read_text(encoding="utf-8")


def test_scores_in_the_report_are_those_of_the_written_pictures(run_folder, reranker):
    for candidate in report_in(run_folder).candidates:
        assert reranker.explain(run_folder / candidate.image, PROMPT).value == pytest.approx(
            candidate.score.value, abs=1e-5
        )


def test_the_redraw_command_draws_the_winner_to_the_bit(run_folder, cli, tmp_path):
    command = shlex.split(report_in(run_folder).commands.redraw)
    assert command[:2] == ["abe-rerank", "generate"]
    code, _, err = cli(*command[1:], "--out", tmp_path / "again")
    assert code == 0, err
    assert np.array_equal(Image.open(run_folder / "best.png"), Image.open(tmp_path / "again" / "best.png"))


def test_the_rescore_command_gives_the_scores_of_the_report(run_folder, cli):
    report = report_in(run_folder)
    code, text, err = cli(*shlex.split(report.commands.rescore)[1:], "--json")
    assert code == 0, err
    values = {Path(row["image"]).name: row["score"]["value"] for row in json.loads(text)["rows"]}
    for candidate in report.candidates:
        assert values[Path(candidate.image).name] == pytest.approx(candidate.score.value, abs=1e-5)


def test_the_weights_hash_tells_models_apart(run_folder, tmp_path):
    from conftest import tiny_pipeline, word_tokenizer

    from abe_rerank.drawing.pipelines import modules
    from abe_rerank.runs.provenance import weights_sha256

    same, other = (tiny_pipeline(word_tokenizer(tmp_path), seed=seed) for seed in (0, 1))
    assert weights_sha256(modules(same)) == report_in(run_folder).text_to_image.weights
    assert weights_sha256(modules(other)) != report_in(run_folder).text_to_image.weights


def test_generate_prints_a_table_and_the_pick(cli, models, tmp_path):
    out = tmp_path / "run"
    code, text, _ = cli("generate", PROMPT, "-n", 2, "--steps", 1, "--out", out, *models)
    lines = text.splitlines()
    assert code == 0
    assert all(word in lines[0] for word in ("rank", "seed", "score", "yellow cylinder", "red cube"))
    best = report_in(out).candidates[0]
    assert lines[1].split()[:3] == ["1", str(best.seed), f"{best.score.value:+.3f}"]
    assert f"picked seed {best.seed}" in text


def test_unknown_words_give_one_line_and_the_run_goes_on(cli, models, tmp_path):
    code, _, err = cli("generate", "a red zebra", "--n", 1, "--steps", 1, "--out", tmp_path / "run", *models)
    warnings = [line for line in err.splitlines() if "warning:" in line]
    assert code == 0
    assert len(warnings) == 1
    assert "zebra" in warnings[0]
    assert "--model" in warnings[0]
    assert "zebra" in report_in(tmp_path / "run").warnings[0]


@pytest.mark.parametrize(
    "prompt", ['<script>alert(1)</script> & "x" red cube', "../../red cube", "-a red cube", "\x1b[31mred cube"]
)
def test_hostile_prompts_are_only_text(cli, models, tmp_path, monkeypatch, prompt):
    monkeypatch.chdir(tmp_path)
    code, out, err = cli("generate", "--n", 1, "--steps", 1, *models, "--", prompt)
    assert code == 0, err
    (folder,) = (tmp_path / "runs").iterdir()
    assert folder.name.split("-", 2)[2].replace("-", "").isalnum()
    assert report_in(folder).prompt == prompt
    assert "\x1b" not in out + err


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["generate"], 2, "PROMPT"),
        (["generate", ""], 2, "the prompt is empty"),
        (["generate", "  "], 2, "the prompt is empty"),
        (["generate", PROMPT, "--n", "0"], 2, "n must be at least 1"),
        (["generate", PROMPT, "--n", "x"], 2, "--n"),
        (["generate", PROMPT, "--model", "/no/such/model"], 2, "/no/such/model"),
        (["generate", PROMPT, "--dtype", "int3"], 2, "int3"),
        (["generate", PROMPT, "--nonsense"], 2, "--nonsense"),
        (["nonsense"], 2, "nonsense"),
        (["parse", ""], 2, "the prompt is empty"),
        (["score"], 2, "give images"),
        (["score", "x.png"], 2, "--prompt"),
        (["score", "--manifest", "/no/such.csv"], 2, "/no/such.csv"),
        (["benchmark", "best-of-n", "--prompts", "nothing"], 2, "no suite or file of prompts called nothing"),
    ],
)
def test_bad_input_ends_in_one_line_and_leaves_no_folder(cli, tmp_path, monkeypatch, words, code, said):
    monkeypatch.chdir(tmp_path)
    found, out, err = cli(*words)
    assert found == code
    assert len(one_line(err)) == 1
    assert said in one_line(err)[0]
    assert "Traceback" not in err
    assert out == ""
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_backbone_and_scorer_are_named(cli, pipeline_folder, backbone_folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, _, err = cli("generate", PROMPT, "--model", pipeline_folder, "--backbone", "/no/such/backbone")
    assert code == 2
    assert "/no/such/backbone" in one_line(err)[0]
    (tmp_path / "x.png").touch()
    code, _, err = cli("score", "x.png", "--prompt", PROMPT, "--backbone", backbone_folder, "--scorer", "oracle")
    assert code == 2
    assert "oracle" in one_line(err)[0]
    assert [path.name for path in tmp_path.iterdir()] == ["x.png"]


def test_an_output_folder_in_use_or_out_of_reach_is_refused_before_work(cli, tmp_path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("keep")
    (tmp_path / "file").write_text("keep")
    for out, said in (("full", "not empty"), ("file", "is a file"), ("file/inside", "cannot write")):
        code, _, err = cli("generate", PROMPT, "--model", "/no/such/model", "--out", tmp_path / out)
        assert code == 2
        assert said in one_line(err)[0]
    assert sorted(p.name for p in tmp_path.rglob("*")) == ["file", "full", "mine.txt"]


def test_debug_shows_the_traceback(cli, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, _, err = cli("generate", PROMPT, "--model", "/no/such/model", "--debug")
    assert code == 2
    assert "Traceback" in err
    assert len(one_line(err)) == 1


def test_a_run_folder_is_whole_or_not_there(tmp_path):
    out = tmp_path / "a" / "b"

    def fail_halfway():
        with new_run_folder(out) as folder:
            (folder / "half.txt").write_text("x")
            assert not out.exists()
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail_halfway()
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "empty").mkdir()
    with new_run_folder(tmp_path / "empty") as folder:
        (folder / "whole.txt").write_text("x")
    assert [p.name for p in tmp_path.rglob("*.txt")] == ["whole.txt"]
    assert [p.name for p in tmp_path.iterdir()] == ["empty"]


@pytest.mark.parametrize("name", [".", "../link"])
def test_the_working_folder_and_links_can_hold_a_run(tmp_path, monkeypatch, name):
    (tmp_path / "here").mkdir()
    (tmp_path / "link").symlink_to("here")
    monkeypatch.chdir(tmp_path / "here")
    with new_run_folder(Path(name)) as folder:
        (folder / "candidates").mkdir()
        (folder / "candidates" / "whole.txt").write_text("x")
    assert (tmp_path / "here" / "candidates" / "whole.txt").exists()
    assert Path("candidates/whole.txt").exists()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["here", "link"]


def test_default_folders_hold_time_and_words_and_never_collide(tmp_path):
    now = datetime(2026, 1, 2, 3, 4, 5)
    first = default_folder("A Red/..\\ cube!", now, tmp_path)
    assert first == tmp_path / "20260102-030405-a-red-cube"
    first.mkdir()
    assert default_folder("A Red/..\\ cube!", now, tmp_path).name == "20260102-030405-a-red-cube-2"
    assert default_folder("\N{GAME DIE}", now, tmp_path).name == "20260102-030405-prompt"
    assert len(default_folder("long " * 100, now, tmp_path).name) < 80


def test_parse_underlines_spans_and_gives_json(cli):
    code, text, _ = cli("parse", PROMPT)
    prompt, marks = text.splitlines()[:2]
    assert code == 0
    assert prompt == PROMPT
    assert marks == "  ------ ========       --- ===="
    record = json.loads(cli("parse", PROMPT, "--json")[1])
    assert record["pairs"] == [["yellow", "cylinder"], ["red", "cube"]]
    assert "nothing to bind" in cli("parse", "cubes")[1]


def save_pictures(folder, count):
    rng = np.random.default_rng(1)
    paths = [folder / f"{k}.png" for k in range(count)]
    for path in paths:
        Image.fromarray(rng.integers(0, 256, (16, 16, 3), dtype=np.uint8)).save(path)
    return paths


def test_score_ranks_a_folder_as_the_reranker_does(cli, reranker, backbone_folder, tmp_path):
    paths = save_pictures(tmp_path, 20)
    options = ["--backbone", backbone_folder, "--device", "cpu"]
    code, text, _ = cli("score", tmp_path, "--prompt", PROMPT, "--json", *options)
    rows = json.loads(text)["rows"]
    ranking = reranker.rank(PROMPT, paths)
    assert code == 0
    assert {row["image"] for row in rows} == {str(path) for path in paths}
    assert [row["rank"] for row in rows] == list(range(1, 21))
    np.testing.assert_allclose(
        [row["score"]["value"] for row in rows], [c.score.value for c in ranking.candidates], atol=1e-5
    )
    code, text, _ = cli("score", tmp_path, "--prompt", PROMPT, "--top-k", 2, *options)
    assert str(ranking.best.source) in text.splitlines()[2]
    assert len(text.splitlines()) == 4


def test_files_are_read_a_chunk_at_a_time(reranker, tmp_path):
    from abe_rerank.cli.score import Row, score_rows

    taken = []

    def rows():
        for k, path in enumerate(save_pictures(tmp_path, 10)):
            taken.append(k)
            yield Row(path, PROMPT)

    results = score_rows(reranker, rows(), chunk=4)
    assert next(results).score.value is not None
    assert len(taken) == 4
    assert len(list(results)) == 9


def test_score_takes_an_input_size_and_warns_of_each_prompt_alone(cli, backbone_folder, tmp_path):
    save_pictures(tmp_path, 2)
    rows = [{"image": "0.png", "prompt": f"a {colour} cube and a {colour} star"} for colour in ("red", "blue")]
    rows[1]["image"] = "1.png"
    manifest = tmp_path / "rows.jsonl"
    manifest.write_text("\n".join(map(json.dumps, rows)))
    options = ["--backbone", backbone_folder, "--device", "cpu", "--json"]
    _, plain, err = cli("score", "--manifest", manifest, *options)
    assert "in parts" not in err
    code, text, _ = cli("score", "--manifest", manifest, "--image-size", "16x32", *options)
    assert code == 0
    assert " 16x32px " in json.loads(text)["scorer"]
    assert " 16x32px " not in json.loads(plain)["scorer"]
    code, _, err = cli("score", "--manifest", manifest, "--image-size", "17", *options)
    assert code == 2
    assert "multiple of the patch size" in one_line(err)[0]


@pytest.mark.parametrize("form", ["csv", "jsonl"])
def test_score_of_a_manifest_reports_what_failed_and_scores_the_rest(cli, reranker, backbone_folder, tmp_path, form):
    good, bad = save_pictures(tmp_path, 2)
    bad.write_bytes(b"broken")
    rows = [("0.png", PROMPT), ("1.png", PROMPT), ("missing.png", PROMPT), ("0.png", 'a "blue", star')]
    manifest = tmp_path / f"rows.{form}"
    if form == "csv":
        import csv

        with manifest.open("w", newline="") as stream:
            csv.writer(stream).writerows([("image", "prompt"), *rows])
    else:
        manifest.write_text("\n".join(json.dumps({"image": i, "prompt": p}) for i, p in rows))
    code, text, err = cli("score", "--manifest", manifest, "--backbone", backbone_folder, "--json")
    found = json.loads(text)
    assert code == 1
    assert "2 of 4 images could not be scored" in one_line(err)[0]
    assert [(Path(r["image"]).name, r["prompt"]) for r in found["rows"]] == [rows[0], rows[3]]
    assert [Path(r["image"]).name for r in found["failed"]] == ["1.png", "missing.png"]
    for row in found["rows"]:
        assert row["score"]["value"] == pytest.approx(reranker.explain(good, row["prompt"]).value, abs=1e-5)


def test_a_manifest_that_cannot_be_read_names_the_line(cli, tmp_path):
    manifest = tmp_path / "rows.jsonl"
    manifest.write_text('{"image": "a.png", "prompt": "a red cube"}\n{"image": "b.png"}\n')
    code, _, err = cli("score", "--manifest", manifest)
    assert code == 2
    assert "line 2" in one_line(err)[0]


def test_an_empty_folder_is_named(cli, tmp_path):
    code, _, err = cli("score", tmp_path, "--prompt", PROMPT)
    assert code == 2
    assert f"no images in {tmp_path}" in one_line(err)[0]
