"""Each recipe of CONTRIBUTING.md, followed in a copy of the package: what it adds is offered, and works."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from sample_reports import ranking_of, report_of
from tiny_models import save_tiny

from abe_rerank.runs.generated import to_json

ROOT = Path(__file__).resolve().parents[1]
RECIPES = dict(re.findall(r"^## (.+?)\n(.*?)(?=^## |\Z)", (ROOT / "CONTRIBUTING.md").read_text("utf-8"), re.M | re.S))
BLOCK = re.compile(r"```python\n# (abe_rerank/\S+\.py)( \(add\))?\n(.*?)```", re.DOTALL)


@pytest.fixture
def follow(tmp_path):
    """Follow a recipe in a copy of the package, then run Python there on a program with arguments."""

    def run(recipe: str, *words: str) -> str:
        shutil.copytree(ROOT / "abe_rerank", tmp_path / "abe_rerank", ignore=shutil.ignore_patterns("builtin"))
        os.symlink(ROOT / "abe_rerank" / "builtin", tmp_path / "abe_rerank" / "builtin")
        os.symlink(ROOT / "prompts", tmp_path / "prompts")
        blocks = BLOCK.findall(RECIPES[recipe])
        assert len([path for path, adds, _ in blocks if not adds]) == 1, "a recipe adds one file"
        for path, adds, code in blocks:
            file = tmp_path / path
            assert file.is_file() == bool(adds)
            assert len(code.splitlines()) <= 20
            file.write_text((file.read_text("utf-8") + "\n" if adds else "") + code, encoding="utf-8")
        environment = os.environ | {"PYTHONPATH": str(tmp_path), "COLUMNS": "200"}
        done = subprocess.run([sys.executable, *words], cwd=tmp_path, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


def both(*commands: str) -> str:
    """A program that runs command lines of the package, one after the other; OUT is its first argument."""
    calls = "\n".join(f"call({command.split()!r})" for command in commands)
    return (
        "import sys\nfrom abe_rerank.cli.app import main\n"
        "def call(words):\n"
        "    try:\n        main([word.replace('OUT', sys.argv[1]) for word in words])\n"
        f"    except SystemExit as end:\n        assert not end.code, words\n{calls}"
    )


def test_every_recipe_is_followed_here():
    tests = [name for name in globals() if name.startswith("test_recipe_")]
    assert list(RECIPES) == [
        "A scorer",
        "A backbone family",
        "A format of prompt files",
        "A layout of images",
        "A section of the report",
    ]
    assert len(tests) == len(RECIPES)


def test_recipe_scorer(follow, tmp_path):
    from tiny_models import images

    for k, image in enumerate(images(2)):
        image.save(tmp_path / f"{k}.png")
    backbone = save_tiny("CLIPModel", tmp_path / "clip")
    score = f"score OUT/0.png OUT/1.png --prompt cube --scorer phrases --backbone {backbone} --device cpu"
    said = follow("A scorer", "-c", both("score --help", score), str(tmp_path))
    assert "phrases (mean of the objects' phrases)" in " ".join(said.split())
    assert "1.png" in said


def test_recipe_backbone_family(follow):
    program = """
import torch
from transformers import CLIPConfig, CLIPModel
from abe_rerank.backbones.families import reader_of, supported

class DistilCLIPModel(CLIPModel):
    pass

small = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4}
config = CLIPConfig(text_config=small, vision_config=small | {"image_size": 32, "patch_size": 8}, projection_dim=24)
model = DistilCLIPModel(config).eval()
reader = reader_of(model, "mine")
whole, (patches,) = reader.read_images(model, {"pixel_values": torch.zeros(1, 3, 32, 32)}, reader.readouts[:1])
print("DistilCLIPModel" in supported(), reader.readouts[0], tuple(whole.shape), tuple(patches.shape))
"""
    assert follow("A backbone family", "-c", program).strip() == "True last (1, 24) (1, 16, 24)"


def test_recipe_prompt_format(follow, tmp_path):
    (tmp_path / "list.txt").write_text("1. a red cube\n7. a blue ball\n")
    program = both("evaluate --help") + (
        "\nfrom abe_rerank.suites import load_prompts\nprint([(p.id, p.prompt) for p in load_prompts(sys.argv[2])])"
    )
    said = follow("A format of prompt files", "-c", program, "", str(tmp_path / "list.txt"))
    assert "numbered lists" in " ".join(said.split())
    assert said.splitlines()[-1] == "[('1', 'a red cube'), ('7', 'a blue ball')]"


def test_recipe_image_layout(follow, tmp_path):
    (tmp_path / "images" / "p1").mkdir(parents=True)
    (tmp_path / "images" / "p1" / "prompt.txt").write_text("a red cube\n")
    (tmp_path / "images" / "p1" / "b.png").write_bytes(b"")
    program = both("evaluate --help") + (
        "\nfrom pathlib import Path\nfrom abe_rerank.evaluation.layouts import find_images\n"
        "found = find_images(Path(sys.argv[2]))\n"
        "print([(p.id, p.prompt, f[0].name) for p, f in zip(found.prompts, found.files)])"
    )
    said = follow("A layout of images", "-c", program, "", str(tmp_path / "images"))
    assert "folders with prompt.txt" in " ".join(said.split())
    assert said.splitlines()[-1] == "[('p1', 'a red cube', 'b.png')]"


def test_recipe_report_section(follow, tmp_path):
    ranking = ranking_of("a red cube", values=(0.5, 0.2))
    report = report_of(ranking)
    (tmp_path / "run" / "candidates").mkdir(parents=True)
    for candidate, made in zip(report.candidates, ranking.candidates, strict=True):
        made.image.save(tmp_path / "run" / candidate.image)
    (tmp_path / "run" / "report.json").write_text(to_json(report), encoding="utf-8")
    follow("A section of the report", "-m", "abe_rerank", "report", str(tmp_path / "run"))
    page = (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    assert page.index("What picking gained") < page.index("The prompt has 3 words.") < page.index("How it was made")
