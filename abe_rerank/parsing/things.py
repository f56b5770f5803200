"""What the walk over a prompt collects: things with their attributes, relations between them, and why words were
ignored.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from abe_rerank.parsing.closed_class import IRREGULAR_PARTICIPLES
from abe_rerank.parsing.lexicon import kind_marker, kind_of, lemma
from abe_rerank.parsing.phrases import Phrase, negated, number_value
from abe_rerank.parsing.scene_words import STYLE_WORDS, UNBOUND
from abe_rerank.parsing.words import Word
from abe_rerank.types import Kind

_REMEMBERED = 16
_DEFINITE = frozenset(["the", "this", "that", "these", "those", "its", "their", "his", "her", "both", "each", "every"])


@dataclass(eq=False)
class Thing:
    """An object being collected. ``[head, end)`` are the words of its head, ``start`` is the first of its phrase.

    ``attributes`` are (first word, last word, kind); ``role`` is "subject", "object" (of a preposition or verb)
    or "joined" (coordinated with an object).
    """

    head: int
    end: int
    start: int
    attributes: list[tuple[int, int, Kind]] = field(default_factory=list)
    count: int | None = None
    negated: bool = False
    role: str = "subject"
    known: set[tuple[int, int]] = field(default_factory=set)

    def add(self, first: int, last: int, kind: Kind) -> None:
        """Add an attribute once."""
        if (first, last) not in self.known:
            self.known.add((first, last))
            self.attributes.append((first, last, kind))


class Scene:
    """The things of one prompt in order, their relations, and the reasons for ignored words."""

    def __init__(self, words: list[Word]) -> None:
        self.words = words
        self.things: list[Thing] = []
        self.relations: list[tuple[Thing, int, Thing]] = []
        self.reasons: dict[int, str] = {}
        self.by_head: dict[str, deque[Thing]] = {}  # the latest things by the lemma of their head's last word

    def ignore(self, start: int, end: int, reason: str) -> None:
        """Say why the words ``[start, end)`` are not bound."""
        self.reasons.update(dict.fromkeys(range(start, end), reason))

    def bind(self, targets: list[Thing], at: int, kind: Kind | None = None) -> None:
        """Give the word at ``at`` as an attribute to every target; words of style or order are ignored instead."""
        low = self.words[at].low
        if low in STYLE_WORDS:
            self.reasons[at] = "style"
        elif low in UNBOUND:
            self.reasons[at] = "not an attribute"
        elif not targets:
            self.reasons[at] = "no object"
        for thing in targets if at not in self.reasons else []:
            thing.add(self._with_adverb(at), at, kind or kind_of(low))

    def _with_adverb(self, at: int) -> int:
        """The first word of an attribute: a participle takes its adverb along ("brightly coloured")."""
        before = self.words[at - 1] if at else None
        low = self.words[at].low
        participle = (low.endswith(("ed", "ing")) or low in IRREGULAR_PARTICIPLES) and kind_marker(low) is None
        takes = participle and before is not None and before.tag == "R" and before.low.endswith("ly")
        return at - 1 if takes else at

    def add(self, phrase: Phrase) -> Thing:
        """The thing of a noun phrase: a new one, or the earlier one that a definite phrase mentions again."""
        thing = Thing(phrase.head, phrase.end, phrase.start, negated=negated(self.words, phrase))
        if phrase.number is not None and number_value(self.words[phrase.number]) is not None:
            thing.count = phrase.number
        for k in phrase.modifiers:
            self.bind([thing], k)
        earlier = self._mentioned(phrase, thing)
        if earlier is not None:
            self.ignore(phrase.start, phrase.end, "mentioned before")
            return earlier
        self.things.append(thing)
        self.by_head.setdefault(self._head(thing), deque(maxlen=_REMEMBERED)).append(thing)
        return thing

    def _head(self, thing: Thing) -> str:
        return lemma(self.words[thing.end - 1].low).rpartition(" ")[2]

    def _mentioned(self, phrase: Phrase, thing: Thing) -> Thing | None:
        words = self.words
        if phrase.determiner is None or words[phrase.determiner].low not in _DEFINITE:
            return None
        values = {words[last].low for _, last, _ in thing.attributes}
        for other in reversed(self.by_head.get(self._head(thing), ())):
            if values <= {words[k].low for _, k, _ in other.attributes}:
                return other
        return None

    def relate(self, subject: Thing | None, at: int, target: Thing) -> None:
        """Record that the word at ``at`` relates two different things."""
        if subject is not None and subject is not target:
            self.relations.append((subject, at, target))
