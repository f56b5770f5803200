"""The state of a reading and the steps of its plan: small frozen values, and how a step is written into the scene."""

from __future__ import annotations

from typing import NamedTuple

from abe_rerank.parsing.phrases import Item, Phrase
from abe_rerank.parsing.scene import Role, Scene, Thing, Value
from abe_rerank.parsing.tags import STOP, Tag
from abe_rerank.parsing.words import Word
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


Things = tuple[int, ...]
"""Things of the scene, by number."""


class Clause(NamedTuple):
    """What the current sentence has said so far; a new sentence starts with an empty one."""

    subject: Things = ()
    since_verb: Things = ()
    """The things since the last finite verb: candidates for the next subject."""
    verb_seen: bool = False
    copula: Things = ()
    """What an adjective without a noun describes now ("the cube is ...")."""
    only_colours: bool = False
    """The copula is an ordinary verb, which only colours follow ("shines green")."""
    predicates: tuple[int, ...] = ()
    """The adjectives of the last verb, for "respectively"."""
    described: Things = ()
    """Whose colour is meant by "its colour is red"."""
    elliptic: tuple[Phrase, ...] = ()
    """Phrases that share the noun of a later one ("a red" of "a red and a blue ball")."""
    fronted: tuple[int, int] | None = None
    """A preposition and its thing before the subject ("on the table is a cup")."""
    link: Item | None = None
    """The preposition, verb or participle before the next phrase."""
    negate: bool = False


class Talk(NamedTuple):
    """What lasts beyond a sentence, and what the next noun phrase has to know."""

    topic: Things = ()
    """What "it" and "they" mean."""
    last: int | None = None
    framed: bool = False
    """The prompt has named the picture ("a photo of")."""
    owner: int | None = None
    """The woman of "a woman's dress"."""
    property_of: bool = False
    """ "The colour of" has been read."""
    coming: tuple[tuple[int, Kind], ...] = ()
    """Values of the thing to come ("the soft texture of")."""
    substance: Things = ()
    """What "made of" speaks of, for "of wood and glass"."""

    @property
    def lasts(self) -> Things:
        """The last thing, or nothing."""
        return () if self.last is None else (self.last,)


class Step(NamedTuple):
    """What one item of the prompt changes."""

    clause: Clause
    talk: Talk
    edits: Edits = ()


class View(NamedTuple):
    """What a step may read: the item at ``at`` among all others, what was said before, and the scene so far."""

    words: list[Word]
    items: list[Item]
    scene: Scene
    at: int
    clause: Clause
    talk: Talk

    def low(self, by: int) -> str:
        """The lower-case first word of the item ``by`` items from here, "" beyond the ends."""
        at = self.at + by
        return self.words[self.items[at].at].low if 0 <= at < len(self.items) else ""

    def tag(self, by: int) -> Tag:
        """The tag of the item ``by`` items from here, ``STOP`` beyond the ends."""
        at = self.at + by
        return self.items[at].tag if 0 <= at < len(self.items) else STOP

    @property
    def link_low(self) -> str:
        """The linking word before the current phrase, "" if there is none."""
        link = self.clause.link
        return "" if link is None else self.words[link.at].low
