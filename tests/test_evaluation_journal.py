"""The lines of a run and its folder: torn, damaged, double, missing, another's, and killed at every write."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from squares import PLAN, RECORD, Level, Squares

from abe_rerank import AbeRerankError, UsageError
from abe_rerank.evaluation.plan import Plan
from abe_rerank.runs.journal import collect, merge, open_folder, results_file, writing
from abe_rerank.suites import SuitePrompt


def results(folder):
    source, measure = Squares(folder), Level()
    return [
        result
        for block in PLAN.blocks()
        for result in measure.results(block, PLAN.prompts[block.index], source.take(block, "", block.candidates))
    ]


@pytest.fixture
def lines(tmp_path):
    """The four results of the plan in two files, as two processes would write them; gives the lines in order."""
    found = results(tmp_path)
    for rank in (0, 1):
        with writing(results_file(tmp_path, rank)) as journal:
            for result in found[rank::2]:
                journal.add(result)
    return [result.line().encode() + b"\n" for result in found]


@pytest.mark.parametrize("subject", ["writes", pytest.param("draft-writes", marks=pytest.mark.slow)])
def test_a_run_killed_at_every_write_ends_as_an_undisturbed_one(tmp_path, subject):
    script = Path(__file__).with_name("kill_commands.py")
    done = subprocess.run([sys.executable, script, tmp_path, "0", subject], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert int(done.stdout.split()[-1]) > 30


def test_merging_puts_the_lines_of_all_processes_in_order(tmp_path, lines):
    merge(tmp_path, PLAN.keys)
    assert (tmp_path / "results.jsonl").read_bytes() == b"".join(lines)


def test_a_line_torn_at_any_byte_is_cut_off_and_only_that(tmp_path, lines):
    file = results_file(tmp_path, 1)
    whole = file.read_bytes()
    for size in range(len(lines[1]), len(whole)):
        file.write_bytes(whole[:size])
        assert set(collect(tmp_path, PLAN.keys)) == {(0, 0), (0, 1), (0, 2)}
        assert file.read_bytes() == lines[1]
    for garbage in (b"\0" * 40, b"\xff\n", b"{}\n", b"\n"):
        file.write_bytes(whole + garbage)
        assert set(collect(tmp_path, PLAN.keys)) == set(PLAN.keys)
        assert file.read_bytes() == whole


@pytest.mark.parametrize("damage", [lambda line: line[:50] + b"\n", lambda line: b"\n", lambda line: b"{}\n"])
def test_a_damaged_line_in_the_middle_is_named_and_nothing_is_changed(tmp_path, lines, damage):
    file = results_file(tmp_path, 1)
    file.write_bytes(damage(lines[1]) + lines[3])
    before = file.read_bytes()
    with pytest.raises(AbeRerankError, match=r"rank-00001\.jsonl, line 1: damaged"):
        collect(tmp_path, PLAN.keys)
    assert file.read_bytes() == before


def test_double_foreign_and_missing_results_are_named(tmp_path, lines):
    with pytest.raises(AbeRerankError, match=r"rank-00001\.jsonl, line 2: prompt 1, image 0 is not of this run"):
        collect(tmp_path, PLAN.keys[:-1])
    with pytest.raises(AbeRerankError, match=r"1 of 5 results are missing .* prompt 7, image 7"):
        merge(tmp_path, [*PLAN.keys, (7, 7)])
    (tmp_path / "results" / "rank-00002.jsonl").write_bytes(lines[0])
    with pytest.raises(AbeRerankError, match=r"rank-00002\.jsonl, line 1: prompt 0, image 0 is in line 1 of .*00000"):
        merge(tmp_path, PLAN.keys)
    assert not (tmp_path / "results.jsonl").exists()


def test_two_processes_cannot_write_the_same_file(tmp_path, lines):
    with writing(results_file(tmp_path, 0)):
        with pytest.raises(UsageError, match="another process is writing"), writing(results_file(tmp_path, 0)):
            pass
        with pytest.raises(UsageError, match="another process is writing"):
            collect(tmp_path, PLAN.keys)
    assert len(collect(tmp_path, PLAN.keys)) == 4


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here")
def test_a_full_disk_is_named(tmp_path):
    file = tmp_path / "full.jsonl"
    file.symlink_to("/dev/full")
    with pytest.raises(AbeRerankError, match=r"cannot write .*full\.jsonl: No space left"), writing(file) as journal:
        journal.add(results(tmp_path)[0])


def test_a_folder_is_refused_field_by_field_or_found_again(tmp_path):
    out = tmp_path / "run"
    record = RECORD.model_copy(update={"scorer": "word " * 40 + "alpha=1.0"})
    begun = open_folder(out, record, b"p\n")
    later = record.model_copy(update={"created": "later", "command": "other", "versions": {"torch": "9"}})
    assert open_folder(out, later, b"p\n") == begun
    (out / "prompts.jsonl").unlink()  # as after a kill between the two files
    open_folder(out, record, b"p\n")
    assert (out / "prompts.jsonl").read_bytes() == b"p\n"
    settings = {"n": 4, "settings": {"guidance_scale": 2.0}, "scorer": "word " * 40 + "alpha=2.0"}
    other = record.model_copy(update=settings)
    with pytest.raises(UsageError) as refused:
        open_folder(out, other, b"p\n")
    said = str(refused.value)
    assert "n is 3 there and 4 here" in said
    assert "settings.guidance_scale is none there and 2.0 here" in said
    assert "scorer is ... alpha=1.0 ... there and ... alpha=2.0 ... here" in said
    (out / "run.json").write_text("{")
    with pytest.raises(AbeRerankError, match=r"run\.json is damaged"):
        open_folder(out, RECORD, b"p\n")


def test_a_folder_that_is_no_run_is_refused_and_kept(tmp_path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("keep")
    (tmp_path / "file").write_text("keep")
    for name, said in (("full", "not empty and holds no run"), ("file", "is a file"), ("file/inside", "is a file")):
        with pytest.raises(UsageError, match=said):
            open_folder(tmp_path / name, RECORD, b"")
    assert sorted(p.name for p in tmp_path.rglob("*")) == ["file", "full", "mine.txt"]
    (tmp_path / "cut").mkdir()
    (tmp_path / "cut" / ".run.json.unfinished").write_text("{")  # as after a kill in the first write
    open_folder(tmp_path / "cut", RECORD, b"")
    assert sorted(p.name for p in (tmp_path / "cut").iterdir()) == ["prompts.jsonl", "run.json"]


@pytest.mark.parametrize("processes", [1, 2, 3, 7])
@pytest.mark.parametrize("batch_size", [1, 2, 5])
def test_processes_share_the_work_without_gap_or_double(processes, batch_size):
    plan = Plan(tuple(SuitePrompt(str(k), "x") for k in range(5)), (4, 1, 3, 4, 2), batch_size)
    done = {(0, 0), (2, 1), (3, 0), (3, 1), (3, 2), (3, 3)}
    shares = [plan.share(done, rank, processes) for rank in range(processes)]
    keys = sorted(key for share in shares for block in share for key in block.keys)
    assert len(keys) == len(set(keys))
    assert set(plan.keys) - done <= set(keys) <= set(plan.keys)
    assert max(map(len, shares)) - min(map(len, shares)) <= 1
    assert sorted(key for block in plan.blocks() for key in block.keys) == list(plan.keys)
    whole = replace(plan, batch_size=1)
    assert {block.keys[0] for block in whole.share(done, 0, 1)} == set(plan.keys) - done
