"""A run that was harmed: what evaluate, summarize and doctor say of it, and what mending leaves to be done."""

from __future__ import annotations

import json

import pytest
from evaluation_runs import Shape, results, write_run
from PIL import Image
from sample_reports import ranking_of, run_folder_of
from squares import PLAN, RECORD, Level, Squares
from squares import every_byte as content
from squares import run as evaluate

from abe_rerank.errors import AbeRerankError, UsageError
from abe_rerank.evaluation.summary import summarize
from abe_rerank.evaluation.work import begin, finish, work
from abe_rerank.runs.doctor import examine, mend
from abe_rerank.runs.evaluated import RunRecord
from abe_rerank.runs.journal import results_file, writing
from abe_rerank.runs.provenance import pixels_sha256
from abe_rerank.runs.records import ModelRecord

SHAPE = Shape(prompts=3, n=2)
DRAWN = RECORD.model_copy(
    update={"text_to_image": ModelRecord(name="t", kind="t", weights=""), "prompts_sha256": "", "n": 3}
)


@pytest.fixture
def run(tmp_path):
    """A complete run of six pictures with their hashes, as evaluate leaves it."""
    folder, found = tmp_path / "run", []
    for result in results(SHAPE):
        image = Image.new("RGB", (4, 3), (40 * result.index, 80 * result.candidate, 7))
        found.append(result.model_copy(update={"pixels_sha256": pixels_sha256(image)}))
    write_run(folder, SHAPE, found)
    (folder / "prompts.jsonl").write_bytes(b"")
    record = RunRecord.model_validate_json((folder / "run.json").read_bytes())
    empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    (folder / "run.json").write_bytes(record.model_copy(update={"prompts_sha256": empty}).text())
    for result in found:
        colour = (40 * result.index, 80 * result.candidate, 7)
        Image.new("RGB", (4, 3), colour).save(folder / result.image)
        with writing(results_file(folder, result.candidate)) as journal:
            journal.add(result)
    return folder


def findings(folder):
    return [(finding.what.partition(" (")[0], finding.illness) for finding in examine(folder).findings]


def lines_of(folder):
    return sum(file.read_bytes().count(b"\n") for file in (folder / "results").glob("*.jsonl"))


def test_a_whole_run_is_whole(run, cli):
    before = content(run)
    assert examine(run).findings == ()
    code, out, err = cli("doctor", run)
    assert (code, err) == (0, "")
    assert out == "whole: 6 results, 6 pictures\n"
    assert cli("doctor", run, "--mend")[0] == 0
    assert {name: text for name, text in content(run).items() if not name.endswith(".lock")} == {
        name: text for name, text in before.items() if not name.endswith(".lock")
    }


def test_pictures_that_are_gone_changed_or_broken_are_told_and_their_results_are_done_again(run, cli):
    (run / "images" / "00000_01.png").unlink()
    Image.new("RGB", (4, 3), "white").save(run / "images" / "00001_00.png")
    (run / "images" / "00002_00.png").write_bytes(b"no picture")
    code, out, err = cli("doctor", run)
    assert code == 1
    assert out.splitlines() == [
        "whole: 3 results, 3 pictures",
        "changed: images/00001_00.png",
        "damaged: images/00002_00.png",
        "missing: images/00000_01.png",
    ]
    assert "3 things are not whole" in err
    code, out, _ = cli("doctor", run, "--mend")
    assert code == 0
    assert "start the run's own command again: abe-rerank evaluate" in out
    assert (lines_of(run), (run / "results.jsonl").exists()) == (3, False)
    assert sorted(p.name for p in (run / "images").iterdir()) == ["00000_00.png", "00001_01.png", "00002_01.png"]
    assert findings(run) == []


def test_a_damaged_line_is_told_by_all_and_mended(run, cli):
    (run / "results.jsonl").unlink()
    file = results_file(run, 0)
    lines = file.read_bytes().splitlines(keepends=True)
    file.write_bytes(lines[0] + lines[1].replace(b'"margin":', b'"margins":', 1) + lines[2])
    for words in (("summarize", run), ("doctor", run)):
        code, _, err = cli(*words)
        assert code == 1
        assert "doctor --mend" in err
    assert findings(run) == [("results/rank-00000.jsonl, line 2", "damaged")]
    mend(examine(run))
    assert file.read_bytes() == lines[0] + lines[2]
    assert findings(run) == []


@pytest.mark.parametrize("there", [True, False])
def test_results_that_stand_in_one_file_alone_are_kept(run, there):
    merged = (run / "results.jsonl").read_bytes()
    if not there:
        for file in (run / "results").glob("*.jsonl"):
            file.unlink()
    (run / "results.jsonl").write_bytes(merged[:-30])
    assert findings(run)[0] == ("results.jsonl, line 6", "damaged")
    with pytest.raises(AbeRerankError, match=r"results\.jsonl, line 6: damaged \(cut off"):
        summarize([run])
    mend(examine(run))
    assert lines_of(run) == (6 if there else 5)
    assert findings(run) == []


def test_double_and_foreign_lines_edited_results_and_prompts_are_told(run):
    lines = results_file(run, 0).read_bytes().splitlines(keepends=True)
    foreign = lines[0].replace(b'"index":0', b'"index":7', 1)
    results_file(run, 1).write_bytes(results_file(run, 1).read_bytes() + lines[1] + foreign)
    (run / "prompts.jsonl").write_bytes(b"changed")
    merged = (run / "results.jsonl").read_text().splitlines(keepends=True)
    merged[0] = json.dumps(json.loads(merged[0]) | {"value": 99.0}) + "\n"
    (run / "results.jsonl").write_text("".join(merged))
    assert findings(run) == [
        ("prompts.jsonl", "changed"),
        ("results/rank-00001.jsonl, line 4", "damaged"),
        ("results/rank-00001.jsonl, line 5", "damaged"),
        ("results.jsonl, line 1", "changed"),
    ]
    mend(examine(run))
    assert not (run / "prompts.jsonl").exists()
    assert lines_of(run) == 6


def test_a_run_that_is_being_written_is_not_mended(run):
    (run / "images" / "00000_00.png").unlink()
    checkup = examine(run)
    with writing(results_file(run, 0)), pytest.raises(UsageError, match="another process is writing"):
        mend(checkup)
    assert lines_of(run) == 6


@pytest.mark.parametrize("change", [{"n": 1}, {"scorer": "other"}, {"seal": None}, {"prompts": 2}])
def test_an_edited_record_is_told_by_all_alike(run, cli, change):
    record = json.loads((run / "run.json").read_text())
    (run / "run.json").write_text(json.dumps(record | change))
    said = {cli(*words)[2] for words in (("summarize", run), ("doctor", run), ("report", run))}
    assert len(said) == 1
    assert "run.json is damaged: it was edited after the run began" in said.pop()
    edited = RunRecord.model_validate(record).model_copy(update=change)
    with pytest.raises(UsageError, match="it was edited after the run began"):
        begin(run, edited, b"", PLAN)


def test_summarize_tells_that_pictures_are_gone(run, cli):
    assert cli("summarize", run)[2] == ""
    (run / "images" / "00002_01.png").unlink()
    code, out, err = cli("summarize", run)
    assert code == 0
    assert f"images of {run} that are gone: 1, the first images/00002_01.png" in err
    assert out.startswith(cli("summarize", run, "--format", "table")[1][:20])


@pytest.fixture
def squares(tmp_path, monkeypatch):
    """A complete run of drawn squares."""
    import squares

    monkeypatch.setattr(squares, "RECORD", DRAWN)
    evaluate(tmp_path / "squares")
    return tmp_path / "squares"


def again(folder):
    """Start the same run again; gives its state, and how many images were drawn."""
    from abe_rerank.evaluation.work import World

    state = begin(folder, DRAWN, b"prompts\n", PLAN)
    if not state.complete:
        work(folder, PLAN, Squares(folder), Level(), state, World(0, 1, None))
        finish(folder, PLAN)
    return state


def test_evaluate_draws_again_what_is_gone_and_only_that(squares):
    before = content(squares)
    (squares / "images" / "0-1.bmp").unlink()
    kept = (squares / "images" / "0-2.bmp").stat().st_mtime_ns
    state = again(squares)
    assert (state.complete, state.gone, sorted(state.done)) == (False, ("images/0-1.bmp",), [(0, 0), (0, 2), (1, 0)])
    assert (squares / "images" / "0-2.bmp").stat().st_mtime_ns == kept
    after = content(squares)
    assert after["results.jsonl"] == before["results.jsonl"]
    assert after["images/0-1.bmp"] == before["images/0-1.bmp"]
    assert again(squares).complete


@pytest.mark.parametrize("parts", [True, False])
def test_evaluate_merges_a_cut_results_file_again_or_does_what_is_missing(squares, parts):
    before = content(squares)
    (squares / "results.jsonl").write_bytes(before["results.jsonl"][:-20])
    if not parts:
        results_file(squares, 0).unlink()
    state = again(squares)
    assert (state.complete, len(state.done)) == (False, 4 if parts else 3)
    assert (squares / "results.jsonl").read_bytes() == before["results.jsonl"]
    assert again(squares).complete


def test_evaluate_does_not_write_through_links(squares, tmp_path):
    (squares / "images").rename(tmp_path / "outside")
    (squares / "images").symlink_to(tmp_path / "outside")
    with pytest.raises(AbeRerankError, match="images is a link"):
        again(squares)


def test_a_run_of_generate_is_looked_over(tmp_path, cli):
    run = tmp_path / "run"
    run_folder_of(ranking_of("a red cube"), run)
    assert cli("doctor", run)[1] == "whole: 3 results, 3 pictures\n"
    best = (run / "best.png").read_bytes()
    Image.new("RGB", (12, 8)).save(run / "best.png")
    (run / "report.html").unlink()
    code, out, _ = cli("doctor", run, "--mend")
    assert code == 0
    assert out.splitlines()[1:3] == ["changed: best.png", "missing: report.html"]
    assert f"abe-rerank report {run} makes its page and figures again" in out
    assert (run / "best.png").read_bytes() == best
    (run / "candidates" / "02_seed1.png").unlink()
    code, out, _ = cli("doctor", run, "--mend")
    assert "missing: candidates/02_seed1.png" in out
    assert "into a new folder: abe-rerank generate x" in out


def test_a_folder_that_is_no_run_is_refused(tmp_path, cli):
    assert cli("doctor", tmp_path / "nowhere")[0] == 2
    assert "holds no run" in cli("doctor", tmp_path)[2]


def test_report_says_which_pictures_are_not_those_that_were_scored(run, cli):
    assert cli("report", run)[2] == ""
    (run / "images" / "00000_01.png").unlink()
    Image.new("RGB", (4, 3), "white").save(run / "images" / "00001_00.png")
    code, out, err = cli("report", run)
    assert (code, out.strip()) == (0, str(run / "report.html"))
    assert "that were scored: 2, the first: images/00001_00.png is changed; abe-rerank doctor" in err
    assert "2, the first" in cli("report", run, "--against", run)[2]


class Hashed(Level):
    """Scores an image by its level, and keeps its hash."""

    def results(self, block, prompt, taken):
        found = super().results(block, prompt, taken)
        hashes = [pixels_sha256(one.image) for one in taken]
        return [r.model_copy(update={"pixels_sha256": h}) for r, h in zip(found, hashes, strict=True)]


class Pictures(Squares):
    """Draws its squares as PNG files."""

    def take(self, block, prompt, wanted):
        taken = super().take(block, prompt, wanted)
        for candidate, one in zip(block.candidates, taken, strict=True):
            if candidate in wanted:
                one.image.save(self.folder / one.path, format="PNG")
        return taken


def test_evaluate_draws_again_what_was_replaced(tmp_path):
    from abe_rerank.evaluation.work import World

    folder = tmp_path / "run"

    def evaluate():
        state = begin(folder, DRAWN, b"prompts\n", PLAN)
        if not state.complete:
            work(folder, PLAN, Pictures(folder), Hashed(), state, World(0, 1, None))
            finish(folder, PLAN)
        return state

    evaluate()
    before = (content(folder / "images"), (folder / "results.jsonl").read_bytes())
    assert evaluate().complete
    first, second = folder / "images" / "0-0.bmp", folder / "images" / "0-1.bmp"
    first.rename(folder / "other")
    second.rename(first)
    (folder / "other").rename(second)  # swapped, with the times that they had
    assert sorted(evaluate().gone) == ["images/0-0.bmp", "images/0-1.bmp"]
    assert (content(folder / "images"), (folder / "results.jsonl").read_bytes()) == before
    assert evaluate().complete
