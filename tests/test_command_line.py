"""Command lines written out again: whatever the values are, they are read back as they were."""

from __future__ import annotations

import shlex
from dataclasses import fields
from pathlib import Path

import pytest
import typer
from hypothesis import given, settings
from hypothesis import strategies as st

from abe_rerank.cli.app import app
from abe_rerank.cli.asked import BackboneOptions, DrawOptions
from abe_rerank.cli.evaluate_request import EvaluateRequest
from abe_rerank.cli.options import command_line

COMMANDS = typer.main.get_command(app).commands
TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1).filter(str.strip)


def read(line):
    """(command, its parameters) as the command line reads them."""
    program, name, *words = shlex.split(line)
    assert program == "abe-rerank"
    return name, COMMANDS[name].make_context(name, words).params


@settings(deadline=None)
@given(prompt=TEXTS, backbone=TEXTS | st.just("-x"), guidance=st.floats(-9, 9), joined=st.booleans())
def test_every_value_is_read_back(prompt, backbone, guidance, joined):
    options = [("--guidance", guidance), ("--backbone", backbone), ("--assets", True), ("--model", None)]
    name, found = read(command_line("generate", [*options, prompt], joined=joined))
    assert name == "generate"
    assert (found["prompt"], found["backbone"], found["guidance"]) == (prompt, backbone, guidance)
    assert (found["assets"], found["model"]) == (True, None)


@settings(deadline=None)
@given(folder=TEXTS, prompt=TEXTS)
def test_an_argument_may_stand_before_the_options(folder, prompt):
    _, found = read(command_line("score", [folder, ("--prompt", prompt)]))
    assert (list(map(Path, found["images"])), found["prompt"]) == ([Path(folder)], prompt)


@settings(deadline=None)
@given(suite=TEXTS, judge=TEXTS, oracle=st.none() | st.booleans(), n=st.none() | st.integers(1, 99))
def test_the_command_of_an_evaluation_asks_for_the_same_again(suite, judge, oracle, n):
    drawn = {"arguments": [f"clip_skip={judge}", "eta=0.5"], "lora": ["a.safetensors", "b.safetensors:0.5"]}
    drawn |= {"negative_prompt": suite, "width": 64, "scheduler": "DDIMScheduler", "batch_size": "3", "slices": ["vae"]}
    backbone = BackboneOptions(backbone=judge, allow_pickle=True)
    asked = {"suite": suite, "judge": judge, "oracle": oracle, "n": n, "out": Path("a b")}
    request = EvaluateRequest(DrawOptions(**drawn), backbone, **asked)
    _, found = read(request.command)
    del found["config"], found["processes"]
    records = [kind(**{f.name: found.pop(f.name) for f in fields(kind)}) for kind in (DrawOptions, BackboneOptions)]
    assert EvaluateRequest(*records, **found) == request


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (
            command_line("generate", [("--n", 8), ("--seed", 0), "a red cube"], joined=False),
            "--n 8 --seed 0 'a red cube'",
        ),
        (command_line("generate", [("--n", 8), "-a 'cube'"], joined=False), "--n 8 -- '-a '\"'\"'cube'\"'\"''"),
        (command_line("generate", [("--backbone", "-x"), "a cube"], joined=False), "--backbone=-x 'a cube'"),
        (command_line("generate", ["a cube", ("--n", 8), ("--oracle", False)]), "'a cube' --n=8 --no-oracle"),
    ],
)
def test_the_form_is_that_of_a_shell(line, expected):
    assert line == f"abe-rerank generate {expected}"
