"""Runs of generate that are stopped or killed: what was drawn is kept, and the same command goes on with it."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest
from kill_commands import content

from abe_rerank.cli.report import is_evaluation
from abe_rerank.runs.evaluated import Result
from abe_rerank.runs.generated import read_generated

PROMPT = "a yellow cylinder and a red cube"


@pytest.fixture
def options(pipeline_folder, backbone_folder):
    return ["--steps", 2, "--batch-size", 2, "--model", pipeline_folder, "--backbone", backbone_folder]


@contextmanager
def at_call(number, act):
    """Within the block, ``act`` is done when a UNet works for the ``number``-th time."""
    import torch
    from diffusers import UNet2DConditionModel

    calls = []

    def count(module, _):
        if isinstance(module, UNet2DConditionModel):
            calls.append(module)
            if len(calls) == number:
                act()

    handle = torch.nn.modules.module.register_module_forward_pre_hook(count)
    try:
        yield calls
    finally:
        handle.remove()


def stopped_by(number):
    return lambda: os.kill(os.getpid(), number)


@pytest.fixture
def undisturbed(cli, options, tmp_path):
    folder = tmp_path / "undisturbed"
    code, _, err = cli("generate", PROMPT, "--n", 5, "--out", folder, *options)
    assert code == 0, err
    return content(folder)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.parametrize("exists", [False, True])
def test_a_stopped_run_finishes_what_is_at_hand_and_goes_on(cli, options, tmp_path, undisturbed, number, code, exists):
    out = tmp_path / "run"
    if exists:
        out.mkdir()
    words = ("generate", PROMPT, "--n", 5, "--out", out, *options)
    with at_call(3, stopped_by(number)):  # in the second batch of three
        found, text, err = cli(*words)
    assert (found, len(text.splitlines()[1:-3])) == (code, 4)
    assert "interrupted: 4 of 5 images are in" in err
    report, images = read_generated(out)
    assert (report.interrupted, len(images), sorted(c.seed for c in report.candidates)) == (True, 4, [0, 1, 2, 3])
    assert any("4 of 5 images were drawn" in line for line in report.warnings)
    with at_call(0, None) as calls:
        found, _, err = cli(*words)
    assert (found, len(calls)) == (0, 2)  # two steps of the last batch
    assert "4 of 5 images are there" in err
    assert content(out) == undisturbed
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith(".")] == []
    assert list(out.glob(".*")) == []


def test_without_a_folder_the_same_command_finds_what_it_began(cli, options, tmp_path, monkeypatch, undisturbed):
    monkeypatch.chdir(tmp_path)
    words = ("generate", PROMPT, "--n", 5, *options)
    with at_call(3, stopped_by(signal.SIGTERM)):
        assert cli(*words)[0] == 143
    (folder,) = Path("runs").glob("[!.]*")
    assert cli("generate", PROMPT, "--n", 5, "--guidance", 2, *options)[0] == 0  # another run beside it
    assert cli(*words)[0] == 0
    assert content(folder) == undisturbed
    assert len(list(Path("runs").iterdir())) == 2
    assert not is_evaluation(folder)


def test_other_settings_weights_and_prompts_begin_anew(cli, options, backbone_folder, tmp_path, undisturbed):
    out = tmp_path / "run"
    with at_call(3, stopped_by(signal.SIGINT)):
        cli("generate", PROMPT, "--n", 5, "--out", out, *options)
    shutil.rmtree(out)
    for more in (["--seed", 1], ["--n", 4], ["--guidance", 3.0], ["--scorer", "clip"]):
        with at_call(0, None) as calls:
            assert cli("generate", PROMPT, "--n", 5, "--out", tmp_path / "other", *options, *more)[0] == 0
        assert len(calls) in (4, 6)
        shutil.rmtree(tmp_path / "other")
    with at_call(0, None) as calls:
        assert cli("generate", PROMPT, "--n", 5, "--out", out, *options)[0] == 0
    assert len(calls) == 2
    assert content(out) == undisturbed


def test_stopped_before_the_first_picture_nothing_is_left(cli, options, tmp_path):
    def twice():
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)

    with at_call(1, twice):
        code, text, err = cli("generate", PROMPT, "--n", 5, "--out", tmp_path / "a" / "run", *options)
    assert (code, text, "Traceback" in err) == (130, "", False)
    assert list(tmp_path.iterdir()) == []


def test_a_picture_that_is_gone_is_drawn_again(cli, options, tmp_path, undisturbed):
    out = tmp_path / "run"
    with at_call(3, stopped_by(signal.SIGINT)):
        cli("generate", PROMPT, "--n", 5, "--out", out, *options)
    (folder,) = tmp_path.glob(".run.drawn-*")
    (folder / "images" / "00000" / "seed3.png").unlink()
    cli("generate", PROMPT, "--n", 5, "--out", out, *options)
    assert content(out) == undisturbed


def test_doctor_tells_what_is_drawn_and_how_to_go_on_and_mends_it(cli, options, tmp_path, undisturbed):
    out = tmp_path / "my run"
    words = ("generate", PROMPT, "--n", 5, "--out", out, *options)
    with at_call(3, stopped_by(signal.SIGINT)):
        cli(*words)
    (place,) = tmp_path.glob(".my run.drawn-*")
    code, text, _ = cli("doctor", place)
    assert (code, text.splitlines()[0]) == (0, f"not written yet, in {place}: 4 of 5 images")
    line = shlex.split(text.splitlines()[1].removeprefix("to go on: "))
    assert line[:4] == ["abe-rerank", "generate", "--out", str(out)]
    both = cli("doctor", out)[1].splitlines()
    assert both == ["whole: 4 results, 4 pictures", *text.splitlines()]
    shutil.rmtree(out)  # as after a kill
    assert cli("doctor", out) == (0, text, "")
    (place / "images" / "00000" / "seed1.png").write_bytes(b"no picture")
    with next(place.glob("results/*.jsonl")).open("ab") as stream:
        stream.write(b'{"torn')
    code, text, err = cli("doctor", out)
    assert (code, "2 things are not whole" in err, "3 of 5 images" in text) == (1, True, True)
    assert cli("doctor", out, "--mend")[0] == 0
    assert cli("doctor", place)[0] == 0
    assert cli(*line[1:])[0] == 0
    assert content(out) == undisturbed


def test_what_nothing_is_known_of_is_mended_by_drawing_anew(cli, options, tmp_path, undisturbed, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words = ("generate", PROMPT, "--n", 5, *options)
    with at_call(3, stopped_by(signal.SIGINT)):
        cli(*words)
    (out,), (place,) = Path("runs").glob("[!.]*"), Path("runs").glob(".drawn-*")
    assert f"{place}: 4 of 5 images" in cli("doctor", out)[1]
    (place / "run.json").write_text("{}")
    code, _, err = cli(*words)
    assert (code, f"abe-rerank doctor --mend {place}" in err) == (2, True)
    code, text, _ = cli("doctor", place)
    assert (code, "damaged: run.json" in text) == (1, True)
    code, text, _ = cli("doctor", place, "--mend")
    assert (code, "again" in text, place.exists()) == (0, True, False)
    assert cli(*words)[0] == 0
    assert undisturbed in [content(folder) for folder in Path("runs").glob("[!.]*") if folder != out]


def test_a_folder_in_use_is_left_alone(cli, options, tmp_path):
    out = tmp_path / "run"
    with at_call(3, stopped_by(signal.SIGINT)):
        cli("generate", PROMPT, "--n", 5, "--out", out, *options)
    (out / "mine.txt").write_text("keep")
    code, _, err = cli("generate", PROMPT, "--n", 5, "--out", out, *options)
    assert (code, "is not empty" in err) == (2, True)
    assert (out / "mine.txt").read_text() == "keep"
    (out / "mine.txt").unlink()
    report = json.loads((out / "report.json").read_text())
    (out / "report.json").write_text(json.dumps({**report, "interrupted": False}))
    assert cli("generate", PROMPT, "--n", 5, "--out", out, *options)[0] == 2


@pytest.fixture
def drafts(options):
    return ["--draft-steps", 1, "--keep", 3, *options]


@pytest.mark.parametrize("call", [2, 5])  # three batches of drafts, of one step each, then two of two steps
def test_a_stopped_strategy_goes_on_where_it_was(cli, drafts, tmp_path, call):
    words = ("generate", PROMPT, "--n", 5, *drafts)
    with at_call(0, None) as calls:
        assert cli(*words, "--out", tmp_path / "undisturbed")[0] == 0
    assert len(calls) == 3 + 2 * 2
    with at_call(call, stopped_by(signal.SIGTERM)) as calls:
        code, _, err = cli(*words, "--out", tmp_path / "run")
    done = len(calls)
    assert (code, done, "the same command goes on" in err) == (143, call, True)
    report, images = read_generated(tmp_path / "run")
    assert report.settings["strategy"]["ended"] == "it was stopped"
    assert len(images) == {2: 4, 5: 2}[call]  # drafts where there is nothing else
    with at_call(0, None) as calls:
        assert cli(*words, "--out", tmp_path / "run")[0] == 0
    assert len(calls) == 7 - done
    assert content(tmp_path / "run") == content(tmp_path / "undisturbed")
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith(".")] == []


def test_many_prompts_follow_a_strategy_each_by_itself_and_go_on(cli, drafts, tmp_path):
    prompts = tmp_path / "prompts.txt"
    prompts.write_text("a red cube\na blue star\n", encoding="utf-8")
    words = ("generate", "--prompts", prompts, "-n", 3, *drafts[:2], "--keep", 1, *drafts[4:])
    assert cli(*words, "--out", tmp_path / "whole")[0] == 0
    for call in (3, 6):  # in the drafts, two batches of each prompt, and at the end of the first of full quality
        out = tmp_path / f"run{call}"
        with at_call(call, stopped_by(signal.SIGTERM)):
            code, _, err = cli(*words, "--out", out)
        assert (code, "the same command goes on" in err) == (143, True)
        assert not (out / "results.jsonl").exists()
        page = out / "report.html"
        assert page.exists() == (call == 6)
        if call == 6:
            assert "a red cube" in page.read_text(encoding="utf-8")
            assert "a blue star" not in page.read_text(encoding="utf-8")
        assert cli(*words, "--out", out)[0] == 0
        assert "Not finished" not in page.read_text(encoding="utf-8")
        assert (out / "results.jsonl").read_bytes() == (tmp_path / "whole" / "results.jsonl").read_bytes()
    again = cli(*words, "--out", out)
    assert (again[0], "is complete already" in again[2]) == (0, True)
    found = [Result.model_validate_json(line) for line in (out / "results.jsonl").read_bytes().splitlines()]
    for prompt, text in ((0, "a red cube"), (1, "a blue star")):
        *tried, best = [result for result in found if result.index == prompt]
        assert [(r.seed, r.steps) for r in tried] == [(0, 1), (1, 1), (2, 1)]
        assert (best.seed, best.steps) == (max(tried, key=lambda r: r.value).seed, None)
        alone = tmp_path / f"alone{prompt}"
        assert cli("generate", text, "-n", 3, *words[5:], "--out", alone)[0] == 0
        report, _ = read_generated(alone)
        assert [c.pixels_sha256 for c in report.candidates] == [best.pixels_sha256]
    summary = json.loads(cli("summarize", out, "--format", "json")[1])
    assert summary["runs"][0]["all"]["counts"]["images"] == 2  # drafts do not count
    assert cli("doctor", out)[1] == "whole: 8 results, 8 pictures\n"


def test_a_stopped_evaluation_has_a_page_of_what_is_there_and_goes_on(cli, options, tmp_path):
    prompts = tmp_path / "prompts.txt"
    prompts.write_text("a red cube\na blue star\na green sphere\n", encoding="utf-8")
    words = ("evaluate", "--prompts", prompts, "-n", 2, "--no-oracle", *options)
    with at_call(3, stopped_by(signal.SIGTERM)):  # in the second prompt
        code, _, err = cli(*words, "--out", tmp_path / "run")
    assert (code, "2 of 6 results are missing; the same command goes on" in err) == (143, True)
    assert "Not finished" in (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    assert cli(*words, "--out", tmp_path / "run")[0] == 0
    assert cli(*words, "--out", tmp_path / "whole")[0] == 0
    for name in ("results.jsonl", "prompts.jsonl"):
        assert (tmp_path / "run" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    assert "Not finished" not in (tmp_path / "run" / "report.html").read_text(encoding="utf-8")


@pytest.mark.slow
def test_killed_at_any_moment_it_ends_as_an_undisturbed_one(tmp_path, pipeline_folder, backbone_folder):
    script = Path(__file__).with_name("kill_commands.py")
    models = ["--model", pipeline_folder, "--backbone", backbone_folder, "--device", "cpu"]
    words = [sys.executable, script, tmp_path, "6", "drawing", "--n", "8", "--steps", "4", "--batch-size", "1", *models]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert int(done.stdout.split()[-1]) > 2
