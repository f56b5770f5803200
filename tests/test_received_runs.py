"""Run folders from elsewhere: nothing is written or read through a link, nothing that cannot be is accepted."""

from __future__ import annotations

import json
import os
import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest
from evaluation_runs import Shape, results, write_run
from PIL import Image
from sample_reports import ranking_of, run_folder_of

from abe_rerank.errors import AbeRerankError
from abe_rerank.runs import workplace
from abe_rerank.runs.folders import held


@pytest.fixture
def run(tmp_path):
    """The folder of a run of four images, and a folder outside of it."""
    (tmp_path / "outside").mkdir()
    run_folder_of(ranking_of("a red cube", values=(0.5, 0.2, 0.1, None)), tmp_path / "run")
    return tmp_path / "run"


def refused(cli, *words, code=1):
    """The one line that a command ends in."""
    found, _, err = cli(*words)
    assert found == code, err
    assert len(err.splitlines()) == 1
    assert "unexpected" not in err
    return err


def test_figures_are_not_written_through_a_link(run, cli):
    shutil.rmtree(run / "attention")
    (run / "attention").symlink_to(run.parent / "outside")
    assert "attention is a link" in refused(cli, "report", run)
    assert list((run.parent / "outside").iterdir()) == []


def test_a_prompt_of_a_million_characters_is_refused_at_once(run, cli):
    report = json.loads((run / "report.json").read_text())
    (run / "report.json").write_text(json.dumps(report | {"prompt": "a red cube " * 100_000}))
    for command in ("report", "show"):
        assert "prompt: 1100000 characters" in refused(cli, command, run)
    assert "the prompt has 1100000 characters" in refused(cli, "parse", "a red cube " * 100_000, code=2)


@pytest.mark.parametrize("name", ["report.html", "contact_sheet.png", ".report.html.unfinished"])
def test_views_that_are_links_are_replaced(run, cli, name):
    (run.parent / "outside" / "mine").write_text("keep")
    (run / name).unlink(missing_ok=True)
    (run / name).symlink_to(run.parent / "outside" / "mine")
    assert cli("report", run)[0] == 0
    assert (run.parent / "outside" / "mine").read_text() == "keep"


@pytest.mark.parametrize("command", ["report", "show"])
@pytest.mark.parametrize("name", ["candidates/02_seed1.png", "candidates", "report.json"])
def test_nothing_is_read_through_a_link(run, cli, command, name):
    (run / name).rename(run.parent / "outside" / "moved")
    (run / name).symlink_to(run.parent / "outside" / "moved")
    assert f"{run / name} is a link" in refused(cli, command, run)


def put(record, path, value):
    *parts, last = (int(part) if part.isdigit() else part for part in path.split("."))
    for part in parts:
        record = record[part]
    record[last] = value


PAIR = "candidates.1.score.pairs.0"
WRONG = [
    ("picked", 99, "picked: 99 is no rank from 1 to 4"),
    ("picked", -1, "picked: -1 is no rank"),
    ("picked", 0, "picked: 0 is no rank"),
    ("picked", 4, "picked: the image of rank 4 has no score"),
    ("picked", 10**400, "picked"),
    ("candidates", [], "candidates"),
    ("candidates.1.rank", 3, "candidates.1.rank: 3 stands in the place of 2"),
    ("candidates.1.score.value", 1e308, "candidates.1.score.value"),
    ("candidates.1.score.value", None, "candidates.1.score: value must be null exactly"),
    ("candidates.1.score.pairs", [], None),
    ("candidates.1.width", 10**9, "candidates.1.width"),
    ("candidates.0.image", "a\0b", "outside"),
    ("candidates.0.image", "x" * 5000, "too long"),
    ("candidates.0.image", "", "outside"),
    (f"{PAIR}.evidence", 1e308, f"{PAIR}.evidence"),
    (f"{PAIR}.probability", 7, f"{PAIR}.probability"),
    (f"{PAIR}.object_span", [2, 9999], f"{PAIR}.object_span: [2, 9999] is no range"),
    (f"{PAIR}.attribute_span", [5, 2], f"{PAIR}.attribute_span: [5, 2] is no range"),
    (f"{PAIR}.region.box", [0, 0, 1e308, 1], f"{PAIR}.region.box.2"),
    (f"{PAIR}.region.heat.rows", 7, f"{PAIR}.region.heat: levels holds 24 bytes, not 7 x 6"),
    (f"{PAIR}.region.heat.levels", "%%%", f"{PAIR}.region.heat: levels is not base64"),
    (f"{PAIR}.contrast.high", 1e308, f"{PAIR}.contrast.high"),
    (f"{PAIR}.region", {"weights": [[1], [1, 2]], "box": [0, 0, 1, 1]}, f"{PAIR}.region"),
    ("parse.objects.0.span", [6, 99], "parse.objects.0.span: [6, 99] is no range"),
    ("parse.objects.0.attributes.0.span", [-3, 2], "parse.objects.0.attributes.0.span"),
    ("parse.relations", [{"subject": 0, "text": "on", "span": [0, 1], "object": 5}], "parse.relations.0"),
    ("parse.pairs", [["red", "cube"], ["blue", "cube"]], "candidates.0.score.pairs: 1 pairs where 2 were asked"),
    ("seconds", {"loading": 1e308}, "seconds.loading"),
]


@pytest.mark.parametrize("command", ["report", "show", "doctor"])
@pytest.mark.parametrize(("path", "value", "said"), WRONG)
def test_what_cannot_be_is_named_by_its_field(run, cli, command, path, value, said):
    record = json.loads((run / "report.json").read_text(encoding="utf-8"))
    put(record, path, value)
    (run / "report.json").write_text(json.dumps(record))
    if said is None:
        assert cli(command, run)[0] == 0
    else:
        line = refused(cli, command, run)
        assert said in line
        assert "report.json" in line or "image" in path


def test_a_report_nested_without_end_is_refused(run, cli):
    (run / "report.json").write_text('{"settings":' + "[" * 100_000)
    assert "report.json" in refused(cli, "show", run)


@pytest.mark.parametrize("rank", ["0", "-1", "5"])
def test_show_refuses_ranks_that_are_not_there(run, cli, rank):
    assert f"rank 1 to 4, not {rank}" in refused(cli, "show", run, "--rank", rank, code=2)


def test_show_tells_an_image_that_was_changed(run, cli):
    Image.new("RGB", (12, 8), "white").save(run / "candidates" / "02_seed1.png")
    code, _, err = cli("show", run)
    assert code == 0
    assert "02_seed1.png is not the image that was scored" in err


def test_an_evaluation_does_not_read_or_write_through_links(tmp_path, cli):
    run = write_run(tmp_path / "run", Shape(prompts=2))
    (run / "prompts.jsonl").write_text("")
    os.rename(run / "results.jsonl", tmp_path / "moved")
    (run / "results.jsonl").symlink_to(tmp_path / "moved")
    for words in (("summarize", run), ("doctor", run), ("doctor", run, "--mend"), ("compare", run, run)):
        assert "results.jsonl is a link" in refused(cli, *words)


@pytest.mark.parametrize("image", ["../../secret.png", "/etc/passwd", "images/../../x.png"])
def test_an_evaluation_names_images_of_its_own_only(tmp_path, cli, image):
    found = [result.model_copy(update={"image": image}) for result in results(Shape(prompts=1, n=1))]
    run = write_run(tmp_path / "run", Shape(prompts=1, n=1, drawn=False), found)
    record = json.loads((write_run(tmp_path / "drawn", Shape(prompts=1, n=1)) / "run.json").read_text())
    (run / "run.json").write_text(json.dumps(record))
    (run / "prompts.jsonl").write_text('{"prompt": "prompt number 0"}\n')
    for words in (("summarize", run), ("doctor", run), ("evaluate", "--images", run, "--out", tmp_path / "out")):
        assert "outside of" in refused(cli, *words)


@pytest.mark.parametrize("within", [True, False])
def test_nothing_is_drawn_through_a_link(tmp_path, monkeypatch, within):
    monkeypatch.chdir(tmp_path)
    for folder in ("out", "outside", "runs"):
        (tmp_path / folder).mkdir()
    link = tmp_path / ("out/.drawn-key" if within else ".out.drawn-key")
    for one in (link, tmp_path / "runs" / ".drawn-key"):
        one.symlink_to(tmp_path / "outside")
    with pytest.raises(AbeRerankError, match=r"drawn-key is a link, and none is followed"):
        workplace.workplace(tmp_path / "out", "key")
    with pytest.raises(AbeRerankError, match=r"drawn-key is a link, and none is followed"):
        workplace.workplace(None, "key")
    link.unlink()
    link.mkdir()
    (link / ".lock").symlink_to(tmp_path / "outside" / "mine")
    with pytest.raises(AbeRerankError, match="lock is a link"), held(link / ".lock", link):
        pass
    assert list((tmp_path / "outside").iterdir()) == []


@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"../../etc", b"/", b"\0", b"x" * 5000, b"..", b"a\nb"])
def test_a_note_of_any_bytes_names_a_folder_below_runs_or_none(tmp_path, monkeypatch, content):
    monkeypatch.chdir(tmp_path)
    place = tmp_path / "runs" / ".drawn-x"
    place.mkdir(parents=True)
    (place / workplace.NAME).write_bytes(content)
    found = workplace.folder_for(None, "a red cube", datetime.now(tz=UTC), place)
    assert (found.parent, found.name[-10:]) == (Path("runs"), "a-red-cube")
