"""``abe-rerank evaluate`` from outside: killed, resumed, on two processes, on images that exist already."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import numpy as np
import psutil
import pytest
from PIL import Image

from abe_rerank.runs.evaluated import RunRecord
from abe_rerank.runs.reading import open_run, read_results
from abe_rerank.suites import load_prompts

BUILT_IN = ["--limit", "5", "-n", "2", "--steps", "2", "--seed", "3", "--batch-size", "1", "--device", "cpu"]
LAUNCH = "--multi_gpu --num_machines 1 --num_processes 2 --mixed_precision no --dynamo_backend no --main_process_port 0"


def start(*words, launcher=()):
    """A process of ``python -m abe_rerank evaluate``; one thread, so that no sum depends on how many there are."""
    root = str(Path(__file__).parents[1])
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": root}
    command = [sys.executable, *launcher, "-m", "abe_rerank", "evaluate", *map(str, words)]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def complete(*words, launcher=()):
    """Run to the end; gives what was said."""
    process = start(*words, launcher=launcher)
    said, _ = process.communicate()
    assert process.returncode == 0, said
    return said


def results_in(folder):
    return list(read_results(open_run(folder)))


def pictures_in(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*.png")}


def progress(folder):
    """(images, lines) that are there."""
    lines = sum(file.read_bytes().count(b"\n") for file in folder.glob("results/*.jsonl"))
    return len(list(folder.glob("images/*/*.png"))), lines


@pytest.fixture
def cli(cli):
    """Run ``abe-rerank evaluate`` here; gives (exit code, stdout, stderr)."""
    return partial(cli, "evaluate")


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    out = tmp_path_factory.mktemp("runs") / "undisturbed"
    complete("--out", out, *BUILT_IN)
    return out


def test_a_run_holds_every_prompt_and_seed_with_scores_and_what_the_oracle_says(undisturbed):
    record = RunRecord.model_validate_json((undisturbed / "run.json").read_bytes())
    prompts = load_prompts("shapes")[:5]
    found = results_in(undisturbed)
    assert (record.suite, record.prompts, record.n, record.oracle) == ("shapes", 5, 2, True)
    assert record.settings["num_inference_steps"] == 2
    assert [p.prompt for p in load_prompts(str(undisturbed / "prompts.jsonl"))] == [p.prompt for p in prompts]
    assert [r.key for r in found] == [(i, k) for i in range(5) for k in range(2)]
    assert [(r.prompt_id, r.category, r.prompt) for r in found[::2]] == [(p.id, p.category, p.prompt) for p in prompts]
    assert [r.seed for r in found] == [3, 4] * 5
    assert all(r.status == "scored" and r.value is not None and r.oracle.right is not None for r in found)
    assert {r.image for r in found} == set(pictures_in(undisturbed))
    assert {(p.attribute, p.object) for p in found[0].pairs} == set(prompts[0].pairs)


def test_the_oracle_says_of_each_image_what_it_says_of_the_file(undisturbed):
    from abe_rerank import parse
    from abe_rerank.shapes.oracle import Oracle

    oracle = Oracle.load("cpu")
    for result in results_in(undisturbed):
        assert result.oracle.right == oracle.is_right(Image.open(undisturbed / result.image), parse(result.prompt))


def test_a_finished_run_shows_the_means_of_its_lines(cli, undisturbed):
    code, said, err = cli("--out", undisturbed, *BUILT_IN)
    found = results_in(undisturbed)
    pairs = [pair for result in found for pair in result.pairs]
    means = [sum(r.value for r in found) / 10, sum(p.verdict == "bound" for p in pairs) / len(pairs)]
    means.append(sum(r.oracle.right for r in found) / 10)
    assert code == 0, err
    assert overall(said) == ["5", "10", "0", "0", *(f"{mean:.3f}" for mean in means)]


@pytest.mark.slow
def test_killed_at_random_moments_it_goes_on_and_ends_with_the_same_bytes(undisturbed, tmp_path):
    out, lot, kills = tmp_path / "killed", random.Random(20261123), 0
    for images in (1, 5):
        process = start("--out", out, *BUILT_IN)
        target = images + lot.randrange(3)
        while process.poll() is None and sum(progress(out)) < 2 * target - lot.randrange(2):
            time.sleep(0.002)
        process.kill()
        process.communicate()
        kills += process.returncode == -signal.SIGKILL
        before = {file: file.read_bytes() for file in out.glob("results/*.jsonl")}
    said = complete("--out", out, *BUILT_IN)
    assert kills
    assert all(file.read_bytes().startswith(text[: text.rfind(b"\n") + 1]) for file, text in before.items())
    assert (out / "results.jsonl").read_bytes() == (undisturbed / "results.jsonl").read_bytes()
    assert pictures_in(out) == pictures_in(undisturbed)
    assert str(out / "results.jsonl") in said


@pytest.mark.slow
def test_two_processes_end_as_one_even_if_one_of_them_dies(undisturbed, tmp_path):
    out = tmp_path / "two"
    launcher = ("-m", "accelerate.commands.launch", *LAUNCH.split())
    process = start("--out", out, *BUILT_IN, launcher=launcher)
    while process.poll() is None and not (out / "results" / "rank-00001.jsonl").is_file():
        time.sleep(0.002)
    (second,) = [w for w in psutil.Process(process.pid).children() if w.environ().get("RANK") == "1"]
    second.suspend()
    first = out / "results" / "rank-00000.jsonl"
    while process.poll() is None and not (first.is_file() and first.read_bytes().count(b"\n") == 5):
        time.sleep(0.01)
    second.kill()
    said, _ = process.communicate()
    assert process.returncode != 0, said
    assert first.read_bytes().count(b"\n") == 5
    assert not (out / "results.jsonl").exists()
    complete("--out", out, *BUILT_IN, launcher=launcher)
    assert progress(out) == (10, 10)
    one, two = results_in(undisturbed), results_in(out)
    for a, b in zip(one, two, strict=True):
        assert b.value == pytest.approx(a.value, abs=1e-5)
        assert [p.margin for p in b.pairs] == pytest.approx([p.margin for p in a.pairs], abs=1e-5)
    assert [settled_fields(r) for r in two] == [settled_fields(r) for r in one]


def overall(said):
    """The last row of the table that was said: prompts, images, nothing to bind, unscored, means."""
    (row,) = [line.split() for line in said.splitlines() if line.startswith("all ")]
    return row[1:]


def settled_fields(result):
    """A result without the numbers that move in their last digits."""
    kept = result.model_dump(exclude={"value", "global_score", "local", "binding_difference"})
    kept["pairs"] = [(p["attribute"], p["object"], p["verdict"], p["competitor"]) for p in kept["pairs"]]
    return kept


@pytest.fixture
def prompts(tmp_path):
    file = tmp_path / "mine.txt"
    file.write_text("a red cube and a blue sphere\na yellow cylinder\ncubes\n", encoding="utf-8")
    return file


@pytest.fixture
def tiny(prompts, pipeline_folder, backbone_folder):
    """Options of a quick run on tiny random models."""
    models = ["--model", pipeline_folder, "--backbone", backbone_folder, "--device", "cpu"]
    return ["--suite", prompts, "--steps", 1, *models]


def test_a_complete_run_says_so_and_changes_nothing(cli, tiny, tmp_path):
    out = tmp_path / "run"
    code, said, _ = cli("--out", out, "-n", 2, *tiny)
    assert code == 0
    assert said.splitlines()[-1] == str(out / "report.html")
    assert "a red cube and a blue sphere" in (out / "report.html").read_text(encoding="utf-8")
    before = {p: (p.stat().st_mtime_ns, p.is_file() and p.read_bytes()) for p in out.rglob("*")}
    code, said, err = cli("--out", out, "-n", 2, *tiny)
    assert code == 0
    assert "is complete" in err
    assert overall(said)[:4] == ["3", "6", "2", "0"]
    assert {p: (p.stat().st_mtime_ns, p.is_file() and p.read_bytes()) for p in out.rglob("*")} == before


def test_other_settings_are_refused_with_the_difference(cli, tiny, tmp_path):
    out = tmp_path / "run"
    cli("--out", out, "-n", 1, *tiny)
    code, _, err = cli("--out", out, "-n", 2, "--guidance", 2, *tiny)
    assert code == 2
    assert "n is 1 there and 2 here; settings.guidance_scale is 7.5 there and 2.0 here" in err
    (tmp_path / "mine.txt").write_text("a red cube\n")
    code, _, err = cli("--out", out, "-n", 1, *tiny)
    assert code == 2
    assert "prompts is 3 there and 1 here; prompts_sha256 is" in err


def test_at_any_batch_size_a_half_done_batch_is_redone_to_the_same_bytes(cli, tiny, tmp_path):
    one, out = tmp_path / "one", tmp_path / "three"
    cli("--out", one, "-n", 5, *tiny)
    cli("--out", out, "-n", 5, "--batch-size", 3, *tiny)
    expected, pictures = (out / "results.jsonl").read_bytes(), pictures_in(out)
    (out / "results.jsonl").unlink()
    rank = out / "results" / "rank-00000.jsonl"
    rank.write_bytes(b"".join(rank.read_bytes().splitlines(keepends=True)[:4]) + b'{"schema')
    for picture in list(out.glob("images/0000[12]/*.png")):
        picture.unlink()
    assert cli("--out", out, "-n", 5, "--batch-size", 3, *tiny)[0] == 0
    assert (out / "results.jsonl").read_bytes() == expected
    assert pictures_in(out) == pictures
    for name, picture in pictures.items():
        levels = [np.asarray(Image.open(folder / name), dtype=int) for folder in (one, out)]
        assert np.abs(levels[0] - levels[1]).max() <= 1, picture


def test_values_are_those_of_the_reranker_and_the_judge_that_was_named(cli, tiny, reranker, tmp_path):
    from abe_rerank import Reranker

    out = tmp_path / "run"
    assert cli("--out", out, "-n", 2, "--judge", "clip", "--oracle", *tiny)[0] == 0
    judge = Reranker.from_pretrained(tiny[7], "clip", device="cpu")
    for result in results_in(out):
        picture = out / result.image
        assert result.value == pytest.approx(reranker.explain(picture, result.prompt).value, abs=1e-5)
        assert result.judge.value == pytest.approx(judge.explain(picture, result.prompt).value, abs=1e-5)
        assert result.oracle.right is False
    code, _, err = cli("--out", tmp_path / "other", "--judge", "abe", *tiny)
    assert code == 2
    assert "is what picks" in err


def test_what_the_oracle_cannot_judge_has_a_reason(cli, tiny, prompts, tmp_path):
    prompts.write_text("a red zebra\na red cube\n")
    assert cli("--out", tmp_path / "run", "-n", 1, "--oracle", *tiny)[0] == 0
    unknown, known = results_in(tmp_path / "run")
    assert unknown.oracle.right is None
    assert "zebra" in unknown.oracle.reason
    assert known.oracle.right is not None
    assert cli("--out", tmp_path / "without", "-n", 1, *tiny)[0] == 0
    assert results_in(tmp_path / "without")[0].oracle is None


def test_prompts_that_are_parsed_or_judged_otherwise_than_expected_are_named(cli, tiny, tmp_path):
    file = tmp_path / "mine.jsonl"
    lines = [
        {"prompt": "a red cube", "pairs": [["blue", "cube"]]},
        {"prompt": "a red star", "pairs": [["red", "star"]]},
    ]
    file.write_text("\n".join(map(json.dumps, [*lines, {"prompt": "a red zebra"}])))
    tiny[1] = file
    code, _, err = cli("--out", tmp_path / "run", "-n", 1, "--oracle", *tiny)
    assert code == 0
    said = "1 of 2 prompts are parsed otherwise than their suite expects, the first: a red cube (red cube)"
    assert f"warning: {said}" in err.splitlines()
    assert "warning: 1 of 3 prompts cannot be judged by the oracle, the first: a red zebra (" in err
    assert "s to draw or read, " in err
    assert " s to score" in err


def test_without_out_the_same_command_leads_to_the_same_folder(cli, tiny, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    cli("-n", 1, *tiny)
    assert "is complete" in cli("-n", 1, *tiny)[2]
    cli("-n", 2, *tiny)
    assert len(list((tmp_path / "runs").iterdir())) == 2


def test_images_that_exist_are_scored_and_those_that_do_not_are_unscored(cli, tiny, backbone_folder, tmp_path):
    drawn, out = tmp_path / "drawn", tmp_path / "found"
    cli("--out", drawn, "-n", 2, "--batch-size", 1, *tiny)
    folder = tmp_path / "pictures" / "samples"
    folder.mkdir(parents=True)
    for result in results_in(drawn)[:4]:
        shutil.copy(drawn / result.image, folder / f"{result.prompt}_{result.candidate:06d}.png")
    (folder / "a yellow cylinder_000001.png").write_bytes(b"no image")
    options = ["--images", folder.parent, "--suite", tiny[1], "--backbone", backbone_folder, "--device", "cpu"]
    code, said, err = cli("--out", out, *options)
    assert code == 1
    assert overall(said)[:4] == ["3", "5", "0", "2"]
    assert "is not an image" in err
    found = results_in(out)
    assert [r.key for r in found] == [(0, 0), (0, 1), (1, 0), (1, 1), (2, 0)]
    assert [r.value for r in found[:3]] == [r.value for r in results_in(drawn)[:3]]
    assert all(Path(r.image).is_absolute() and r.seed is None for r in found[:4])
    assert (found[3].status, found[3].value, found[3].pairs) == ("unscored", None, ())
    assert (found[4].image, found[4].reason) == (None, "there is no such image of this prompt")
    assert cli("--out", out, *options)[0] == 1
    (folder / "a yellow cylinder_000002.png").write_bytes(b"no image")
    assert "settings.files is 4 there and 5 here" in cli("--out", out, *options)[2]


def test_a_run_can_be_scored_again_by_another_scorer(cli, tiny, backbone_folder, tmp_path):
    cli("--out", tmp_path / "drawn", "-n", 2, *tiny)
    options = ["--images", tmp_path / "drawn", "--backbone", backbone_folder, "--device", "cpu", "--scorer", "clip"]
    assert cli("--out", tmp_path / "again", *options)[0] == 0
    before, after = results_in(tmp_path / "drawn"), results_in(tmp_path / "again")
    assert [(r.key, r.prompt_id, r.prompt) for r in after] == [(r.key, r.prompt_id, r.prompt) for r in before]
    assert [Path(r.image) for r in after] == [tmp_path / "drawn" / r.image for r in before]
    assert [r.value for r in after] == pytest.approx([r.global_score for r in before], abs=1e-5)


def test_a_prompt_that_the_model_fails_to_draw_is_unscored_and_the_rest_goes_on(cli, tiny, prompts, tmp_path):
    from diffusers import DiffusionPipeline

    broken = tmp_path / "broken"
    pipeline = DiffusionPipeline.from_pretrained(tiny[5])
    pipeline.scheduler.config["prediction_type"] = "none"
    pipeline.save_pretrained(broken)
    tiny[5] = broken
    code, said, err = cli("--out", tmp_path / "run", "-n", 1, *tiny)
    assert code == 1
    assert overall(said) == ["3", "3", "0", "3", "-", "-"]
    assert "failed to draw" in err
    assert {(r.status, r.image, r.seed) for r in results_in(tmp_path / "run")} == {("unscored", None, 0)}


def test_a_device_that_fails_ends_the_run_and_a_prompt_that_fails_does_not(pipeline_folder, tmp_path):
    import torch

    from abe_rerank.drawing.pipelines import load_pipeline
    from abe_rerank.drawing.sampling import DeviceError, Sampling
    from abe_rerank.evaluation.plan import Block
    from abe_rerank.evaluation.workload import Drawn

    pipeline = load_pipeline(pipeline_folder, device="cpu")
    source = Drawn(pipeline, Sampling(n=4, seed=5, batch_size=2, steps=1), tmp_path)

    def failing(error):
        def hook(*_):
            raise error

        return pipeline.unet.register_forward_pre_hook(hook)

    for error, said in (
        (torch.OutOfMemoryError("full"), "out of memory while sampling one image"),
        (getattr(torch, "AcceleratorError", torch.OutOfMemoryError)("CUDA error"), "the device cpu failed|memory"),
    ):
        hook = failing(error)
        with pytest.raises(DeviceError, match=said):
            source.take(Block(0, range(2, 4)), "a red cube", {2, 3})
        hook.remove()
    hook = failing(RuntimeError("odd"))
    failed = source.take(Block(0, range(2, 4)), "a red cube", {2, 3})
    hook.remove()
    assert [(one.path, one.seed, one.image) for one in failed] == [(None, 7, None), (None, 8, None)]
    assert all("failed to draw: odd" in one.failure for one in failed)
    taken = source.take(Block(0, range(2, 4)), "a red cube", {3})
    assert [one.path for one in taken] == ["images/00000/seed7.png", "images/00000/seed8.png"]
    assert list(pictures_in(tmp_path)) == ["images/00000/seed8.png"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--suite", "nothing"], "no suite or file of prompts called nothing"),
        (["--images", "/no/such"], "no such folder or manifest of images: /no/such"),
        (["--images", ".", "--model", "x", "--steps", "3"], "--model, --steps"),
        (["--model", "/no/such"], "/no/such"),
        (["--scorer", "none", "--device", "cpu"], "none"),
        (["--batch-size", "0"], "batch size must be at least 1"),
        (["--guidance", "nan"], "guidance must be a finite number"),
        (["--images", "..", "--batch-size", "0"], "no images"),
    ],
)
def test_bad_input_ends_in_one_line_and_leaves_no_folder(cli, tmp_path, monkeypatch, words, said):
    monkeypatch.chdir(tmp_path)
    code, _, err = cli(*words)
    lines = [line for line in err.splitlines() if line.startswith("abe-rerank: ")]
    assert code == 2
    assert len(lines) == 1
    assert said in lines[0]
    assert list(tmp_path.iterdir()) == []


def test_the_recorded_command_says_what_was_asked(cli, tiny, tmp_path):
    cli("--out", tmp_path / "run", "-n", 1, "--no-oracle", *tiny)
    command = json.loads((tmp_path / "run" / "run.json").read_text())["command"]
    assert command.startswith("abe-rerank evaluate --suite=")
    assert " --n=1 --steps=1 " in command
    assert " --no-oracle " in command
