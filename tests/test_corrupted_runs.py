"""Thousands of corrupted run files: each is read, or refused in one line of ours; what is read can be shown."""

from __future__ import annotations

import json
import random

import pytest
from evaluation_runs import Shape, write_run
from sample_reports import ranking_of, run_folder_of

from abe_rerank.cli.show import account, overview
from abe_rerank.errors import AbeRerankError
from abe_rerank.evaluation.summary import load, summary_of
from abe_rerank.report.run_data import data_of
from abe_rerank.report.views import render_html
from abe_rerank.runs.doctor import examine, mend
from abe_rerank.runs.generated import read_generated, read_report

VALUES = (
    *(None, True, 0, -1, 99, 10**30, 1e308, -1e-320, 0.5, "", "x", "\ud800", "\0", "../x", "/etc/passwd"),
    *([], {}, [[]], [1, 2], ["a", "b"], {"weights": [[1], [1, 2]]}),
)


def places(value, path=()):
    """The paths of all values within a JSON value."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, one in inner:
        yield (*path, key)
        yield from places(one, (*path, key))


def corrupted(text, rng):
    """A JSON text with a value replaced or taken away, or some bytes changed, cut or doubled."""
    if rng.random() < 0.75:
        value = json.loads(text)
        *path, last = rng.choice(list(places(value)))
        owner = value
        for key in path:
            owner = owner[key]
        if rng.random() < 0.2:
            del owner[last]
        else:
            owner[last] = rng.choice(VALUES)
        return json.dumps(value).encode()
    raw, at = bytearray(text.encode()), rng.randrange(len(text))
    if rng.random() < 0.5:
        raw[at] = rng.randrange(256)
        return bytes(raw)
    return bytes(raw[:at] + raw[at + rng.randrange(1, 40) :] if rng.random() < 0.5 else raw[:at] + raw[at // 2 :])


def of_ours(work):
    """What work gives; None if it ended in an error of ours, which is one line."""
    try:
        return work()
    except AbeRerankError as error:
        said = str(error)
    assert "\n" not in said
    return None


def test_reports(tmp_path):
    run, rng, read = tmp_path / "run", random.Random(20261126), 0
    run_folder_of(ranking_of("a red cube"), run)
    text = (run / "report.json").read_text(encoding="utf-8")
    images = read_generated(run)[1]
    for _ in range(1500):
        (run / "report.json").write_bytes(corrupted(text, rng))
        report = of_ours(lambda: read_report(run))
        if report is None or len(report.candidates) != len(images):
            continue
        read += 1
        render_html(report, images)
        overview(report)
        for candidate in report.candidates:
            account(report, candidate)
        of_ours(lambda: read_generated(run))
    assert 100 < read < 1000


@pytest.mark.parametrize("merged", [True, False])
def test_results(tmp_path, merged):
    shape, rng, read = Shape(prompts=2, n=2, side=4), random.Random(20261126), 0
    run = write_run(tmp_path / "run", shape, complete=merged)
    file = run / ("results.jsonl" if merged else "results/rank0.jsonl")
    lines = file.read_text(encoding="utf-8").splitlines()
    for _ in range(700):
        place = rng.randrange(len(lines))
        changed = [line.encode() for line in lines]
        changed[place] = corrupted(lines[place], rng)
        file.write_bytes(b"\n".join(changed) + b"\n")
        numbers = of_ours(lambda: load(run))
        if numbers is not None:
            read += 1
            summary_of(numbers)
            data_of([numbers], run)
        checkup = of_ours(lambda: examine(run))
        assert numbers is not None or checkup is None or checkup.findings
    assert 20 < read < 600


def test_whatever_is_damaged_a_mended_run_is_whole_but_for_what_is_gone(tmp_path):
    shape, rng = Shape(prompts=2, n=2, side=4), random.Random(20261126)
    run = write_run(tmp_path / "run", shape, complete=False)
    file = run / "results" / "rank0.jsonl"
    lines = file.read_text(encoding="utf-8").splitlines()
    for image in (run / "images").iterdir():
        image.write_bytes(b"P6 1 1 255 abc")
    for _ in range(100):
        place = rng.randrange(len(lines))
        changed = [line.encode() for line in lines]
        changed[place] = corrupted(lines[place], rng)
        file.write_bytes(b"\n".join(changed) + b"\n")
        checkup = of_ours(lambda: examine(run))
        if checkup is not None:
            mend(checkup)
            assert {finding.what for finding in examine(run).findings} <= {"prompts.jsonl"}
            (run / "images").mkdir(exist_ok=True)
            for name in ("00000_00", "00000_01", "00001_00", "00001_01"):
                (run / "images" / f"{name}.png").write_bytes(b"P6 1 1 255 abc")


def test_records(tmp_path):
    run, rng = write_run(tmp_path / "run", Shape(prompts=2, n=2, side=4)), random.Random(20261126)
    text = (run / "run.json").read_text(encoding="utf-8")
    for _ in range(500):
        (run / "run.json").write_bytes(corrupted(text, rng))
        numbers = of_ours(lambda: load(run))
        if numbers is not None:
            assert numbers.run.record.text() == text.encode()
