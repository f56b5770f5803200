"""The wheel: what is in it, and that it works where there is no checkout."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    """A wheel built from this tree."""
    builder = pytest.importorskip("hatchling.builders.wheel", reason="hatchling is not installed (extra: test)")
    folder = tmp_path_factory.mktemp("wheel")
    return Path(next(builder.WheelBuilder(str(ROOT)).build(directory=str(folder), versions=["standard"])))


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    """Run Python on the unpacked wheel, in a folder that is no checkout."""
    place = tmp_path_factory.mktemp("site")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(place)

    def run(*words: str) -> str:
        environment = os.environ | {"PYTHONPATH": str(place)}
        done = subprocess.run(
            [sys.executable, *words], cwd=place.parent, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


def test_the_wheel_holds_code_data_and_models(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    wanted = [p.relative_to(ROOT).as_posix() for p in (ROOT / "abe_rerank").rglob("*") if p.is_file()]
    wanted = [name for name in wanted if "__pycache__" not in name and not name.endswith(".pyc")]
    wanted += [
        f"abe_rerank/{p.relative_to(ROOT).as_posix()}" for d in ("prompts", "pipelines") for p in (ROOT / d).glob("*.*")
    ]
    assert sorted(set(wanted) - names) == []
    assert "abe_rerank/py.typed" in names
    assert "abe_rerank/prompts/shapes.jsonl" in names
    assert "abe_rerank/pipelines/abe_best_of_n.py" in names
    assert any(name.endswith("licenses/LICENSE") for name in names)
    assert any(name.endswith("entry_points.txt") for name in names)
    assert not any(name.startswith("tests") for name in names)


def test_the_wheel_parses_and_finds_its_data_outside_the_checkout(installed):
    parsed = json.loads(installed("-m", "abe_rerank", "parse", "a yellow cylinder and a red cube", "--json"))
    assert parsed["pairs"] == [["yellow", "cylinder"], ["red", "cube"]]
    code = (
        "from abe_rerank.suites import load_prompts\n"
        "from abe_rerank.files import data_folder\n"
        "print(len(load_prompts('shapes:colour-2')), (data_folder('pipelines') / 'abe_best_of_n.py').is_file())"
    )
    assert installed("-c", code).split() == ["300", "True"]


def test_importing_the_package_imports_no_heavy_library(installed):
    code = "import sys, abe_rerank; print(sorted({'torch', 'diffusers', 'spacy', 'numpy'} & set(sys.modules)))"
    assert installed("-c", code).strip() == "[]"


def test_public_names_are_there_and_typed():
    import abe_rerank

    for name in abe_rerank.__all__:
        assert getattr(abe_rerank, name) is not None
    with pytest.raises(AttributeError):
        _ = abe_rerank.nothing
