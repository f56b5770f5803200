"""A disk that fills up at any write of a command: one line, exit code 1, nothing half-written, and it goes on after.

Every way in which the package writes fails from the k-th time on. All k are tried where ``ALL_WRITES`` is set in the
environment, else a few.
"""

from __future__ import annotations

import builtins
import errno
import json
import os
import shutil
import sys
from pathlib import Path

import pytest
from test_app import finished
from test_tune import small_search

from abe_rerank.integrations.app.desk import Desk
from abe_rerank.integrations.app.orders import Models, Order

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
    for name in found:
        if name.endswith(("report.json", "run.json", "tuned.json")):
            kept = json.loads(found[name])
            found[name] = {key: value for key, value in kept.items() if key not in (*VARYING, "command", "seal")}
    return found


@pytest.fixture
def commands(pipeline_folder, backbone_folder, tmp_path):
    """The words of each command by its name; "OUT" stands for where it writes."""
    reads = ["--backbone", backbone_folder, "--device", "cpu"]
    models = ["--model", pipeline_folder, "--steps", "1", *reads]
    prompts = tmp_path / "prompts.txt"
    prompts.write_text("a red cube\na blue sphere\n")
    return {
        "generate": ["generate", PROMPT, "--n", "2", "--batch-size", "1", "--out", "OUT", *models],
        "evaluate": ["evaluate", "--suite", prompts, "--n", "2", "--batch-size", "1", "--out", "OUT", *models],
        "report": ["report", "OUT"],
        "tune": ["tune", "--scenes", "1", "--quick", *reads],
    }


def moments(writes, few=False):
    if os.environ.get("ALL_WRITES"):
        return range(1, writes + 1)
    if few:
        return sorted({2, writes // 2, writes - 3})
    return sorted(k for k in {1, 2, 3, writes // 3, writes // 2, writes - 6, writes - 4} if k > 0)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["generate", "evaluate", "report", "tune"])
def test_a_command_on_a_full_disk_says_so_and_goes_on_afterwards(name, commands, cli, tmp_path, monkeypatch):
    def words(out):
        if name == "report" and not out.exists():  # it writes into a run that is there
            shutil.copytree(run, out)
        monkeypatch.setenv("XDG_DATA_HOME", str(out if name == "tune" else tmp_path / "data"))
        return [out if word == "OUT" else word for word in commands[name]]

    if name == "tune":
        small_search(monkeypatch)
    run = tmp_path / "run"
    if name == "report":
        assert cli(*(run if word == "OUT" else word for word in commands["generate"]))[0] == 0
    place = tmp_path / "disk"
    whole = place / "whole"
    with pytest.MonkeyPatch.context() as patch:
        asked = words(whole)
        disk = Disk(patch, place, 0)
        assert cli(*asked)[0] == 0
    expected, tried = content(whole), 0
    for moment in moments(disk.count, few=name == "tune"):
        out = place / f"run{moment}"
        with pytest.MonkeyPatch.context() as patch:
            asked = words(out)
            full = Disk(patch, place, moment)
            code, _, err = cli(*asked)
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
    assert tried > (1 if name in ("report", "tune") else 5)
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


@pytest.mark.slow
def test_the_page_on_a_full_disk_says_so_and_draws_the_same_afterwards(pipeline_folder, backbone_folder, tmp_path):
    order = Order(PROMPT, Models(str(pipeline_folder), str(backbone_folder), device="cpu"), n=2, steps=1)
    with pytest.MonkeyPatch.context() as patch:
        disk = Disk(patch, tmp_path, 0)
        whole = drawn(Desk(tmp_path / "whole", order.models), order)
    assert (whole.state, disk.count > 5) == ("done", True)
    expected = {c.seed: (c.pixels_sha256, c.score.value) for c in whole.report.candidates}
    for moment in moments(disk.count):
        place = tmp_path / f"page{moment}"
        with pytest.MonkeyPatch.context() as patch:
            full = Disk(patch, place, moment)
            failed = drawn(Desk(place, order.models), order)
        if full.count >= moment:
            assert failed.error is None or "No space left on device" in failed.error, (moment, failed.error)
            assert failed.error is not None or failed.state == "done", moment
        again = drawn(Desk(place, order.models), order)
        assert again.state == "done", (moment, again.error)
        assert {c.seed: (c.pixels_sha256, c.score.value) for c in again.report.candidates} == expected
        assert not [p for p in place.rglob("*") if "partial" in p.name or p.name.endswith(".unfinished")], moment


def drawn(desk, order):
    """What came of an order on a desk that is closed afterwards."""
    desk.open()
    try:
        return finished(desk, desk.draw(order))
    finally:
        desk.close()
