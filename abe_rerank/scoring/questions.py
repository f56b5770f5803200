"""The questions about a picture that a prompt asks: one for the whole, one for each of its atoms. No model.

VQAScore (arXiv 2404.01291) asks the whole; Soft-TIFA of GenEval 2 (arXiv 2512.16853), as TIFA and DSG before it, asks
for each object, attribute, count and relation. The wordings of atoms are ours.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, fields

from abe_rerank.parsing.lexicon import lemma
from abe_rerank.scoring.readings import competitors, values_of
from abe_rerank.types import Attribute, ObjectPhrase, PartKind, Spec

WHOLE = "Does this figure show '{prompt}'? Please answer yes or no."
"""As VQAScore asks."""

ONE_WORD = "{question} Answer in one word."
"""How a suite's own question is asked: its answer may be a number."""


@dataclass(frozen=True)
class Atom:
    """One question that a prompt asks of a picture, what kind of thing it is about, and the answer that is right."""

    kind: PartKind
    question: str
    answer: str = "yes"


@dataclass(frozen=True)
class AskedSpec(Spec):
    """What a prompt asks for, with the questions of a suite in place of our own: (kind, question, right answer)."""

    questions: tuple[tuple[PartKind, str, str], ...] = ()


def with_questions(spec: Spec, questions: tuple[tuple[PartKind, str, str], ...] | None) -> Spec:
    """The spec with a suite's questions; itself where the suite has none."""
    if questions is None:
        return spec
    own = {field.name: getattr(spec, field.name) for field in fields(Spec)}
    return AskedSpec(**own, questions=questions)


@dataclass(frozen=True)
class PairQuestions:
    """The questions about one attribute of an object: is the object there, has it the attribute, or a competitor's
    value. ``owners`` are the objects that the prompt gives the competitors to, ``instead`` asks for each of them."""

    object: ObjectPhrase
    attribute: Attribute
    presence: str
    asked: str
    competitors: tuple[str, ...]
    owners: tuple[str, ...]
    instead: tuple[str, ...]


def whole_question(prompt: str) -> str:
    """The question for the whole prompt."""
    return WHOLE.format(prompt=prompt)


def pair_questions(spec: Spec) -> tuple[PairQuestions, ...]:
    """The questions of each (attribute, object) pair, negated objects left out.

    Competitors are the values that the prompt gives to other objects; a value that nothing else has is asked alone.
    """
    things = [thing for thing in spec.objects if not thing.negated]
    kinds = Counter(lemma(thing.text.lower()) for thing in things)
    values = values_of(things)
    found = []
    for thing in things:
        twins = kinds[lemma(thing.text.lower())] > 1
        for attribute in thing.attributes:
            others = tuple(text for text, elsewhere in competitors(thing, values, attribute) if elsewhere)
            found.append(
                PairQuestions(
                    thing,
                    attribute,
                    presence(thing),
                    has(thing, attribute.text, twins),
                    others,
                    tuple(_owner(things, other) for other in others),
                    tuple(has(thing, other, twins) for other in others),
                )
            )
    return tuple(found)


def _owner(things: Sequence[ObjectPhrase], value: str) -> str:
    return next((thing.text for thing in things if value in {a.text for a in thing.attributes}), "")


def atoms(spec: Spec) -> tuple[Atom, ...]:
    """Every object, attribute, count and relation of a prompt as a question, each asked once; negated objects left out.

    A prompt without an object has no atoms. A suite's own questions take their place.
    """
    if isinstance(spec, AskedSpec):
        return tuple(Atom(kind, ONE_WORD.format(question=q), answer) for kind, q, answer in spec.questions)
    found = []
    for thing in spec.objects:
        if not thing.negated:
            found.append(Atom("object", presence(thing)))
            if thing.count is not None and thing.count.value > 1:
                found.append(Atom("count", f"Are there exactly {thing.count.value} {thing.text}?"))
    found += [Atom("attribute", pair.asked) for pair in pair_questions(spec)]
    for relation in spec.relations:
        subject, other = spec.objects[relation.subject], spec.objects[relation.object]
        if not subject.negated and not other.negated:
            found.append(Atom("relation", f"{_be(subject)} the {subject.text} {relation.text} the {other.text}?"))
    return tuple(dict.fromkeys(found))


def presence(thing: ObjectPhrase) -> str:
    """Whether the object is there at all, whatever it looks like."""
    if _plural(thing):
        return f"Are there {thing.text} in the picture?"
    return f"Is there {_article(thing.text)} {thing.text} in the picture?"


def has(thing: ObjectPhrase, value: str, twins: bool) -> str:
    """Whether the object has a value; where another of its kind is there, whether there is one that has it."""
    if not twins:
        return f"{_be(thing)} the {thing.text} {value}?"
    if _plural(thing):
        return f"Are there {value} {thing.text} in the picture?"
    return f"Is there {_article(value)} {value} {thing.text} in the picture?"


def _plural(thing: ObjectPhrase) -> bool:
    if thing.count is not None:
        return thing.count.value != 1
    return lemma(thing.text.lower()) != thing.text.lower()


def _be(thing: ObjectPhrase) -> str:
    return "Are" if _plural(thing) else "Is"


def _article(word: str) -> str:
    return "an" if word[:1].lower() in "aeiou" else "a"
