"""``generate`` with a strategy: what it draws, what its report says, and the commands in it."""

from __future__ import annotations

import json
import shlex

import numpy as np
import pytest
from PIL import Image

from abe_rerank import builtin
from abe_rerank.drawing.strategies import make_strategy

PROMPT = "a yellow cylinder and a red cube"


@pytest.fixture
def generate(cli, pipeline_folder, backbone_folder):
    """Run the command on the tiny models."""
    return lambda *words: cli("generate", PROMPT, "--model", pipeline_folder, "--backbone", backbone_folder, *words)


def test_drafts_are_drawn_first_and_the_winner_is_drawn_again_to_the_bit(generate, cli, reranker, pipeline, tmp_path):
    asked = ["--n", 4, "--seed", 3, "--steps", 4, "--draft-steps", 1, "--keep", 2]
    code, said, _ = generate(*asked, "--out", tmp_path / "run")
    assert code == 0
    assert "drafts: 2 images and 4 drafts in" in said
    report = json.loads((tmp_path / "run/report.json").read_text())
    told = report["settings"]["strategy"]
    assert (told["name"], told["draft_steps"], told["keep"]) == ("drafts", 1, 2)
    assert (told["pictures"], told["drafts"]) == (2, 4)
    drafts = reranker.generate(pipeline, PROMPT, n=4, seed=3, num_inference_steps=1)
    assert {c["seed"] for c in report["candidates"]} == {c.seed for c in drafts.candidates[:2]}
    assert "--draft-steps 1 --keep 2" in report["commands"]["run"]
    assert "--draft-steps" not in report["commands"]["redraw"]
    words = shlex.split(report["commands"]["redraw"])
    assert cli(*words[1:], "--out", tmp_path / "again")[0] == 0
    first, again = (np.asarray(Image.open(tmp_path / name / "best.png")) for name in ("run", "again"))
    assert np.array_equal(first, again)


def test_search_draws_what_it_draws_in_python(generate, reranker, pipeline, tmp_path):
    code, _, _ = generate(
        "--n", 6, "--seed", 2, "--steps", 1, "--batch-size", 1, "--search", 0.3, "--out", tmp_path / "run"
    )
    assert code == 0
    report = json.loads((tmp_path / "run/report.json").read_text())
    strategy = make_strategy("search", 6, 2, share=0.3)
    ranking = reranker.generate(pipeline, PROMPT, batch_size=1, strategy=strategy, num_inference_steps=1)
    images = [np.asarray(Image.open(tmp_path / "run" / c["image"])) for c in report["candidates"]]
    assert all(np.array_equal(a, c.image) for a, c in zip(images, ranking.candidates, strict=True))
    assert "--search 0.3" in report["commands"]["run"]
    assert (report["commands"]["redraw"] is None) == bool(ranking.best.renewed)


def test_until_bound_without_probabilities_is_refused_and_leaves_nothing(generate, tmp_path):
    asked = ["--scorer", "clip", "--n", 4, "--steps", 1, "--until-bound", 0.5]
    code, _, said = generate(*asked, "--out", tmp_path / "run")
    assert code == 2
    assert "abe-rerank tune" in said
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--keep", 2], "give --draft-steps, too"),
        (["--max-seconds", 2], "give that, too"),
        (["--draft-steps", 2, "--until-bound", 0.5], "give one of them"),
        (["--search", 0.5, "--until-bound", 0.5], "--until-bound and --search are two strategies"),
        (["--search", 2], "above 0 and at most 1"),
        (["--draft-steps", 2, "--keep", 9], "at most 4 can be kept, got 9"),
        (["--until-bound", 2], "above 0 and at most 1"),
    ],
)
def test_options_that_do_not_go_together_are_refused(generate, tmp_path, options, said):
    code, _, error = generate("--n", 4, *options, "--out", tmp_path / "run")
    assert code == 2
    assert said in error
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not builtin.path("text-to-image").is_dir(), reason="the built-in models are not here")
def test_drawing_ends_when_a_picture_is_bound(cli, tmp_path):
    out = tmp_path / "run"
    code, said, _ = cli("generate", PROMPT, "--n", 12, "--steps", 3, "--until-bound", 0.001, "--out", out)
    assert code == 0
    assert "every pair of seed" in said
    report = json.loads((out / "report.json").read_text())
    assert len(report["candidates"]) == report["settings"]["n"] == 4
    assert report["settings"]["strategy"]["probability"] == 0.001
