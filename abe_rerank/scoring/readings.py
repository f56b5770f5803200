"""What is asked of the text encoder for a prompt: the phrase of each object, pair and competitor. No tensors.

ABE-CLIP's Semantic Refinement (arXiv 2512.17178, abstract) refines the token embeddings of object and attribute phrases
against attribute confusion. Reading each attribute in an isolated phrase, where no other object's attribute can leak
in, and which competitors there are, is our reading (methods.md section 1).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from typing import Literal

from abe_rerank.parsing.lexicon import lemma
from abe_rerank.types import Attribute, Kind, ObjectPhrase, Relation, Span, Spec

RegionQuery = Literal["object", "phrase", "any"]

BASIC_VALUES: dict[Kind, tuple[str, ...]] = {
    "colour": (
        *("red", "green", "blue", "yellow", "purple", "orange"),
        *("cyan", "white", "pink", "brown", "black", "gray"),
    ),
    "shape": ("round", "square", "triangular", "oval", "rectangular"),
    "size": ("small", "large"),
    "material": ("wooden", "metal", "plastic", "glass", "leather", "stone"),
    "texture": ("striped", "dotted", "plain"),
}
"""Competitors of an attribute whose kind no other object has: the other basic values of the kind."""

MOST_VALUES = 16
MOST_ATTRIBUTES = 8
MOST_QUERIES = 64
ALL_QUERIES = 8192
"""A pair has no more competitors than the 16 of its prompt that are written nearest to it; a region is looked for by
the eight attributes nearest to the noun, in 64 phrases, of a prompt with many objects in as many as make 8,192. No
ordinary prompt has so many; one of 10,000 words is scored in bounded memory, in a time that grows with its length."""

_SAME = {"grey": "gray", "big": "large", "little": "small", "tiny": "small", "spotted": "dotted", "wood": "wooden"}


@dataclass(frozen=True)
class Reading:
    """A vector to be read off the text encoder: the words at ``span`` of ``text``, alone and in the prompt.

    ``context`` and ``context_span`` are the same words inside the whole prompt: in the place of what it has at
    ``place``, None where it has these words itself.
    """

    text: str
    span: Span
    prompt: str
    place: Span
    words: str | None = None

    @property
    def context(self) -> str:
        """The prompt with the words; made when it is asked for, since it is as long as the prompt."""
        start, end = self.place
        return self.prompt if self.words is None else self.prompt[:start] + self.words + self.prompt[end:]

    @property
    def context_span(self) -> Span:
        """Where the words stand in the context."""
        return self.place if self.words is None else (self.place[0], self.place[0] + len(self.words))


@dataclass(frozen=True)
class PairPlan:
    """One (attribute, object) pair: the asked value first, then its competitors, each with its reading.

    ``rivals`` tells which values stand on another object of the prompt: those that a swap would show.
    """

    object: int
    attribute: Attribute
    values: tuple[str, ...]
    readings: tuple[Reading, ...]
    rivals: tuple[bool, ...]


@dataclass(frozen=True)
class PromptPlan:
    """All readings of one prompt.

    ``objects``, ``nouns``, ``phrases`` (each noun with all its attributes) and ``queries`` run over its objects that
    are not negated, and ``relations`` are between them.
    """

    prompt: str
    objects: tuple[ObjectPhrase, ...]
    nouns: tuple[Reading, ...]
    phrases: tuple[Reading, ...]
    queries: tuple[tuple[Reading, ...], ...]
    pairs: tuple[PairPlan, ...]
    relations: tuple[Relation, ...] = ()

    @cached_property
    def kinds(self) -> tuple[str, ...]:
        """What each object is: its noun in the singular."""
        return tuple(kind_of(o.text) for o in self.objects)

    @cached_property
    def owners(self) -> Mapping[tuple[Kind, str], Mapping[str, str]]:
        """For each kind and plain value the objects that it is asked of: what they are, and their nouns."""
        found: dict[tuple[Kind, str], dict[str, str]] = {}
        for pair in self.pairs:
            mine = found.setdefault((pair.attribute.kind, plain(pair.values[0])), {})
            mine.setdefault(self.kinds[pair.object], self.objects[pair.object].text)
        return found


def plan(spec: Spec, template: str, region_query: RegionQuery) -> PromptPlan:
    """The readings that a prompt needs.

    ``template`` holds ``{phrase}`` and may hold ``{article}``. ``region_query`` says what looks for an object's region:
    ``object`` its noun alone, ``phrase`` its noun with its attributes, ``any`` that phrase with each of its attributes
    in turn as asked and as each competitor. Objects with the same noun, singular or plural, are always looked for by
    their full phrase.
    """
    objects = tuple(o for o in spec.objects if not o.negated)
    nouns = tuple(_reading(spec, o, (), o.span, template) for o in objects)
    phrases = tuple(_reading(spec, o, tuple(a.text for a in o.attributes), o.span, template) for o in objects)
    values = values_of(objects)
    pairs = tuple(
        _pair(spec, o, k, attribute, competitors(o, values, attribute, own), template)
        for k, o in enumerate(objects)
        for own in [_own(o)]
        for attribute in o.attributes
    )
    kinds = Counter(kind_of(o.text) for o in objects)
    mine: list[list[PairPlan]] = [[] for _ in objects]
    for pair in pairs:
        mine[pair.object].append(pair)
    most = min(MOST_QUERIES, max(12, ALL_QUERIES // max(1, len(objects))))
    queries = tuple(
        _queries(spec, o, noun, own, kinds[kind_of(o.text)] > 1, template, region_query)[:most]
        for o, noun, own in zip(objects, nouns, mine, strict=True)
    )
    return PromptPlan(spec.prompt, objects, nouns, phrases, queries, pairs, _relations(spec))


def _relations(spec: Spec) -> tuple[Relation, ...]:
    """Those between two objects that are not negated, by their places among these."""
    places = {k: n for n, k in enumerate(k for k, o in enumerate(spec.objects) if not o.negated)}
    return tuple(
        replace(relation, subject=places[relation.subject], object=places[relation.object])
        for relation in spec.relations
        if relation.subject in places and relation.object in places
    )


def values_of(objects: Iterable[ObjectPhrase]) -> dict[Kind, dict[str, str]]:
    """The values of each kind of attribute in the prompt: the plain word, and how it is first written."""
    found: dict[Kind, dict[str, str]] = {}
    for thing in objects:
        for attribute in thing.attributes:
            found.setdefault(attribute.kind, {}).setdefault(plain(attribute.text), attribute.text)
    return found


def competitors(
    thing: ObjectPhrase, values: Mapping[Kind, Mapping[str, str]], attribute: Attribute, own: Set[str] | None = None
) -> tuple[tuple[str, bool], ...]:
    """The values that compete with ``attribute`` of ``thing``, and whether each stands on another object.

    The ``values`` of its kind (of all objects) minus those that ``thing`` has itself (``own``, if they are known); if
    there are none, the other basic values of the kind. Empty for a kind without basic values ("other").
    """
    own = _own(thing) if own is None else own
    others = [text for plain, text in values.get(attribute.kind, {}).items() if plain not in own]
    if len(others) > MOST_VALUES:
        written = list(values[attribute.kind])
        first = max(0, written.index(plain(attribute.text)) - MOST_VALUES // 2)
        near = written[first : first + MOST_VALUES + 1]
        others = [values[attribute.kind][plain] for plain in near if plain not in own]
    if others:
        return tuple((text, True) for text in others)
    inside = {word for text in own for word in text.replace("-", " ").split()}
    return tuple((v, False) for v in BASIC_VALUES.get(attribute.kind, ()) if v not in own and v not in inside)


def _own(thing: ObjectPhrase) -> frozenset[str]:
    return frozenset(plain(a.text) for a in thing.attributes)


@lru_cache(10_000)
def plain(text: str) -> str:
    """The word in lower case, and one of those that mean the same."""
    lowered = " ".join(text.lower().split())
    return _SAME.get(lowered, lowered)


@lru_cache(10_000)
def kind_of(text: str) -> str:
    """What a noun names: itself in the singular."""
    return lemma(plain(text))


def _pair(
    spec: Spec,
    thing: ObjectPhrase,
    k: int,
    attribute: Attribute,
    rivals: Sequence[tuple[str, bool]],
    template: str,
) -> PairPlan:
    """A pair with its competitors. Without any, the bare noun competes: is the attribute seen at all?"""
    values = (attribute.text, *(text for text, _ in rivals)) if rivals else (attribute.text, "")
    return PairPlan(
        object=k,
        attribute=attribute,
        values=values,
        readings=tuple(_reading(spec, thing, (value,), attribute.span, template) for value in values),
        rivals=(False, *(elsewhere for _, elsewhere in rivals)) if rivals else (False, False),
    )


def _queries(
    spec: Spec,
    thing: ObjectPhrase,
    noun: Reading,
    pairs: Sequence[PairPlan],
    has_twins: bool,
    template: str,
    region_query: RegionQuery,
) -> tuple[Reading, ...]:
    wanted = tuple(a.text for a in thing.attributes[-MOST_ATTRIBUTES:])
    if wanted and (region_query == "phrase" or has_twins):
        return (_reading(spec, thing, wanted, thing.span, template),)
    if wanted and region_query == "any":
        mine = [pair.values for pair in pairs[-MOST_ATTRIBUTES:]]
        phrases = [(*wanted[:i], value, *wanted[i + 1 :]) for i, values in enumerate(mine) for value in values]
        return tuple(_reading(spec, thing, phrase, thing.span, template) for phrase in dict.fromkeys(phrases))
    return (noun,)


def read_alone(thing: ObjectPhrase, value: str, template: str) -> Reading:
    """The reading of a value on ``thing``, or of its bare noun for "", that no prompt stands around."""
    words = " ".join(f"{value} {thing.text}".split())
    return read_words(words, template, _article(thing, words))


def read_words(words: str, template: str, article: str | None = None) -> Reading:
    """The reading of the words of one thing, that no prompt stands around; without an article given, "a" or "an"."""
    text = " ".join(template.format(article=_indefinite(words) if article is None else article, phrase=words).split())
    start = text.index(words)
    span = (start, start + len(words))
    return Reading(text, span, text, span)


def _reading(spec: Spec, thing: ObjectPhrase, values: tuple[str, ...], span: Span, template: str) -> Reading:
    """The reading of ``values`` on ``thing``; ``span`` is where they replace the prompt's own words."""
    words = " ".join(" ".join((*values, thing.text)).split())
    article = _article(thing, words)
    text = " ".join(template.format(article=article, phrase=words).split())
    start = text.index(words)
    single = len(values) == 1 and values[0]
    wanted = " ".join((values[0] if single else thing.text).split())
    inside = (start, start + len(wanted)) if single else (start + len(words) - len(wanted), start + len(words))
    if not values or span == thing.span or not values[0]:
        return Reading(text, inside, spec.prompt, thing.span)
    return Reading(text, inside, spec.prompt, span, wanted)


def _article(thing: ObjectPhrase, words: str) -> str:
    """ "a", "an", or nothing before a plural."""
    lowered = thing.text.lower()
    plural = lowered.endswith("s") and not lowered.endswith(("ss", "us", "is"))
    if plural or (thing.count is not None and thing.count.value != 1):
        return ""
    return _indefinite(words)


def _indefinite(words: str) -> str:
    return "an" if words[:1].lower() in "aeiou" else "a"
