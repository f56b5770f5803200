"""The things that prompts speak of, and the attributes that each can plausibly have: ``data/things.txt``."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Literal

from abe_rerank.parsing.lexicon import plural

Aspect = Literal["size", "texture", "shape", "colour", "pattern", "material"]
"""A kind of attribute as the suites divide them; listed in the order in which English puts them before a noun."""

ASPECTS: tuple[Aspect, ...] = ("size", "texture", "shape", "colour", "pattern", "material")
_KEYS: dict[str, Aspect] = {
    "z": "size",
    "t": "texture",
    "s": "shape",
    "c": "colour",
    "p": "pattern",
    "m": "material",
}


@dataclass(frozen=True)
class Thing:
    """A thing with its plural, the verb of its posture ("stand") and the values of each aspect it can have."""

    name: str
    plural: str
    always_plural: bool
    posture: str
    values: dict[Aspect, tuple[str, ...]]

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True)
class Stage:
    """Places and the things that may stand there together."""

    name: str
    places: tuple[str, ...]
    things: tuple[Thing, ...]

    def __str__(self) -> str:
        return self.name


def lines_of(name: str) -> list[str]:
    """The lines of a data file without comments and empty ones."""
    text = files("abe_rerank.suites.generators.binding_prompts").joinpath("data", name).read_text(encoding="utf-8")
    return [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("# ")]


@cache
def sections_of(name: str) -> dict[str, list[str]]:
    """The lines of a data file by their "[section]"; what follows the bracket is the first line."""
    sections: dict[str, list[str]] = {}
    title = ""
    for line in lines_of(name):
        if line.startswith("["):
            title, _, rest = line[1:].partition("]")
            sections[title] = [rest.strip()] if rest.strip() else []
        else:
            sections[title].append(line)
    return sections


@cache
def things() -> dict[str, Thing]:
    """All things by name."""
    palettes: dict[str, str] = {}
    found: dict[str, Thing] = {}
    for line in lines_of("things.txt"):
        if line.startswith("@"):
            name, _, values = line.partition(" = ")
            palettes[name] = values
            continue
        key, *fields = line.split()
        key = key.removeprefix("!").replace("_", " ")
        if key in found:
            raise ValueError(f"things.txt has {key} twice")
        found[key] = _thing(key.partition(" (")[0], line.startswith("!"), fields, palettes)
    return found


def _thing(name: str, many: bool, words: list[str], palettes: dict[str, str]) -> Thing:
    fields = dict(word.split("=") for word in words[1:])
    values = {
        aspect: tuple(value.replace("_", " ") for value in palettes.get(fields[key], fields[key]).split(","))
        for key, aspect in _KEYS.items()
        if key in fields
    }
    return Thing(name, name if many else fields.get("pl", plural(name)), many, words[0], values)


@cache
def stages() -> dict[str, Stage]:
    """All stages by name."""
    found = {}
    for name, (places, *names) in sections_of("stages.txt").items():
        members = tuple(things()[part.strip()] for part in " ".join(names).split(",") if part.strip())
        found[name] = Stage(name, tuple(place.strip() for place in places.split(" / ")), members)
    return found
