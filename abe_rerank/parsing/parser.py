"""The verb: ``parse(prompt) -> Spec``, by spaCy's tokenizer and the rules of this package."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from abe_rerank.parsing.binding import Binder
from abe_rerank.parsing.lexicon import kind_marker
from abe_rerank.parsing.phrases import number_value
from abe_rerank.parsing.tagger import tag
from abe_rerank.parsing.things import Scene, Thing
from abe_rerank.parsing.words import Word, words_of
from abe_rerank.types import Attribute, Count, Ignored, ObjectPhrase, Relation, Spec

if TYPE_CHECKING:
    from spacy.language import Language


@cache
def _tokenizer() -> Language:
    import spacy

    return spacy.blank("en")


def parse(prompt: str, model: str | None = None) -> Spec:
    """What a prompt asks for: objects with attributes, counts and relations, each with its character span.

    ``model`` names a spaCy English model that the user has installed, whose dependency parse is then used
    instead of the
    built-in rules. Never raises on text; a prompt in which nothing was found gives a Spec that says so
    (``nothing_to_bind``). Raises UsageError if ``model`` is not installed.
    """
    if model is not None:
        from abe_rerank.parsing.spacy_model import parse_with

        return parse_with(model, prompt)
    words = words_of(prompt, _tokenizer().make_doc)
    tag(words)
    return spec_of(prompt, words, Binder(words).run())


def spec_of(prompt: str, words: list[Word], scene: Scene) -> Spec:
    """The Spec of what was collected, with every other word of the prompt as ignored and why."""
    order = {id(thing): k for k, thing in enumerate(scene.things)}
    used: set[int] = set()
    objects = tuple(_object(prompt, words, thing, used) for thing in scene.things)
    relations = []
    for subject, at, target in scene.relations:
        word = words[at]
        used.add(at)
        relations.append(Relation(order[id(subject)], word.text, (word.start, word.end), order[id(target)]))
    ignored = tuple(
        Ignored(word.text, (word.start, word.end), scene.reasons.get(at, _reason(word)))
        for at, word in enumerate(words)
        if at not in used and word.tag not in ",.:'"
    )
    return Spec(prompt, objects, tuple(relations), ignored)


def _object(prompt: str, words: list[Word], thing: Thing, used: set[int]) -> ObjectPhrase:
    span = (words[thing.head].start, words[thing.end - 1].end)
    used.update(range(thing.head, thing.end))
    attributes = []
    for first, last, kind in sorted(thing.attributes):
        place = (words[first].start, words[last].end)
        marker = kind_marker(prompt[place[0] : place[1]].lower())
        if marker:  # "heart-shaped": the value is "heart"
            place = (place[0], place[0] + len(marker[0]))
        attributes.append(Attribute(prompt[place[0] : place[1]], place, kind))
        used.update(range(first, last + 1))
    count = None
    if thing.count is not None:
        word = words[thing.count]
        value = number_value(word)
        if value is not None:
            count = Count(word.text, (word.start, word.end), value)
            used.add(thing.count)
    return ObjectPhrase(
        prompt[span[0] : span[1]], span, (words[thing.start].start, span[1]), tuple(attributes), count, thing.negated
    )


_REASONS = (
    dict.fromkeys("VBHMGE", "verb")
    | dict.fromkeys("CS", "conjunction")
    | dict.fromkeys("OW", "pronoun")
    | dict.fromkeys("JN", "no object")
    | {"D": "determiner", "I": "preposition", "R": "adverb", "T": "function word", "X": "negation"}
    | {"Q": "quoted text", "Y": "not English", "#": "number"}
)


def _reason(word: Word) -> str:
    return _REASONS.get(word.tag, "other")
