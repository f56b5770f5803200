"""What is read of a prompt so far: things with their attributes, relations between them, and why words were ignored.

A scene only grows by its own methods, which :mod:`abe_rerank.parsing.edits` calls.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Literal, NamedTuple

from abe_rerank.parsing.lexicon import kind_marker, kind_of, lemma
from abe_rerank.parsing.phrases import Phrase, number_value
from abe_rerank.parsing.scene_words import IRREGULAR_PARTICIPLES, ORDERED, STYLE_WORDS, UNBOUND
from abe_rerank.parsing.tags import (
    ADVERB,
    DETERMINER,
    FOREIGN,
    NOT,
    NUMBER,
    PREPOSITION,
    PUNCTUATION,
    QUOTED,
    TO,
    Tag,
    tags,
)
from abe_rerank.parsing.typed import ALTERNATIVE, Typed
from abe_rerank.parsing.words import Word
from abe_rerank.types import Attribute, Count, Ignored, Kind, ObjectPhrase, Relation, Spec

Role = Literal["subject", "object", "joined"]
"""Of a thing: the subject, the object of a preposition or verb, or coordinated with such an object."""

_REMEMBERED = 16
_DEFINITE = frozenset(["the", "this", "that", "these", "those", "its", "their", "his", "her", "both", "each", "every"])


class Thing(NamedTuple):
    """An object. ``[head, end)`` are the words of its head, ``start`` is the first of its phrase, ``counted`` the
    word of its number.
    """

    head: int
    end: int
    start: int
    counted: int | None = None
    negated: bool = False
    role: Role = "subject"


class Value(NamedTuple):
    """An attribute of a thing: its first and last word, and its kind."""

    first: int
    last: int
    kind: Kind


class Related(NamedTuple):
    """Two things, by number, and the word that relates them."""

    subject: int
    at: int
    target: int


def differing_places(words: list[Word], first: int, second: int) -> bool:
    """Are the places that are named from two words on different: "on the left", "on the right"?"""
    here, there = _place_from(words, first), _place_from(words, second)
    return here is not None and there is not None and here != there


def _place_from(words: list[Word], at: int) -> str | None:
    """The side of the picture, or of another thing, that a preposition at a word leads to."""
    near = words[at : at + 3]
    if not near or near[0].tag != PREPOSITION:
        return None
    return next((part for word in near for part in word.low.split() if part in ORDERED), None)


class Scene:
    """The things of one prompt, by number; ``order`` is their order in the prompt."""

    def __init__(self, words: list[Word]) -> None:
        self.words = words
        self.things: list[Thing] = []
        self.values: list[dict[tuple[int, int], Value]] = []  # of each thing, by their words
        self.order: list[int] = []
        self.relations: list[Related] = []
        self.reasons: dict[int, str] = {}
        self._by_head: dict[str, deque[int]] = {}  # the latest things by the lemma of their head's last word

    def add(self, thing: Thing) -> int:
        """A new thing, the last of the scene; its number."""
        number = self._append(thing)
        self.order.append(number)
        self._by_head.setdefault(self._head(thing.end), deque(maxlen=_REMEMBERED)).append(number)
        return number

    def add_twin(self, thing: Thing) -> int:
        """A new thing that shares the last one's noun and stands before it."""
        number = self._append(thing)
        self.order.insert(len(self.order) - 1, number)
        return number

    def _append(self, thing: Thing) -> int:
        self.things.append(thing)
        self.values.append({})
        return len(self.things) - 1

    def place(self, number: int, role: Role, negated: bool) -> None:
        """Give a thing its role in the sentence."""
        self.things[number] = self.things[number]._replace(role=role, negated=negated)

    def ignore(self, start: int, end: int, reason: str) -> None:
        """Say why the words ``[start, end)`` are not bound."""
        self.reasons.update(dict.fromkeys(range(start, end), reason))

    def bind(self, targets: Iterable[int], at: int, kind: Kind | None = None) -> None:
        """Give the word at ``at`` as an attribute to every target; words of style or order are ignored instead."""
        low = self.words[at].low
        if low in STYLE_WORDS:
            self.reasons[at] = "style"
        elif low in UNBOUND:
            self.reasons[at] = "not an attribute"
        elif not targets:
            self.reasons[at] = "no object"
        if at not in self.reasons:
            self.attach(targets, Value(self._with_adverb(at), at, kind or kind_of(low)))

    def attach(self, targets: Iterable[int], value: Value) -> None:
        """Add an attribute to every target, once."""
        for number in targets:
            self.values[number].setdefault((value.first, value.last), value)

    def detach(self, number: int, words: Iterable[int]) -> None:
        """Take the attributes that end at one of the words away from a thing."""
        for key in [key for key in self.values[number] if key[1] in words]:
            del self.values[number][key]

    def relate(self, subject: int, at: int, target: int) -> None:
        """Record that the word at ``at`` relates two different things."""
        if subject != target:
            self.relations.append(Related(subject, at, target))

    def mentioned(self, phrase: Phrase) -> int | None:
        """The earlier thing that a definite phrase mentions again, None for a new one."""
        words = self.words
        if phrase.determiner is None or words[phrase.determiner].low not in _DEFINITE:
            return None
        asked = {low for k in phrase.modifiers if (low := words[k].low) not in STYLE_WORDS and low not in UNBOUND}
        for number in reversed(self._by_head.get(self._head(phrase.end), ())):
            if asked <= {words[last].low for _, last in self.values[number]} and not self._elsewhere(phrase, number):
                return number
        return None

    def _elsewhere(self, phrase: Phrase, number: int) -> bool:
        """Is a phrase told from a thing by where each is: "the left car is red and the right car is blue"?"""
        thing = self.things[number]
        here, there = (
            {self.words[k].low for k in range(start, head)} & ORDERED
            for start, head in ((phrase.start, phrase.head), (thing.start, thing.head))
        )
        return (bool(here and there) and here != there) or differing_places(self.words, phrase.end, thing.end)

    def _head(self, end: int) -> str:
        return lemma(self.words[end - 1].low).rpartition(" ")[2]

    def _with_adverb(self, at: int) -> int:
        """The first word of an attribute: a participle takes its adverb along ("brightly coloured")."""
        before = self.words[at - 1] if at else None
        low = self.words[at].low
        participle = (low.endswith(("ed", "ing")) or low in IRREGULAR_PARTICIPLES) and kind_marker(low) is None
        takes = participle and before is not None and before.tag == ADVERB and before.low.endswith("ly")
        return at - 1 if takes else at


_REASONS: dict[Tag | None, str] = {
    **dict.fromkeys(tags("VBHMGE"), "verb"),
    **dict.fromkeys(tags("CS"), "conjunction"),
    **dict.fromkeys(tags("OW"), "pronoun"),
    **dict.fromkeys(tags("JN"), "no object"),
    DETERMINER: "determiner",
    PREPOSITION: "preposition",
    ADVERB: "adverb",
    TO: "function word",
    NOT: "negation",
    QUOTED: "quoted text",
    FOREIGN: "not English",
    NUMBER: "number",
}


def spec_of(typed: Typed, scene: Scene) -> Spec:
    """The Spec of a scene, with every other word of the prompt as ignored and why; its words are those of the text
    as read, its spans those of the prompt as typed.
    """
    words = scene.words
    place = {number: k for k, number in enumerate(scene.order)}
    used: set[int] = set()
    objects = tuple(_object(typed, words, scene.things[k], scene.values[k], used) for k in scene.order)
    relations = []
    for subject, at, target in scene.relations:
        word = words[at]
        used.add(at)
        relations.append(Relation(place[subject], *typed.part(word.start, word.end), place[target]))
    ignored = tuple(
        Ignored(*typed.part(word.start, word.end), scene.reasons.get(at) or _REASONS.get(word.tag, "other"))
        for at, word in enumerate(words)
        if at not in used and word.tag not in PUNCTUATION and word.text != ALTERNATIVE
    )
    return Spec(typed.prompt, objects, tuple(relations), ignored)


def _object(
    typed: Typed, words: list[Word], thing: Thing, values: dict[tuple[int, int], Value], used: set[int]
) -> ObjectPhrase:
    text, span = typed.part(words[thing.head].start, words[thing.end - 1].end)
    used.update(range(thing.head, thing.end))
    attributes = []
    for first, last, kind in sorted(values.values()):
        start, end = words[first].start, words[last].end
        marker = kind_marker(typed.text[start:end].lower())
        if marker:  # "heart-shaped": the value is "heart"
            end = start + len(marker[0])
        attributes.append(Attribute(*typed.part(start, end), kind))
        used.update(range(first, last + 1))
    count = None
    if thing.counted is not None:
        word = words[thing.counted]
        value = number_value(word)
        if value is not None:
            count = Count(*typed.part(word.start, word.end), value)
            used.add(thing.counted)
    phrase_start = typed.part(words[thing.start].start, words[thing.start].end)[1][0]
    return ObjectPhrase(text, span, (phrase_start, span[1]), tuple(attributes), count, thing.negated)
