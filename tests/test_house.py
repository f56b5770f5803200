"""The house: imports go one way, files stay small, the wheel holds what a user calls. The order stands here, once."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "abe_rerank"

ORDER = (
    {"__init__", "__main__"},
    {"cli"},
    {"benchmarks", "integrations", "report"},
    {"evaluation"},
    {"runs"},
    {"reranker"},
    {"drawing", "scoring"},
    {"backbones", "suites"},
    {"builtin", "parsing", "shapes"},
    {"errors", "files", "images", "text", "types"},
)
"""From the roof to the ground: a room imports rooms of its own floor and of those below, and none above."""

FLOOR = {room: floor for floor, rooms in enumerate(ORDER) for room in rooms}
FACE = "__init__"
"""The package's own name, from which only its version is taken."""


def modules() -> Iterator[Path]:
    return (path for path in sorted(PACKAGE.rglob("*.py")))


def name_of(path: Path) -> str:
    """``parsing.parser`` of ``abe_rerank/parsing/parser.py``; a package is called by its folder."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts)


def room_of(module: str) -> str:
    return module.split(".")[0]


def is_training(module: str) -> bool:
    """What makes the package's own data and models stands outside of the house: it is not in the wheel."""
    return module.startswith(("shapes.training", "suites.generators"))


def imports_of(path: Path) -> Iterator[str]:
    """The modules of the package that a file imports, wherever in the file; those for type checkers too."""
    known = {name_of(module) for module in modules()}
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "abe_rerank":
            inside = node.module.removeprefix("abe_rerank").removeprefix(".")
            for alias in node.names:
                whole = f"{inside}.{alias.name}".removeprefix(".")
                yield whole if whole in known else inside or FACE
        elif isinstance(node, ast.Import):
            yield from (a.name.removeprefix("abe_rerank.") for a in node.names if a.name.startswith("abe_rerank."))


def test_every_room_has_its_floor():
    rooms = {room_of(name_of(path)) for path in modules()}
    assert rooms == set(FLOOR)


@pytest.mark.parametrize("path", list(modules()), ids=name_of)
def test_no_room_imports_one_above_it(path):
    module = name_of(path)
    if is_training(module) or room_of(module) == FACE:
        return
    above = [other for other in imports_of(path) if FLOOR[room_of(other)] < FLOOR[room_of(module)] and other != FACE]
    assert above == []


def test_no_circle_of_modules():
    graph = {name_of(path): {m for m in imports_of(path) if m not in (FACE, name_of(path))} for path in modules()}
    try:
        list(TopologicalSorter(graph).static_order())
    except CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))


def test_the_wheel_is_no_larger_than_a_reader_can_hold():
    shipped = [path for path in modules() if not is_training(name_of(path))]
    assert [name_of(path) for path in shipped if len(path.read_text(encoding="utf-8").splitlines()) > 300] == []
    assert len([path for path in shipped if path.parent == PACKAGE]) <= 8
