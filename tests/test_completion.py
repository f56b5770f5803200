"""What shells complete: the command is asked as the scripts of typer ask it, in an environment variable."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

import pytest

from abe_rerank import scoring, suites
from abe_rerank.cli import completing


@pytest.fixture
def completed(cli, monkeypatch):
    """What fish is told to offer after some words, the last of them begun."""

    def ask(*words):
        monkeypatch.setenv("_ABE_RERANK_COMPLETE", "complete_fish")
        monkeypatch.setenv("_TYPER_COMPLETE_FISH_ACTION", "get-args")
        monkeypatch.setenv("_TYPER_COMPLETE_ARGS", " ".join(["abe-rerank", *words]))
        code, out, err = cli()
        assert (code, err) == (0, "")
        return [line.split("\t")[0] for line in out.splitlines() if line]

    return ask


@pytest.fixture
def runs_folder(tmp_path, monkeypatch):
    """Two runs of either kind, a folder that holds others, a file."""
    for place, mark in (("drawn", "report.json"), ("judged", "run.json")):
        (tmp_path / "runs" / place).mkdir(parents=True)
        (tmp_path / "runs" / place / mark).write_text("{}")
    os.utime(tmp_path / "runs" / "drawn", (1, 1))
    (tmp_path / "runs" / "more").mkdir()
    (tmp_path / "runs" / ".hidden").mkdir()
    (tmp_path / "runs" / "notes.txt").write_text("")
    monkeypatch.chdir(tmp_path)


def test_suites_and_their_categories(completed, runs_folder):
    assert completed("evaluate", "--suite", "sh") == ["shapes"]
    categories = dict.fromkeys(prompt.category for prompt in suites.load_prompts("shapes"))
    colours = [f"shapes:{category}" for category in categories if category.startswith("colour-")]
    assert completed("evaluate", "--suite", "shapes:colour-") == colours
    assert completed("evaluate", "--suite", "runs/n") == ["runs/notes.txt"]


@pytest.mark.parametrize("command", ["generate", "evaluate", "score"])
def test_scorers(completed, command):
    assert completed(command, "--scorer", "''") == list(scoring.names())
    assert completed(command, "--scorer", "cl") == ["clip"]


@pytest.mark.parametrize("words", ["show", "report", "doctor", "summarize", "compare", "report x --against"])
def test_run_folders_newest_first_and_then_where_more_may_be(completed, runs_folder, words):
    words = words.split()
    assert completed(*words, "runs/") == ["runs/judged", "runs/drawn", "runs/more/"]
    assert completed(*words, "runs/d") == ["runs/drawn"]
    assert completed(*words, "ru") == ["runs/judged", "runs/drawn"]
    assert completed(*words, "nowhere/x") == []


def test_hidden_and_absolute_paths(runs_folder, tmp_path):
    assert completing.runs("runs/.h") == ["runs/.hidden/"]
    assert completing.runs(f"{tmp_path}/runs/d") == [f"{tmp_path}/runs/drawn"]


def test_commands_and_options(completed):
    assert {"generate", "evaluate"} <= set(completed("''"))
    assert "--guidance" in completed("generate", "--gui")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_script_for_each_shell(cli, monkeypatch, shell):
    monkeypatch.setenv("_ABE_RERANK_COMPLETE", f"source_{shell}")
    code, out, _ = cli()
    assert code == 0
    assert "_ABE_RERANK_COMPLETE=complete_" in out
    assert "abe-rerank" in out


@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash")
def test_bash_completes_behind_a_colon(tmp_path):
    """A bash as one types in it: words end at colons, what is offered replaces what stands behind the last one."""
    (tmp_path / "abe-rerank").write_text(f'#!/bin/sh\nexec {sys.executable} -m abe_rerank "$@"\n')
    (tmp_path / "abe-rerank").chmod(0o755)
    lines = """
        eval "$(_ABE_RERANK_COMPLETE=source_bash abe-rerank)"
        ask() {
            COMP_WORDS=(abe-rerank "$@"); COMP_CWORD=$#
            _abe_rerank_completion abe-rerank; echo "${COMPREPLY[*]}"
        }
        ask evaluate --suite shapes : colour-2
        ask evaluate --suite shapes :
        ask evaluate --suite sh
    """
    environment = os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    done = subprocess.run(["bash", "-c", lines], env=environment, capture_output=True, text=True, check=True)
    first, second, third = done.stdout.splitlines()
    assert first == "colour-2"
    assert second.split() == list(dict.fromkeys(prompt.category for prompt in suites.load_prompts("shapes")))
    assert third == "shapes"


def test_completing_imports_nothing_heavy():
    code = "import sys; from abe_rerank.cli import completing as c; c.runs(''), c.scorers(''), c.suites('shapes:')"
    code += "; print(sorted({'torch', 'numpy', 'PIL', 'spacy', 'pydantic', 'rich'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
