"""The files of a run made again from what is stored, and a run in the terminal."""

from __future__ import annotations

import json
import os
import pty
import shutil
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image
from sample_reports import EVIL, ranking_of, run_folder_of

from abe_rerank.cli.show import half_blocks
from abe_rerank.report.pictures import DARKEST, VEIL, Line, height_of, spotlight, write
from abe_rerank.report.views import MARGIN, PANEL, contact_sheet


@pytest.fixture
def run(tmp_path):
    """The folder of a run with a hostile prompt and four images."""
    run_folder_of(ranking_of(EVIL, values=(0.5, 0.2, 0.1, None)), tmp_path / "run")
    return tmp_path / "run"


def files_of(folder):
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_report_makes_everything_again_to_the_byte(run, cli):
    before = files_of(run)
    (run / "report.html").unlink()
    (run / "contact_sheet.png").unlink()
    shutil.rmtree(run / "attention")
    code, out, err = cli("report", run)
    assert code == 0, err
    assert str(run / "report.html") in out
    assert files_of(run) == before
    assert sorted(name for name in before if "/" not in name) == [
        "best.png",
        "contact_sheet.png",
        "report.html",
        "report.json",
    ]
    assert [name for name in before if name.startswith("attention/")] == ["attention/01-red-cube.png"]


def test_report_and_show_load_no_model_library(run):
    code = (
        "import sys\nfrom abe_rerank.cli.app import main\n"
        f"for name in ('report', 'show'):\n    try:\n        main([name, {str(run)!r}])\n"
        "    except SystemExit as end:\n        assert not end.code\n"
        "print([m for m in ('torch', 'diffusers', 'transformers', 'spacy') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_with_assets_the_page_names_the_images(run, cli):
    cli("report", run, "--assets")
    html = (run / "report.html").read_text(encoding="utf-8")
    assert 'src="candidates/01_seed0.png"' in html
    assert "data:image" not in html


def test_images_say_what_they_are(run):
    for name, seed in (("best.png", 0), ("candidates/02_seed1.png", 1)):
        told = Image.open(run / name).text
        last = told["parameters"].splitlines()[-1]
        assert told["parameters"].splitlines()[0] == json.loads(told["abe-rerank"])["prompt"]
        assert f"Seed: {json.loads(told['abe-rerank'])['seed']}, " in last
        facts = json.loads(told["abe-rerank"])
        assert facts["prompt"] == EVIL
        assert facts["seed"] == seed
    assert facts["score"] == 0.2
    assert facts["verdicts"] == ["red cube: swapped"]


def test_an_image_that_was_changed_is_told(run, cli):
    Image.new("RGB", (12, 8), "white").save(run / "candidates" / "02_seed1.png")
    code, _, err = cli("report", run)
    assert code == 0
    assert "02_seed1.png is not the image that was scored" in err


@pytest.mark.parametrize(
    ("change", "code", "said"),
    [
        (lambda run: (run / "report.json").unlink(), 2, "holds no run"),
        (lambda run: (run / "report.json").write_text("{}"), 1, "created: Field required"),
        (lambda run: (run / "report.json").write_text("no"), 1, "the file: Invalid JSON"),
        (lambda run: (run / "candidates" / "03_seed2.png").unlink(), 1, "03_seed2.png"),
        (lambda run: (run / "candidates" / "03_seed2.png").write_text("x"), 1, "not an image"),
        (lambda run: rename_image(run, "../../secret.png"), 1, "outside"),
        (lambda run: rename_image(run, "/etc/passwd"), 1, "outside"),
    ],
)
@pytest.mark.parametrize("command", ["report", "show"])
def test_broken_runs_end_in_one_line(run, cli, command, change, code, said):
    change(run)
    found, _, err = cli(command, run)
    assert found == code
    assert said in err
    assert len(err.splitlines()) == 1


def rename_image(run, name):
    record = json.loads((run / "report.json").read_text())
    record["candidates"][2]["image"] = name
    (run / "report.json").write_text(json.dumps(record))


def test_a_folder_that_is_not_there_is_named(cli, tmp_path):
    code, _, err = cli("report", tmp_path / "nothing")
    assert code == 2
    assert "no such folder" in err


def test_show_says_what_was_picked_and_lists_all(run, cli):
    code, out, _ = cli("show", run)
    lines = out.splitlines()
    assert code == 0
    assert "\x1b" not in out
    assert "<script>alert(1)</script>" in lines[0]
    assert "picked seed 0, rank 1 of 4: The attribute is where it belongs" in out
    assert "red is on the cube: 0.90; blue would fit it 0.04" in out
    table = lines[next(k for k, line in enumerate(lines) if line.split()[:3] == ["rank", "seed", "score"]) + 1 :]
    assert [line.split()[:4] for line in table[:4]] == [
        [">", "1", "0", "+0.500"],
        ["2", "1", "+0.200", "⇄"],
        ["3", "2", "+0.100", "~"],
        ["4", "3", "unscored", "-"],
    ]


def test_show_takes_a_rank(run, cli):
    assert "blue sits on the cube" in cli("show", run, "--rank", 2)[1]
    code, _, err = cli("show", run, "--rank", 5)
    assert code == 2
    assert "rank 1 to 4" in err


@pytest.mark.parametrize(("options", "pictured"), [([], True), (["--plain"], False)])
def test_show_draws_in_a_terminal_with_colours(run, options, pictured):
    out = in_terminal([sys.executable, "-m", "abe_rerank", "show", str(run), *options])
    assert ("\u2580" in out) == pictured
    assert ("\x1b[38;2;" in out) == pictured
    assert "\x1b[31m a" not in out  # the prompt's own escape


def in_terminal(words):
    """What a command writes to a terminal of 80 columns with true colours."""
    ours, theirs = pty.openpty()
    environment = os.environ | {"COLORTERM": "truecolor", "TERM": "xterm-256color", "COLUMNS": "80"}
    environment.pop("NO_COLOR", None)
    running = subprocess.Popen(words, stdin=theirs, stdout=theirs, stderr=theirs, env=environment, close_fds=True)
    os.close(theirs)
    parts = []
    try:
        while part := os.read(ours, 65536):
            parts.append(part)
    except OSError:  # the other end is closed
        pass
    os.close(ours)
    assert running.wait() == 0
    return b"".join(parts).decode()


def test_half_blocks_hold_the_pixels_in_their_order():
    pixels = np.arange(4 * 3 * 3, dtype=np.uint8).reshape(4, 3, 3)
    text = half_blocks(Image.fromarray(pixels), 3)
    assert text.plain.rstrip("\n").split("\n") == ["\u2580" * 3] * 2
    colours = [
        (tuple(span.style.color.triplet), tuple(span.style.bgcolor.triplet)) for span in text.spans if span.style
    ]
    assert colours == [(tuple(pixels[2 * r, c]), tuple(pixels[2 * r + 1, c])) for r in range(2) for c in range(3)]


def test_a_spotlight_keeps_what_is_lit_and_darkens_the_rest_of_the_image():
    image = Image.new("RGB", (40, 20), (200, 100, 50))
    lit = np.asarray(spotlight(image, np.array([[1.0, 0.0]]), (0.5, 0.0, 1.0, 1.0))).astype(float)
    dark = (1 - DARKEST) * np.array([200, 100, 50]) + DARKEST * np.array(VEIL)
    np.testing.assert_allclose(lit[10, 21], [200, 100, 50], atol=1)
    np.testing.assert_allclose(lit[10, 38], dark, atol=2)
    np.testing.assert_allclose(lit[10, 5], dark, atol=2)  # outside of what the backbone saw


def test_the_contact_sheet_holds_every_image_and_marks_the_picked_one(tmp_path):
    ranking = ranking_of("a red cube", values=(0.5, 0.2, 0.1, None, None))
    images = [Image.new("RGB", (12, 8), (50 * k, 0, 0)) for k in range(5)]
    sheet = np.asarray(contact_sheet(run_folder_of(ranking, tmp_path / "run"), images))
    assert sheet.shape[1] == 2 * MARGIN + 4 * PANEL + 3 * 16
    area = PANEL * round(PANEL * 8 / 12)
    for k in range(5):
        share = (sheet == [50 * k, 0, 0]).all(axis=2).sum() / area
        assert 0.8 < share <= 1.01, k  # frames take some of it
    assert (sheet == [0x1F, 0x5F, 0xBF]).all(axis=2).sum() > 4 * 5 * 190  # the frame of the picked one


def test_lettering_wraps_within_its_width_and_shows_control_characters():
    lines = [Line("many words that do not fit " * 3, 16), Line("x" * 200, 16), Line("a\x1b[31m\nb", 16), Line("", 16)]
    canvas = Image.new("RGB", (200, height_of(lines, 150)), "white")
    write(canvas, (10, 0), lines, 150)
    ink = np.argwhere(np.asarray(canvas).min(axis=2) < 250)
    assert ink[:, 1].min() >= 9
    assert ink[:, 1].max() <= 161
    assert lines[2].wrapped(150) == ["a\ufffd[31m\ufffdb"]
    assert lines[3].wrapped(150) == [""]


def test_the_parameters_of_an_image_are_those_that_other_browsers_read():
    from abe_rerank.runs.provenance import parameters_text

    settings = {"num_inference_steps": 20, "scheduler": "EulerDiscreteScheduler", "guidance_scale": 7.5}
    text = parameters_text("a red cube", settings | {"negative_prompt": "a star"}, 3, (64, 48), "owner/name, v2")
    assert text == (
        "a red cube\nNegative prompt: a star\nSteps: 20, Sampler: EulerDiscreteScheduler, CFG scale: 7.5, Seed: 3, "
        'Size: 64x48, Model: "owner/name, v2"'
    )
    assert parameters_text("a", {}, None, (1, 2), "m") == "a\nSize: 1x2, Model: m"
