"""The wheel: what is in it, and that it works where there is no checkout."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest
import test_house

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


SHEET = "abe_rerank/builtin/text-to-image/drawn.jpg"
"""Pictures for those who read the model's README in the checkout."""
OUT_OF_THE_WHEEL = tuple(f"abe_rerank/{room.replace('.', '/')}/" for room in test_house.OUT_OF_THE_WHEEL)


def test_the_wheel_holds_code_data_and_models(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    wanted = [p.relative_to(ROOT).as_posix() for p in (ROOT / "abe_rerank").rglob("*") if p.is_file()]
    wanted = [name for name in wanted if "__pycache__" not in name and not name.endswith(".pyc")]
    wanted += [
        f"abe_rerank/{p.relative_to(ROOT).as_posix()}" for d in ("prompts", "pipelines") for p in (ROOT / d).glob("*.*")
    ]
    assert sorted(name for name in set(wanted) - names if not name.startswith((SHEET, *OUT_OF_THE_WHEEL))) == []
    assert "abe_rerank/py.typed" in names
    assert "abe_rerank/prompts/shapes.jsonl" in names
    assert "abe_rerank/pipelines/abe_best_of_n.py" in names
    assert any(name.endswith("licenses/LICENSE") for name in names)
    assert any(name.endswith("entry_points.txt") for name in names)
    assert not any(name.startswith("tests") for name in names)


def test_what_makes_models_and_suites_and_what_needs_a_checkout_is_in_the_sources_alone(wheel, tmp_path):
    from hatchling.builders.sdist import SdistBuilder

    with zipfile.ZipFile(wheel) as archive:
        assert [name for name in archive.namelist() if name.startswith(OUT_OF_THE_WHEEL)] == []
        assert len([name for name in archive.namelist() if name.endswith(".py")]) <= 210
    sources = next(SdistBuilder(str(ROOT)).build(directory=str(tmp_path), versions=["standard"]))
    with tarfile.open(sources) as archive:
        inside = {name.partition("/")[2] for name in archive.getnames()}
    for room in OUT_OF_THE_WHEEL:
        assert f"{room}__init__.py" in inside
    assert {"CONTRIBUTING.md", "README.md", "pyproject.toml", "tests/test_packaging.py"} <= inside


def test_every_import_of_the_wheel_is_answered_by_the_wheel(installed):
    """Those in functions too, which run only when a command does."""
    guarded = sorted(test_house.GUARDED)
    found = installed("-c", IMPORTS, *guarded)
    assert found.splitlines()[-1] == "missing: []"


IMPORTS = """
import ast, importlib, pkgutil, sys
from pathlib import Path
import abe_rerank

missing = []
for module in pkgutil.walk_packages(abe_rerank.__path__, "abe_rerank."):
    if module.name.endswith("__main__") or module.name.startswith("abe_rerank.pipelines"):
        continue
    path = Path(importlib.import_module(module.name).__file__)
    if module.name.removeprefix("abe_rerank.") in sys.argv[1:]:
        continue
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            node.body = []
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("abe_rerank"):
            try:
                source = importlib.import_module(node.module)
                for alias in node.names:
                    if not hasattr(source, alias.name):
                        importlib.import_module(f"{node.module}.{alias.name}")
            except ImportError as error:
                missing.append(f"{module.name}: {error}")
print("missing:", missing)
"""


def test_every_command_of_the_wheel_has_its_help_and_runs(installed, tmp_path):
    """One process: what is offered, help for each, then each that needs no more than the built-in models."""
    said = installed("-c", COMMANDS, str(tmp_path))
    offered = json.loads(said.splitlines()[0])
    assert {"benchmark", "evaluate", "generate", "parse", "report", "score", "show", "tune"} <= set(offered)
    assert "benchmark binding" in offered
    assert not {"benchmark parser", "benchmark oracle", "benchmark backbone"} & set(offered)
    codes = json.loads(said.splitlines()[-1])
    assert {words: code for words, code in codes.items() if code} == {"benchmark binding --scenes-from flat": 2}
    assert (tmp_path / "run" / "report.html").is_file()
    assert (tmp_path / "evaluated" / "report.html").is_file()


COMMANDS = """
import json, sys
from typer.main import get_command
from abe_rerank.cli.app import app, main

def names(command, before=()):
    for name, inner in command.commands.items():
        yield " ".join((*before, name))
        if hasattr(inner, "commands"):
            yield from names(inner, (*before, name))

def run(*words):
    try:
        main([word.replace("OUT", sys.argv[1]) for word in words])
    except SystemExit as end:
        codes[" ".join(words)] = end.code or 0

codes = {}
offered = list(names(get_command(app)))
print(json.dumps(offered))
for name in offered:
    run(*name.split(), "--help")
run("parse", "a red cube")
run("generate", "a red cube", "--n", "1", "--steps", "1", "--out", "OUT/run")
run("report", "OUT/run")
run("show", "OUT/run", "--plain")
run("score", "OUT/run/best.png", "--prompt", "a red cube")
run("evaluate", "--suite", "shapes:colour-2", "--limit", "1", "--n", "1", "--steps", "1", "--out", "OUT/evaluated")
run("summarize", "OUT/evaluated")
run("compare", "OUT/evaluated", "OUT/evaluated")
run("benchmark", "binding", "--scenes-from", "flat")
print(json.dumps(codes))
"""


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
