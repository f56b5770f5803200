"""A disk that fills up at any write of a command: one line, exit code 1, nothing half-written, and it goes on after.

Every way in which the package writes fails from the k-th time on. All k are tried where ``ALL_WRITES`` is set in the
environment, else a few.
"""

from __future__ import annotations

import builtins
import errno
import json
import os
import sys
from pathlib import Path

import pytest

PROMPT = "a red cube and a blue sphere"
VARYING = ("created", "seconds", "peak_mb", "commands")


class Disk:
    """Counts writes, and lets all fail from the ``moment``-th on (0: none)."""

    def __init__(self, patch, place, moment):
        self.place, self.moment, self.count = str(place), moment, 0
        for owner, name in ((os, "fsync"), (Path, "replace"), (Path, "rename"), (Path, "mkdir")):
            patch.setattr(owner, name, self.failing(getattr(owner, name)))
        opened = Path.open

        def open_path(path, mode="r", *more, **options):
            if set(mode) & set("wxa") and self.place in str(path):
                self.step()
            return opened(path, mode, *more, **options)

        patch.setattr(Path, "open", open_path)

    def step(self):
        self.count += 1
        if self.moment and self.count >= self.moment:
            raise OSError(errno.ENOSPC, "No space left on device")

    def failing(self, function):
        def wrapped(*arguments, **options):
            if not isinstance(arguments[0], Path) or self.place in str(arguments[0].absolute()):
                self.step()
            return function(*arguments, **options)

        return wrapped


def content(folder):
    found = {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}
    found = {name: data for name, data in found.items() if not name.endswith((".lock", ".html"))}
    for name in found.keys() & {"report.json", "run.json"}:
        kept = json.loads(found[name])
        found[name] = {key: value for key, value in kept.items() if key not in (*VARYING, "command", "seal")}
    return found


@pytest.fixture
def commands(pipeline_folder, backbone_folder, tmp_path):
    """The words of each command by its name; "OUT" stands for where it writes."""
    models = ["--model", pipeline_folder, "--backbone", backbone_folder, "--steps", "1", "--device", "cpu"]
    prompts = tmp_path / "prompts.txt"
    prompts.write_text("a red cube\na blue sphere\n")
    return {
        "generate": ["generate", PROMPT, "--n", "2", "--batch-size", "1", "--out", "OUT", *models],
        "evaluate": ["evaluate", "--suite", prompts, "--n", "2", "--batch-size", "1", "--out", "OUT", *models],
    }


def moments(writes):
    if os.environ.get("ALL_WRITES"):
        return range(1, writes + 1)
    return sorted({1, 2, 3, writes // 3, writes // 2, writes - 6, writes - 4})


@pytest.mark.slow
@pytest.mark.parametrize("name", ["generate", "evaluate"])
def test_a_command_on_a_full_disk_says_so_and_goes_on_afterwards(name, commands, cli, tmp_path):
    def words(out):
        return [out if word == "OUT" else word for word in commands[name]]

    place = tmp_path / "disk"
    whole = place / "whole"
    with pytest.MonkeyPatch.context() as patch:
        disk = Disk(patch, place, 0)
        assert cli(*words(whole))[0] == 0
    expected, tried = content(whole), 0
    for moment in moments(disk.count):
        out = place / f"run{moment}"
        with pytest.MonkeyPatch.context() as patch:
            full = Disk(patch, place, moment)
            code, _, err = cli(*words(out))
        if full.count < moment:  # the first run made the folder above, too
            assert (code, moment > disk.count - 4) == (0, True)
            continue
        last = err.strip().splitlines()[-1]
        assert code == 1, (moment, code, err)
        assert "No space left on device" in last, (moment, err)
        assert "unexpected" not in err, (moment, err)
        assert "Traceback" not in err, (moment, err)
        assert cli(*words(out))[0] == 0, moment
        assert content(out).keys() == expected.keys(), moment
        assert content(out) == expected, moment
        assert not [p for p in place.rglob("*") if "partial" in p.name or p.name.endswith(".unfinished")], moment
        tried += 1
    assert tried > 5
    print(f"{name}: {tried} of {disk.count} writes", file=sys.stderr)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here")
def test_results_that_cannot_be_written_are_said(cli, monkeypatch):
    for words in (["parse", PROMPT], ["parse", PROMPT, "--json"]):
        with builtins.open("/dev/full", "w") as full, pytest.MonkeyPatch.context() as patch:
            patch.setattr(sys, "stdout", full)
            code, _, err = cli(*words)
        assert (code, err.count("\n")) == (1, 1)
        assert "cannot write the results: No space left on device" in err
    monkeypatch.setattr(sys, "stdout", None)
    code, _, err = cli("parse", PROMPT)
    assert code == 1
    assert "standard output is closed" in err
