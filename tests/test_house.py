"""The house: imports go one way, names are clear, files stay small. The order of the rooms stands here, once."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest
from typer.main import get_command

from abe_rerank.cli.app import app

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
    {"errors", "files", "images", "recipes", "types"},
)
"""From the roof to the ground: a room imports rooms of its own floor and of those below, and none above."""

FLOOR = {room: floor for floor, rooms in enumerate(ORDER) for room in rooms}
OUT_OF_THE_WHEEL = ("benchmarks.checkout", "shapes.foreign", "shapes.training", "suites.generators")
"""What makes the package's own models and suites, and the measurements that need a checkout: pyproject.toml leaves it
out of the wheel. The house does without it, except where GUARDED looks whether it is there."""
GUARDED = {"benchmarks.scene_sources", "cli.benchmark"}
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


def is_shipped(module: str) -> bool:
    """Whether it is in the wheel; the rest stands outside of the house."""
    return not module.startswith(OUT_OF_THE_WHEEL)


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
    if not is_shipped(module) or room_of(module) == FACE:
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
    shipped = [path for path in modules() if is_shipped(name_of(path))]
    assert [name_of(path) for path in shipped if len(path.read_text(encoding="utf-8").splitlines()) > 300] == []
    assert len([path for path in shipped if path.parent == PACKAGE]) <= 8
    assert len(shipped) <= 210


def test_what_ships_does_without_what_does_not():
    shipped = [path for path in modules() if is_shipped(name_of(path)) and name_of(path) not in GUARDED]
    assert [name_of(path) for path in shipped if not all(map(is_shipped, imports_of(path)))] == []


ALIKE = {
    "__init__": "every package has one",
    "__main__": "every program has one",
    "clip": "the scorer, the family of models, and the training of one are each named as the kind that they are one of",
    "protocol": "says what a kind of thing is, in the room of that kind",
    "registry": "lists the kind of thing that its room is about",
    "plan": "what will be done before it is done: of an evaluation, of a binding",
    "loading": "loads models: for a command in cli, of a backbone in backbones",
}
"""Names that several rooms have, with the reason why nobody takes one for another. A command in ``cli`` may be called
like the room it opens."""


def test_no_two_modules_of_the_same_name_mean_different_things():
    commands = get_command(app).commands
    words = set(commands) | {word for group in commands.values() for word in getattr(group, "commands", {})}
    inside = [path for path in modules() if path.parent != PACKAGE / "cli"]
    named = [path.parent.name if path.stem == "__init__" else path.stem for path in inside]
    named += {path.stem for path in (PACKAGE / "cli").glob("*.py")} - words - {"__init__"}
    assert {name for name, count in Counter(named).items() if count > 1} - set(ALIKE) == set()
