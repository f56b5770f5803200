"""What a step of the plan asks to be written into the scene: small frozen values, applied in order."""

from __future__ import annotations

from typing import NamedTuple

from abe_rerank.parsing.scene import Role, Scene, Thing, Value
from abe_rerank.types import Kind


class Add(NamedTuple):
    """A new thing; a twin shares the noun of the last one."""

    thing: Thing
    twin: bool = False

    def on(self, scene: Scene) -> None:
        """Write it into the scene."""
        if self.twin:
            scene.add_twin(self.thing)
        else:
            scene.add(self.thing)


class Bind(NamedTuple):
    """A word as an attribute of things; its kind follows from the word unless it is given."""

    targets: tuple[int, ...]
    at: int
    kind: Kind | None = None

    def on(self, scene: Scene) -> None:
        """Write it into the scene."""
        scene.bind(self.targets, self.at, self.kind)


class Attach(NamedTuple):
    """Words as one attribute of things, whatever they are."""

    targets: tuple[int, ...]
    value: Value

    def on(self, scene: Scene) -> None:
        """Write it into the scene."""
        scene.attach(self.targets, self.value)


class Detach(NamedTuple):
    """Take attributes, by their last words, away from a thing again."""

    thing: int
    words: frozenset[int]

    def on(self, scene: Scene) -> None:
        """Write it into the scene."""
        scene.detach(self.thing, self.words)


class Place(NamedTuple):
    """A thing's role in its sentence."""

    thing: int
    role: Role
    negated: bool

    def on(self, scene: Scene) -> None:
        """Write it into the scene."""
        scene.place(self.thing, self.role, self.negated)


class Relate(NamedTuple):
    """A word that relates one thing to another."""

    subject: int
    at: int
    target: int

    def on(self, scene: Scene) -> None:
        """Write it into the scene."""
        scene.relate(self.subject, self.at, self.target)


class Ignore(NamedTuple):
    """Words ``[start, end)`` that are not bound, and why."""

    start: int
    end: int
    reason: str

    def on(self, scene: Scene) -> None:
        """Write it into the scene."""
        scene.ignore(self.start, self.end, self.reason)


Edit = Add | Bind | Attach | Detach | Place | Relate | Ignore
Edits = tuple[Edit, ...]


def apply(scene: Scene, edits: Edits) -> None:
    """Write the edits of one step into the scene, in their order."""
    for edit in edits:
        edit.on(scene)
