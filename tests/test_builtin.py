"""The built-in models, through the doors that users take."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from abe_rerank import Reranker, UsageError, builtin
from abe_rerank.cli.app import main
from abe_rerank.drawing.prompt_fit import prompt_warnings
from abe_rerank.files import data_folder

PROMPT = "a yellow cylinder and a red cube"
ROOT = Path(builtin.__file__).parent
MODELS = ("clip", "text-to-image", "oracle")

needs_models = pytest.mark.skipif(
    not all((ROOT / name).is_dir() for name in MODELS), reason="the built-in models are not trained in this checkout"
)


def test_an_unknown_built_in_model_is_refused():
    with pytest.raises(UsageError, match="text-to-image"):
        builtin.path("sdxl")


@needs_models
def test_the_models_are_small_safe_and_described():
    files = [path for path in ROOT.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) <= 40e6
    assert not [path for path in files if path.suffix in {".bin", ".pt", ".pkl", ".ckpt"}]
    for name in MODELS:
        assert (builtin.path(name) / "README.md").is_file()


@needs_models
def test_generate_needs_nothing_but_a_prompt(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as ended:
        main(["generate", PROMPT, "--n", "2", "--steps", "4"])
    assert not ended.value.code
    (run,) = (tmp_path / "runs").iterdir()
    report = json.loads((run / "report.json").read_text())
    assert report["warnings"] == []
    assert report["text_to_image"]["name"] == report["backbone"]["name"] == "built-in"
    assert min(Image.open(run / "best.png").size) >= 128
    assert "picked seed" in capsys.readouterr().out


@needs_models
def test_words_outside_the_shapes_world_are_named(tmp_path, capsys):
    with pytest.raises(SystemExit) as ended:
        main(["generate", "a red astronaut", "--n", "1", "--steps", "1", "--out", str(tmp_path / "run")])
    assert not ended.value.code
    warnings = [line for line in capsys.readouterr().err.splitlines() if "warning" in line]
    assert len(warnings) == 1
    assert "astronaut" in warnings[0]


@needs_models
def test_the_community_pipeline_runs_on_the_built_in_models(tmp_path):
    from diffusers import DiffusionPipeline
    from diffusers.utils import dynamic_modules_utils

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dynamic_modules_utils, "HF_MODULES_CACHE", str(tmp_path))
        pipeline = DiffusionPipeline.from_pretrained(
            builtin.path("text-to-image"),
            custom_pipeline=str(data_folder("pipelines") / "abe_best_of_n.py"),
            trust_remote_code=True,
        )
    output = pipeline(PROMPT, num_candidates=2, return_all=True, num_inference_steps=4)
    direct = Reranker.from_pretrained().generate(None, PROMPT, n=2, num_inference_steps=4)
    assert output.seeds == [candidate.seed for candidate in direct.candidates]
    assert np.array_equal(output.images[0], direct.best.image)


@needs_models
def test_the_default_scorer_on_the_default_backbone_is_calibrated():
    score = Reranker.from_pretrained().explain(np.zeros((64, 64, 3), dtype=np.uint8), PROMPT)
    assert all(pair.probability is not None for pair in score.pairs)


@needs_models
def test_a_long_prompt_is_read_in_parts_and_says_so():
    reranker = Reranker.from_pretrained()
    colours = ("red", "blue", "green", "black", "white", "pink", "gray", "cyan")
    long = " and ".join(f"a {colour} cube" for colour in colours)
    assert any("parts" in warning for warning in prompt_warnings([long], reranker.scorer.backbone))
    assert not prompt_warnings(["a red cube"], reranker.scorer.backbone)


@needs_models
def test_python_users_see_nothing_of_the_libraries():
    script = "from abe_rerank import Reranker\n"
    script += "Reranker.from_pretrained().generate(None, 'a red cube', n=1, num_inference_steps=1)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("", "")
