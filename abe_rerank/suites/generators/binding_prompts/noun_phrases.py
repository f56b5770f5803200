"""Noun phrases as marked text, and marked text as a prompt with its pairs.

In marked text ``<red|mug>`` stands for the word "red" as an attribute of the mug: a mark is at once the word and the
pair, so that a prompt and its pairs cannot disagree. ``<red|cup|saucer>`` belongs to both.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from abe_rerank.suites import Pairs
from abe_rerank.suites.generators.binding_prompts.vocabulary import ASPECTS, Aspect, Thing

Value = tuple[Aspect, str]

_MARK = re.compile(r"<([^<>|]+)\|([^<>]+)>")
_ARTICLE = re.compile(r"\b([Aa])n?\b (?=<?([\w-]+))")
_SENTENCE = re.compile(r"(^|[.!?] )(<?)([a-z])")
_CONSONANTS = ("uni", "use", "one", "eu", "ukulele", "u-")
_VOWELS = ("hour", "honest", "heir", "l-shaped", "s-shaped", "x-shaped")
_SHAPES = frozenset(["heart", "star", "diamond", "crescent", "flower", "teardrop"])
_MADE_OF = {"wooden": "wood"}
_NEVER_MADE_OF = frozenset(["enamel", "cloth", "wire", "fleece"])
_NEVER_AFTER_IS = frozenset(
    ["polka-dot", "tartan", "plaid", "gingham", "houndstooth", "leopard-print", "patchwork", "camouflage", "paisley"]
)


def mark(value: str, noun: str) -> str:
    """An attribute of a noun; of "heart-shaped" the value is the shape that it names."""
    name, _, shaped = value.rpartition("-")
    if shaped == "shaped" and name in _SHAPES:
        return f"<{name}|{noun}>-shaped"
    return f"<{value}|{noun}>"


def noun_phrase(values: Sequence[Value], noun: str) -> str:
    """The attributes in the order of English before their noun, as marked text."""
    ordered = sorted(values, key=lambda value: ASPECTS.index(value[0]))
    return " ".join([*(mark(value, noun) for _, value in ordered), noun])


def predicate(values: Sequence[Value], noun: str) -> str | None:
    """What is said after "is" or "made of"; None if English has no such way for it."""
    ((aspect, value),) = values
    if aspect == "material":
        return None if value in _NEVER_MADE_OF else mark(_MADE_OF.get(value, value.replace("-", " ")), noun)
    return None if value in _NEVER_AFTER_IS else mark(value, noun)


def indefinite(values: Sequence[Value], thing: Thing) -> str:
    """ "a red mug", "red boots"."""
    return ("" if thing.always_plural else "a ") + noun_phrase(values, thing.name)


def finished(marked: str) -> tuple[str, Pairs]:
    """The prompt and its pairs: articles fitted to what follows, sentences begun with a capital letter."""
    text = " ".join(marked.split()).replace(" ,", ",").replace(" .", ".")
    text = _ARTICLE.sub(lambda found: found[1] + ("n " if _vowel(found[2].lower()) else " "), text)
    if text.endswith((".", "!", "?")):
        text = _SENTENCE.sub(lambda found: found[1] + found[2] + found[3].upper(), text)
    pairs = tuple((found[1], noun) for found in _MARK.finditer(text) for noun in found[2].split("|"))
    return _MARK.sub(r"\1", text), pairs


def _vowel(word: str) -> bool:
    return word.startswith(_VOWELS) or (word[0] in "aeiou" and not word.startswith(_CONSONANTS))
