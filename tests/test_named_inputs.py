"""What a command line names is looked at before a model is loaded, and before it is opened: a pipe would be waited for.

Every option that takes a file or a folder, with nothing there, a folder, a pipe, devices, a loop of links, and what may
not be read. The models that are named are not there either, so that an error about them would come from loading.
"""

from __future__ import annotations

import ctypes
import os
import signal
from contextlib import contextmanager
from pathlib import Path

import pytest

from abe_rerank import UsageError
from abe_rerank.files import check_file, check_folder
from abe_rerank.integrations.daft.table_kinds import ENDINGS

LOADS = ("--backbone", "/no/such/backbone", "--device", "cpu")
OUT = ("--out", "new/run")
COMMANDS = {
    "score IMAGE": ("score", "IT", "--prompt", "a red cube", *LOADS),
    "score --manifest": ("score", "--manifest", "IT", *LOADS),
    "score TABLE": ("score", "IT", *OUT, *LOADS),
    "score --out": ("score", "table.csv", "--out", "IT", *LOADS),
    "score --scorer": ("score", "a.png", "--prompt", "a red cube", "--scorer", "vqa:IT", *LOADS),
    "evaluate --suite": ("evaluate", "--suite", "IT", *OUT, *LOADS),
    "evaluate --images": ("evaluate", "--images", "IT", *OUT, *LOADS),
    "evaluate --config": ("evaluate", "--config", "IT", *OUT, *LOADS),
    "evaluate --judge": ("evaluate", "--judge", "clip:IT", *OUT, *LOADS),
    "evaluate --out": ("evaluate", "--out", "IT", *LOADS),
    "generate --prompts": ("generate", "--prompts", "IT", *OUT, *LOADS),
    "generate --config": ("generate", "a red cube", "--config", "IT", *OUT, *LOADS),
    "generate --lora": ("generate", "a red cube", "--lora", "IT:0.5", *OUT, *LOADS),
    "generate --model": ("generate", "a red cube", "--model", "IT", *OUT, *LOADS),
    "generate --model-config": (
        *("generate", "a red cube", "--model", "a.safetensors", "--model-config", "IT"),
        *(*OUT, *LOADS),
    ),
    "generate --backbone": ("generate", "a red cube", "--backbone", "IT", *OUT),
    "generate --out": ("generate", "a red cube", "--out", "IT", *LOADS),
    "show": ("show", "IT"),
    "report": ("report", "IT"),
    "report --against": ("report", "run", "--against", "IT"),
    "summarize": ("summarize", "IT"),
    "compare": ("compare", "IT", "IT"),
    "doctor": ("doctor", "IT"),
    "doctor --mend": ("doctor", "--mend", "IT"),
    "tune --rows": ("tune", "--rows", "IT", *LOADS),
    "tune --tuned": ("tune", "--tuned", "IT", *LOADS),
    "benchmark binding --data": ("benchmark", "binding", "--format", "sugarcrepe", "--data", "IT", *LOADS),
    "benchmark speed --model": ("benchmark", "speed", "--model", "IT", *LOADS),
}
NAMES = ("missing", "folder", "pipe", "/dev/null", "/dev/zero", "loop", "locked", "locked-folder")


@contextmanager
def without_privileges():
    """A superuser may read everything; here not."""
    if os.geteuid() != 0:
        yield
        return
    libc = ctypes.CDLL(None, use_errno=True)
    header, data = (ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)()
    if not hasattr(libc, "capget") or libc.capget(header, data):
        pytest.skip("a superuser reads everything here")
    before, data[0] = data[0], data[0] & ~0b110  # CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH
    libc.capset(header, data)
    try:
        yield
    finally:
        data[0] = before
        libc.capset(header, data)


@contextmanager
def soon(seconds=900):
    """What waits for ever fails."""

    def over(*_):
        raise AssertionError("it waits")

    before = signal.signal(signal.SIGALRM, over)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A working folder with one of each."""
    monkeypatch.chdir(tmp_path)
    Path("folder").mkdir()
    os.mkfifo("pipe")
    Path("loop").symlink_to("loop")
    Path("locked").write_text("x")
    Path("locked").chmod(0)
    Path("locked-folder").mkdir(mode=0)
    Path("a.png").write_bytes(b"no picture")
    Path("a.safetensors").write_bytes(b"x" * 16)
    Path("table.csv").write_text("image,prompt\na.png,a red cube\n")
    Path("run").mkdir()
    Path("run", "run.json").write_text("{}")
    yield tmp_path
    Path("locked-folder").chmod(0o700)


@pytest.mark.parametrize("command", COMMANDS)
def test_what_cannot_be_read_is_said_before_a_model_is_loaded(command, cli, place):
    if command in ("score TABLE", "score --out"):
        pytest.importorskip("daft", reason="tables are scored by Daft: pip install 'abe-rerank[scale]'")
    for name in NAMES:
        if command.endswith("--out") and name in ("missing", "folder"):
            continue  # where results may go
        words = [word.replace("IT", name) if "IT" in word else word for word in COMMANDS[command]]
        with soon(), without_privileges():
            code, out, err = cli(*words)
        last = err.splitlines()[-1]
        assert (code, out) == (2, ""), (name, err)
        assert "unexpected" not in err, (name, err)
        assert "/no/such/backbone" not in err, (name, err)
        assert name in last, (name, err)
        assert not Path("new").exists(), name
        assert not Path("missing").exists(), name


def test_reasons():
    for check, name, said in (
        (check_file, "/dev/null", "is a pipe or a device, not a file"),
        (check_file, "/", "is a folder, not a file"),
        (check_file, "/no/such", "no such file: /no/such"),
        (check_file, "a\0b", "cannot be read: embedded null byte"),
        (check_folder, __file__, "is a file, not a folder"),
        (check_folder, "x" * 300, "cannot be read: File name too long"),
    ):
        with pytest.raises(UsageError) as refused:
            check(name)
        assert said in str(refused.value)
    check_file(__file__)
    check_folder("/")


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_table_of_pipes_is_refused(ending, place):
    pytest.importorskip("daft", reason="tables are scored by Daft: pip install 'abe-rerank[scale]'")
    from abe_rerank.integrations.daft.sources import open_table

    os.mkfifo(f"folder/a{ending}")
    with soon(), pytest.raises(UsageError, match="is a pipe or a device, not a table"):
        open_table("folder")


def test_of_several_pictures_those_that_cannot_be_read_are_said_first(cli, place):
    with soon(), without_privileges():
        code, _, err = cli("score", "a.png", "pipe", "locked", "--prompt", "a red cube", *LOADS)
    assert code == 2
    assert "2 of 3 image files cannot be read, the first: pipe is a pipe or a device" in err
    assert "/no/such/backbone" in err


def test_rows_to_tune_on_name_pictures_that_are_there(cli, place):
    Path("rows.csv").write_text("image,prompt,bound\nnone.png,a red cube,true\n")
    code, _, err = cli("tune", "--rows", "rows.csv", *LOADS)
    assert (code, "no such image file: none.png" in err) == (2, True)


@pytest.mark.parametrize("name", ["config.json", "preprocessor_config.json", "abe.json"])
def test_a_pipe_in_a_models_folder_is_refused_and_not_waited_for(name, cli, place, backbone_folder):
    Path("backbone").mkdir()
    for file in backbone_folder.iterdir():
        if file.is_file() and file.name != name:
            Path("backbone", file.name).symlink_to(file)
    os.mkfifo(f"backbone/{name}")
    with soon():
        code, _, err = cli("score", "a.png", "--prompt", "a red cube", "--backbone", "backbone", "--device", "cpu")
    assert (code in (1, 2), len(err.splitlines()), "unexpected" in err) == (True, 1, False), err
    assert name in err or "no config.json" in err, err


@pytest.mark.parametrize("command", ["summarize", "report", "show", "doctor"])
@pytest.mark.parametrize("name", ["run.json", "report.json"])
def test_a_pipe_in_a_received_run_is_not_waited_for(command, name, cli, place):
    os.mkfifo(f"folder/{name}")
    with soon():
        code, out, err = cli(command, "folder")
    assert (code in (1, 2), out, len(err.splitlines()), "unexpected" in err) == (True, "", 1, False), err
