"""The values that travel through the walk over a prompt: what the sentence and the text have said so far, what a step
sees, and what it gives back.
"""

from __future__ import annotations

from typing import NamedTuple

from abe_rerank.parsing.clauses import Item
from abe_rerank.parsing.edits import Edits
from abe_rerank.parsing.phrases import Phrase
from abe_rerank.parsing.scene import Scene
from abe_rerank.parsing.tags import STOP, Tag
from abe_rerank.parsing.words import Word
from abe_rerank.types import Kind

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
