"""Every option of every command that takes a number, on what is no number that it can take."""

from __future__ import annotations

import types
import typing

import pytest
import typer
from PIL import Image

from abe_rerank.cli.app import app

TEXTS = {"--batch-size", "--image-size"}
"""Options that take a number, or a word of their own."""
ANY_SIZE = {"--seed", "--limit", "--top-k", "--top", "--rank", "--keep", "--guidance", "--max-seconds", "--image-size"}
"""Those for which a number of eleven digits is no more than a large one, or is compared with what is there."""
BEFORE = {"--keep": ["--draft-steps", "1"], "--max-seconds": ["--until-bound", "0.9"]}
"""What an option needs beside it."""
ARGUMENTS = {"generate": ["a red cube"], "score": ["x.png", "--prompt", "a red cube"], "show": ["run"]}


def number_options(group, before=()):
    """(the words of a command, an option, its type) of all options that take a number."""
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from number_options(command, (*before, name))
            continue
        hints = typing.get_type_hints(command.callback)
        for parameter in command.params:
            option, kinds = max(parameter.opts, key=len), kinds_of(hints.get(parameter.name))
            if option.startswith("--") and (kinds & {int, float} or option in TEXTS):
                yield (*before, name), option, float if float in kinds else int


def kinds_of(hint):
    """The plain types in a hint: int and None in ``list[int] | None``."""
    if isinstance(hint, types.UnionType) or typing.get_origin(hint) in (typing.Union, list):
        return set().union(*(kinds_of(part) for part in typing.get_args(hint)))
    return {hint}


COMMAND = typer.main.get_command(app)
OPTIONS = list(number_options(COMMAND))


def test_all_are_found():
    named = {(words[-1], option) for words, option, _ in OPTIONS}
    assert {("generate", "--count"), ("generate", "--search"), ("score", "--gpus"), ("faults", "--objects")} < named
    assert len(OPTIONS) > 45


@pytest.mark.parametrize(("words", "option", "kind"), OPTIONS, ids=lambda value: getattr(value, "__name__", str(value)))
def test_what_an_option_cannot_take_is_refused_in_a_line(words, option, kind, cli, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("abe_rerank.cli.app.app", COMMAND)  # else it is made anew for each call
    Image.new("RGB", (8, 8)).save("x.png")
    values = ["word", "nan", "", "9" * 5000]
    values += [] if kind is float else ["1e30", "1.5"]
    values += [] if option == "--guidance" else ["-1", "-1e30"]
    values += [] if option in ANY_SIZE else ["99999999999", "9223372036854775808"]
    values += [] if option in ANY_SIZE - {"--max-seconds"} | {"--top", "--gpus"} else ["0"]
    for value in values:
        code, out, err = cli(*words, *ARGUMENTS.get(words[-1], []), *BEFORE.get(option, []), f"{option}={value}")
        lines = [line for line in err.splitlines() if line.startswith("abe-rerank: error: ")]
        assert (code, out, len(lines)) == (2, "", 1), (value, err)
        assert len(lines[0]) < 400, value
    assert [path.name for path in tmp_path.iterdir()] == ["x.png"]
