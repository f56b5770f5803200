"""The command line on input that no one hopes for: devices, options, prompts and file names."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
import typer
from PIL import Image

from abe_rerank.cli.app import app
from abe_rerank.files import printable, readable

PROMPT = "a yellow cylinder and a red cube"
HALF = "a red\udcff cube"
CONTROLS = "a red\x1b[31m\x9b\u202e\a cube"


def commands_with(option, group=None, before=()):
    """The words of every command that has an option."""
    for name, command in (group or typer.main.get_command(app)).commands.items():
        if hasattr(command, "commands"):
            yield from commands_with(option, command, (*before, name))
        elif any(option in parameter.opts for parameter in command.params):
            yield (*before, name)


ARGUMENTS = {"generate": [PROMPT], "score": [__file__, "--prompt", PROMPT]}
WITH_DEVICE = list(commands_with("--device"))


@pytest.fixture
def models(pipeline_folder, backbone_folder):
    return ["--model", pipeline_folder, "--backbone", backbone_folder, "--device", "cpu"]


def the_line(err):
    """The one line of an error."""
    (line,) = [line for line in err.splitlines() if line.startswith("abe-rerank: ")]
    return line


def test_the_commands_that_load_a_model_have_a_device():
    assert [
        *(("generate",), ("score",), ("evaluate",), ("tune",), ("app",)),
        *(("benchmark", name) for name in ("binding", "backbone", "backbones", "verdicts", "faults")),
        *(("benchmark", name) for name in ("costs", "speed", "strategies")),
    ] == WITH_DEVICE


@pytest.mark.parametrize("device", ["nonsense", "meta", "cuda:99", "cpu:x", ""])
@pytest.mark.parametrize("words", WITH_DEVICE, ids=" ".join)
def test_a_device_that_is_not_there_is_named_with_the_way_out(cli, tmp_path, monkeypatch, words, device):
    monkeypatch.chdir(tmp_path)
    code, out, err = cli(*words, *ARGUMENTS.get(words[-1], []), f"--device={device}")
    assert (code, out) == (2, "")
    line = the_line(err)
    assert f"the device {device!r} cannot be used here (" in line
    assert "use cpu" in line
    assert "or leave --device out" in line
    assert len(line) < 250
    assert list(tmp_path.iterdir()) == []


def test_seeds_end_where_torch_does(cli):
    largest = 2**63 - 1
    code, _, err = cli("generate", PROMPT, "--seed", largest, "-n", 2)
    assert code == 2
    assert f"the seeds {largest} to {largest + 1} go past the largest, {largest}; give a smaller seed" in the_line(err)
    code, _, err = cli("generate", PROMPT, "--seed", -1)
    assert code == 2
    assert "seeds must be at least 0, got -1" in the_line(err)


def test_a_batch_larger_than_what_is_kept_is_drawn_with_a_warning(cli, models, tmp_path):
    options = ["--steps", 1, *models]
    code, _, err = cli("generate", PROMPT, "-n", 2, "--batch-size", 3, "--out", tmp_path / "three", *options)
    assert code == 0
    assert "warning: --batch-size 3 draws 3 images at once, of which 2 are kept; --batch-size 2 draws no more" in err
    _, _, err = cli("generate", PROMPT, "-n", 3, "--batch-size", 3, "--out", tmp_path / "all", *options)
    assert "--batch-size" not in err
    same = [next((tmp_path / run / "candidates").glob("*seed0.png")) for run in ("three", "all")]
    assert np.array_equal(*(np.asarray(Image.open(path)) for path in same))


def test_float16_on_a_cpu_is_warned_of(cli, models, tmp_path):
    Image.new("RGB", (16, 16), "red").save(tmp_path / "x.png")
    options = [tmp_path / "x.png", "--prompt", PROMPT, *models[2:]]
    warning = "warning: float16 is slower than float32 on a CPU; leave --dtype out there"
    assert warning in cli("score", *options, "--dtype", "float16")[2].splitlines()
    assert "float16" not in cli("score", *options)[2]


@pytest.mark.parametrize("prompt", [HALF, "a red \ud800 cube"])
@pytest.mark.parametrize(
    "words", [["generate"], ["parse"], ["parse", "--json"], ["score", "x.png", "--prompt"]], ids=lambda words: words[-1]
)
def test_a_prompt_with_half_characters_is_refused(cli, tmp_path, monkeypatch, words, prompt):
    monkeypatch.chdir(tmp_path)
    Image.new("RGB", (16, 16)).save("x.png")
    code, out, err = cli(*words, prompt)
    assert (code, out) == (2, "")
    assert "has bytes that are no UTF-8 text; type it again" in the_line(err)
    assert err.isascii()


def test_a_manifest_with_half_characters_is_refused(cli, models, tmp_path):
    Image.new("RGB", (16, 16)).save(tmp_path / "x.png")
    (tmp_path / "rows.jsonl").write_text('{"image": "x.png", "prompt": "a red \\ud800 cube"}\n')
    code, _, err = cli("score", "--manifest", tmp_path / "rows.jsonl", *models[2:])
    assert code == 2
    assert "half a character" in the_line(err)


def test_control_characters_are_only_text(cli, models, tmp_path):
    Image.new("RGB", (16, 16)).save(tmp_path / "x.png")
    for words in (["parse"], ["parse", "--json"], ["score", tmp_path / "x.png", *models[2:], "--prompt"]):
        code, out, err = cli(*words, CONTROLS)
        assert code == 0, err
        assert all(c.isprintable() or c in "\n\r" for c in out + err)
    code, out, _ = cli("score", tmp_path / "x.png", "--json", *models[2:], "--prompt", CONTROLS)
    assert code == 0
    assert json.loads(out)["rows"][0]["prompt"] == CONTROLS
    assert out.rstrip("\n").isprintable()
    assert json.loads(cli("parse", CONTROLS, "--json")[1])["objects"]


@pytest.mark.skipif(os.name == "nt", reason="file names are text there")
def test_file_names_that_are_no_text_are_shown_and_read_back(cli, models, tmp_path):
    name = os.fsdecode(b"picture\xff.png")
    try:
        Image.new("RGB", (16, 16)).save(tmp_path / name, format="PNG")
    except OSError:
        pytest.skip("this file system has no such names")
    options = ["--prompt", PROMPT, *models[2:]]
    code, out, _ = cli("score", tmp_path, *options)
    assert code == 0
    assert "picture\\xff.png" in out
    found = json.loads(cli("score", tmp_path, "--json", *options)[1])["rows"][0]["image"]
    assert os.path.samefile(found, tmp_path / name)
    code, _, err = cli("score", tmp_path / name.replace("picture", "missing"), *options)
    assert code == 2
    assert "missing\\xff.png" in the_line(err)


@pytest.mark.parametrize(
    ("text", "shown"),
    [("\udcff", r"\xff"), ("\ud800", r"\ud800"), ("é \N{GAME DIE}", "é \N{GAME DIE}"), ("\udc80\udfff", r"\x80\udfff")],
)
def test_half_characters_become_escapes(text, shown):
    assert readable(text) == printable(text) == shown


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_what_a_terminal_lacks_is_escaped_and_json_stays_json(monkeypatch, tmp_path, encoding):
    from abe_rerank.cli.terminal import say, say_json

    text = "é \N{GAME DIE} \x9b \udcff \u2028"
    with (tmp_path / "out").open("w", encoding=encoding) as stream:
        monkeypatch.setattr("sys.stdout", stream)
        say_json(json.dumps({"a": text}, ensure_ascii=False))
        say("é")
    first, second = (tmp_path / "out").read_text(encoding=encoding).splitlines()
    assert json.loads(first) == {"a": text}
    assert second == ("\\xe9" if encoding == "ascii" else "é")


def test_what_nobody_expected_is_a_bug_and_says_how_to_report_it(cli, monkeypatch):
    def broken(_):
        raise KeyError("inside")

    monkeypatch.setattr("abe_rerank.reranker.as_spec", broken)
    code, _, err = cli("parse", PROMPT)
    assert code == 1
    assert "unexpected KeyError: 'inside'; this is a bug in abe-rerank: please report it" in the_line(err)
    assert "--debug" in the_line(err)
    assert "Traceback" not in err
    assert "Traceback" in cli("parse", PROMPT, "--debug")[2]


def test_memory_that_runs_out_names_the_way_out(cli, monkeypatch):
    def full(_):
        raise MemoryError

    monkeypatch.setattr("abe_rerank.reranker.as_spec", full)
    code, _, err = cli("parse", PROMPT)
    assert code == 1
    assert the_line(err).startswith("abe-rerank: error: out of memory; use ")


@pytest.mark.parametrize("name", ["generate", "score", "evaluate"])
def test_help_shows_options_in_groups(cli, name):
    code, out, _ = cli(name, "--help")
    assert code == 0
    titles = [line for line in out.splitlines() if line.endswith(":") and not line.startswith(" ")]
    subject = "What to score:" if name == "score" else "What to draw:"
    arguments = [] if name == "evaluate" else ["Arguments:"]
    spent = ["How to spend the images:"] if name == "generate" else []
    tables = ["Tables (TABLE --out DIR; needs the extra scale):"] if name == "score" else []
    models = ["Which models:", "How to score:"]
    assert titles == [*arguments, subject, *models, *spent, "Where results go:", *tables, "Options:"]


def test_what_is_no_picture_is_told_with_its_reason_and_the_batch_goes_on(tmp_path, cli, backbone_folder, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Image.new("RGB", (8, 8), "red").save("a.png")
    Path("bad.png").write_bytes(b"no picture")
    Path("broken.png").symlink_to("nowhere.png")
    Path("loop.png").symlink_to("loop.png")
    os.mkfifo("pipe.png")
    Path("circle").symlink_to(".")
    options = ["--prompt", "a red cube", "--backbone", backbone_folder, "--device", "cpu"]
    code, out, err = cli("score", ".", *options)
    assert code == 1
    assert "1     a.png" in out
    assert "bad.png     bad.png is not an image" in out.split("not scored")[1]
    for line in (
        "broken.png: a broken link",
        "loop.png: a broken link",
        "pipe.png: not a",
        "circle: a link to a folder",
    ):
        assert f"warning: left out {line}" in err
    Path("bad.png").unlink()
    code, _, err = cli("score", ".", *options)
    assert code == 1
    assert "error: 4 files or folders were left out; the first: broken.png" in err
    code, out, _ = cli("score", "a.png", "pipe.png", "loop.png", "circle/a.png", "/dev/null", *options)
    assert code == 1
    for reason in (
        "pipe.png is a pipe or a device",
        "loop.png cannot be read: Too many levels",
        "/dev/null is",
    ):
        assert reason in out
    assert "circle/a.png" in out


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"n = " + b"[" * 100_000, "nested too deeply"),
        (b"n = " + b"9" * 5000, "more digits than can be read"),
        (b"n = \xff", "not UTF-8 text"),
        (b"n = true", "n is no yes or no, got true"),
        (b"n = nan", "finite number"),
        (b"n = 2020-01-01", "n must be one text, number"),
        (b'"\\u001b[31m" = 1', "there is no"),
        (b"n = 1\0", "NUL character"),
    ],
)
def test_a_file_of_options_may_hold_anything(cli, tmp_path, content, said):
    file = tmp_path / "options.toml"
    file.write_bytes(content)
    code, _, err = cli("generate", "a red cube", "--config", file, "--out", tmp_path / "run")
    assert (code, len(err.splitlines()), "unexpected" in err, "\x1b" in err) == (2, 1, False, False), err
    assert said in err


def test_devices_are_no_files(cli, tmp_path):
    for words in (
        ("score", "--manifest", "/dev/zero"),
        ("generate", "x", "--config", "/dev/zero", "--out", tmp_path / "a"),
    ):
        code, _, err = cli(*words)
        assert (code, "/dev/zero is a pipe or a device, not a file" in err) == (2, True), err
