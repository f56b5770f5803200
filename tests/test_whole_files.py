"""What is written is there whole or as it was: single files, and the folders of new runs."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest
from PIL import Image
from sample_reports import ranking_of, report_of

from abe_rerank.errors import AbeRerankError, UsageError
from abe_rerank.files import write_png, write_whole
from abe_rerank.report.views import write_views
from abe_rerank.runs.folders import default_folder, new_run_folder
from abe_rerank.runs.generated import read_generated, write_generated


class Full:
    """Makes the ``moment``-th of all syncs and renames fail as on a full disk."""

    def __init__(self, monkeypatch, moment):
        self.moment, self.count = moment, 0
        for owner, name in ((os, "fsync"), (Path, "replace"), (Path, "rename")):
            monkeypatch.setattr(owner, name, self.failing(getattr(owner, name)))

    def failing(self, function):
        def wrapped(*arguments):
            self.count += 1
            if self.count == self.moment:
                raise OSError(errno.ENOSPC, "No space left on device")
            return function(*arguments)

        return wrapped


@pytest.mark.parametrize("moment", [1, 2])
@pytest.mark.parametrize("old", [None, b"old"])
def test_a_write_that_fails_leaves_the_old_file(tmp_path, monkeypatch, moment, old):
    path = tmp_path / "file"
    if old is not None:
        path.write_bytes(old)
    Full(monkeypatch, moment)
    with pytest.raises(AbeRerankError, match=r"cannot write .*file: No space left"):
        write_whole(path, b"new")
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == ({} if old is None else {"file": old})


def test_content_that_fails_halfway_leaves_the_old_file(tmp_path):
    (tmp_path / "file").write_bytes(b"old")

    def parts():
        yield b"new"
        raise OSError(errno.EIO, "Input/output error")

    with pytest.raises(AbeRerankError, match="Input/output error"):
        write_whole(tmp_path / "file", parts())
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == {"file": b"old"}


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here")
def test_links_are_replaced_and_never_written_through(tmp_path):
    (tmp_path / "outside").write_bytes(b"keep")
    for name in ("file", ".file.unfinished"):
        (tmp_path / name).symlink_to("outside")
    write_png(tmp_path / "file", Image.new("RGB", (2, 2)))
    assert (tmp_path / "outside").read_bytes() == b"keep"
    assert not (tmp_path / "file").is_symlink()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["file", "outside"]


def write_run(out):
    ranking = ranking_of("a red cube")
    with new_run_folder(out) as folder:
        report, images = report_of(ranking), [candidate.image for candidate in ranking.candidates]
        write_generated(folder, report, images)
        write_views(folder, report, images)


def what_it_says(out):
    """The error of writing a run, None if there is none."""
    try:
        write_run(out)
    except (AbeRerankError, UsageError) as error:
        return str(error)
    return None


@pytest.mark.parametrize("exists", [False, True])
def test_a_run_on_a_full_disk_is_there_whole_or_not_at_all(tmp_path, exists):
    whole = tmp_path / "whole"
    write_run(whole)
    names = sorted(str(p.relative_to(whole)) for p in whole.rglob("*"))
    moment = 0
    while True:
        moment += 1
        out = tmp_path / f"out-{moment}"
        if exists:
            out.mkdir()
        with pytest.MonkeyPatch.context() as patch:
            full = Full(patch, moment)
            said = what_it_says(out)
        if said is None:
            assert full.count < moment
            break
        assert "No space left" in said
        left = sorted(p.name for p in tmp_path.iterdir() if p != whole)
        assert left == ([out.name] if exists else [])
        if exists:
            assert list(out.iterdir()) == []
            out.rmdir()
    assert moment > 14
    assert sorted(str(p.relative_to(out)) for p in out.rglob("*")) == names
    assert read_generated(out)[0] == read_generated(whole)[0]


KILLED = """
import os, signal, sys
from pathlib import Path
from abe_rerank.runs.folders import new_run_folder
with new_run_folder(Path(sys.argv[1])) as folder:
    (folder / "half").write_text("x")
    os.kill(os.getpid(), getattr(signal, sys.argv[2]))
"""


@pytest.mark.parametrize("name", ["SIGKILL", "SIGTERM"])
@pytest.mark.parametrize("exists", [False, True])
def test_what_a_killed_run_left_is_removed_by_the_next_in_that_place(tmp_path, exists, name):
    out = tmp_path / "run"
    if exists:
        out.mkdir()
    subprocess.run([sys.executable, "-c", KILLED, out, name], check=False)
    place = out if exists else tmp_path
    assert len(list(place.glob(".*partial-*"))) == 1
    write_run(out)
    assert list(tmp_path.rglob(".*")) == []
    assert (out / "report.json").is_file()


def test_what_another_run_is_writing_is_left_alone(tmp_path):
    (tmp_path / "empty").mkdir()
    with new_run_folder(tmp_path / "run") as first, new_run_folder(tmp_path / "empty") as second:
        (first / "mine").write_text("x")
        (second / "mine").write_text("x")
        with new_run_folder(tmp_path / "run") as other:
            assert other != first
            (other / "mine").write_text("x")
        with pytest.raises(UsageError, match="not empty"), new_run_folder(tmp_path / "empty"):
            pass
        assert (first / "mine").exists()
        (first / "mine").rename(tmp_path / "kept")
        (tmp_path / "run" / "mine").unlink()
        (tmp_path / "run").rmdir()
    assert (tmp_path / "empty" / "mine").exists()


def test_folders_without_a_lock_are_left_alone_until_they_are_old(tmp_path):
    unlocked = tmp_path / ".run.partial-0123abcd"
    unlocked.mkdir()
    write_run(tmp_path / "run")
    assert unlocked.is_dir()
    os.utime(unlocked, (time.time() - 7200,) * 2)
    (tmp_path / "run").rename(tmp_path / "before")
    write_run(tmp_path / "run")
    assert not unlocked.exists()


def test_default_folders_never_collide(tmp_path):
    now = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    first = default_folder("a red cube", now, tmp_path)
    write_run(first)
    assert default_folder("a red cube", now, tmp_path).name == f"{first.name}-2"


def test_a_run_killed_while_it_was_moved_loses_no_picture(tmp_path):
    out = tmp_path / "run"
    out.mkdir()
    script = (
        "import os, signal\nfrom pathlib import Path\nfrom abe_rerank.runs.folders import new_run_folder\n"
        "rename, done = Path.rename, []\n"
        "def last(path, target):\n"
        "    if done: os.kill(os.getpid(), signal.SIGKILL)\n"
        "    done.append(path)\n    return rename(path, target)\n"
        "Path.rename = last\n"
        f"with new_run_folder(Path({str(out)!r})) as folder:\n"
        "    for name in ('a.png', 'b.png', 'report.json'): (folder / name).write_text(name)\n"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == -9
    (partial,) = out.glob(".partial-*")
    os.utime(partial, (0, 0))  # long ago
    with (
        pytest.raises(UsageError, match=rf"is not empty, and {partial.name} in it may hold the rest"),
        new_run_folder(out),
    ):
        pass
    assert sorted(p.name for p in out.rglob("*.*") if p.is_file()) == ["a.png", "b.png", "report.json"]


STOPPED = """
import os, signal, sys
from pathlib import Path
from abe_rerank.cli import app
from abe_rerank.runs.folders import new_run_folder
@app.app.command()
def stopped(out: Path, name: str):
    with new_run_folder(out) as folder:
        (folder / "half").write_text("x")
        os.kill(os.getpid(), getattr(signal, name))
        signal.pause()
app.main()
"""


@pytest.mark.parametrize(("name", "code"), [("SIGTERM", 143), ("SIGINT", 130)])
@pytest.mark.parametrize("exists", [False, True])
def test_a_stopped_command_clears_up_and_says_by_its_code_what_stopped_it(tmp_path, exists, name, code):
    out = tmp_path / "run"
    if exists:
        out.mkdir()
    done = subprocess.run([sys.executable, "-c", STOPPED, "stopped", out, name], capture_output=True, check=False)
    assert (done.returncode, b"Traceback" in done.stderr) == (code, False)
    assert list(tmp_path.rglob("*")) == ([out] if exists else [])
