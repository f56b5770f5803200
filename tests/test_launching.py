"""Several processes of one command, and many prompts of generate: what is drawn and scored does not change by it."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
import time

import pytest

from abe_rerank.cli import launching
from abe_rerank.cli.asked import BackboneOptions, DrawOptions
from abe_rerank.cli.generate_request import GenerateRequest
from abe_rerank.runs.evaluated import RunRecord

PROMPT = "a yellow cylinder and a red cube"
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1"}


def abe_rerank(*words):
    """A command in a process of its own."""
    line = [sys.executable, "-m", "abe_rerank", *map(str, words)]
    return subprocess.Popen(line, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.fixture
def models(pipeline_folder, backbone_folder):
    return ["--steps", 1, "--model", pipeline_folder, "--backbone", backbone_folder, "--device", "cpu"]


def test_the_command_of_the_processes_asks_for_the_same_with_its_folder(tmp_path):
    draw = DrawOptions(seed=3, lora=["a.safetensors"], arguments=["eta=1"], batch_size="2")
    request = GenerateRequest("-a 'cube'", draw, BackboneOptions(device="cpu"), 4, "clip", tmp_path / "a b", True)
    words = shlex.split(request.whole_command)
    assert words[:2] == ["abe-rerank", "generate"]
    assert {f"{tmp_path}/a b", "--assets", "--seed", "a.safetensors", "eta=1"} <= set(words)
    assert words[-2:] == ["--", "-a 'cube'"]


def test_a_process_that_was_launched_launches_none(monkeypatch):
    done = []
    monkeypatch.setenv("LOCAL_RANK", "1")
    launching.run_in(2, "abe-rerank nothing", lambda: done.append(1))
    assert done == [1]


def test_generate_takes_many_prompts_as_evaluate_does(cli, models, tmp_path):
    prompts = tmp_path / "prompts.txt"
    prompts.write_text("a red cube\na blue star\n", encoding="utf-8")
    code, _, err = cli("generate", "--prompts", prompts, "-n", 2, "--out", tmp_path / "a", *models)
    assert code == 0, err
    cli("evaluate", "--prompts", prompts, "--count", 2, "--no-oracle", "--out", tmp_path / "b", *models)
    for name in ("results.jsonl", "prompts.jsonl", "images/00001/seed1.png"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    assert "processes: 1" in err
    record = RunRecord.model_validate_json((tmp_path / "a" / "run.json").read_text(encoding="utf-8"))
    assert record.processes == 1


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "give a PROMPT"),
        ([PROMPT, "--prompts", "shapes"], "give a PROMPT"),
        (["--prompts", "shapes", "--assets"], "--assets is for a single PROMPT"),
        (["--prompts", "shapes", "--until-bound", 0.5, "--max-seconds", 3], "--max-seconds is for a single PROMPT"),
        ([PROMPT, "--processes", 0], "--processes"),
    ],
)
def test_what_does_not_go_together_is_refused(cli, tmp_path, monkeypatch, words, said):
    monkeypatch.chdir(tmp_path)
    code, _, err = cli("generate", *words)
    assert (code, said in err) == (2, True)
    assert list(tmp_path.iterdir()) == []


def test_a_run_of_before_does_not_say_its_processes_and_its_seal_is_the_same():
    from squares import RECORD

    old = json.loads(RECORD.text())
    del old["processes"]
    assert RunRecord.model_validate(old | {"seal": None}).expected_seal == old["seal"]
    two = RECORD.model_copy(update={"processes": 2})
    assert two.identity == RECORD.identity
    assert two.expected_seal != RECORD.expected_seal


@pytest.mark.slow
def test_two_processes_draw_and_score_what_one_does_and_stop_together(models, tmp_path):
    words = ("generate", PROMPT, "--n", 6, "--batch-size", 1, *models)
    assert abe_rerank(*words, "--out", tmp_path / "one").wait() == 0
    two = abe_rerank(*words, "--out", tmp_path / "two", "--processes", 2)
    _, err = two.communicate()
    assert (two.returncode, "processes: 2" in err) == (0, True), err
    names = sorted(str(p.relative_to(tmp_path / "one")) for p in (tmp_path / "one").glob("candidates/*"))
    assert all((tmp_path / "one" / n).read_bytes() == (tmp_path / "two" / n).read_bytes() for n in names)
    one, both = (json.loads((tmp_path / n / "report.json").read_text(encoding="utf-8")) for n in ("one", "two"))
    assert (one["candidates"], one["processes"], both["processes"]) == (both["candidates"], 1, 2)

    drafts = (*words, "--draft-steps", 1, "--keep", 3, "--steps", 2)
    for name, processes in (("first", 1), ("both", 2)):
        run = abe_rerank(*drafts, "--out", tmp_path / name, "--processes", processes)
        assert (run.wait(), run.stderr.read().count("Traceback")) == (0, 0)
    first, both = (json.loads((tmp_path / n / "report.json").read_text(encoding="utf-8")) for n in ("first", "both"))
    assert (first["candidates"], len(first["candidates"])) == (both["candidates"], 3)

    many = ("generate", PROMPT, "--n", 4000, "--batch-size", 1, *models, "--out", tmp_path / "many")
    stopped = abe_rerank(*many, "--processes", 2)
    while stopped.poll() is None and len(list(tmp_path.glob(".many.drawn-*/images/00000/*.png"))) < 8:
        time.sleep(0.05)
    stopped.send_signal(signal.SIGTERM)
    _, err = stopped.communicate()
    assert stopped.returncode == 143, err
    report = json.loads((tmp_path / "many" / "report.json").read_text(encoding="utf-8"))
    assert (report["interrupted"], len(report["candidates"]) >= 8) == (True, True)
