"""The prompt as a sequence of items: noun phrases, and the words between them."""

from __future__ import annotations

from typing import NamedTuple

from abe_rerank.parsing.lexicon import lemma
from abe_rerank.parsing.phrases import Phrase, noun_phrase
from abe_rerank.parsing.scene_words import GENITIVES, PARTITIVES
from abe_rerank.parsing.tags import NOUN, PHRASE, POSSESSIVE, STOP, Tag, tags
from abe_rerank.parsing.words import Word

_OPENING_PHRASE = tags("DJ#NEGR")


class Item(NamedTuple):
    """A noun phrase (``phrase`` set) or a single word, by the index of its first word."""

    at: int
    tag: Tag
    phrase: Phrase | None = None


def items_of(words: list[Word]) -> list[Item]:
    """Cut tagged words into noun phrases (tag ``PHRASE``) and single words with their own tag."""
    items: list[Item] = []
    at = 0
    while at < len(words):
        tag = words[at].tag or STOP
        phrase = _whole_phrase(words, at) if tag in _OPENING_PHRASE else None
        if phrase is None:
            items.append(Item(at, tag))
            at += 1
            continue
        end = phrase.end
        if end < len(words) and words[end].tag == POSSESSIVE and not phrase.headless:
            phrase = phrase._replace(possessive=True)
            end += 1
        elif end < len(words) and words[end - 1].low in GENITIVES and words[end].tag == NOUN and not phrase.headless:
            phrase = phrase._replace(possessive=True)
        items.append(Item(at, PHRASE, phrase))
        at = end
    return items


def _whole_phrase(words: list[Word], at: int) -> Phrase | None:
    """A noun phrase; "a red piece of cake" is one, with the attributes of the piece on the cake."""
    phrase = noun_phrase(words, at)
    if phrase is None or phrase.headless or lemma(words[phrase.end - 1].low) not in PARTITIVES:
        return phrase
    if phrase.end + 1 >= len(words) or words[phrase.end].low != "of":
        return phrase
    inner = noun_phrase(words, phrase.end + 1)
    if inner is None or inner.headless:
        return phrase
    return inner._replace(
        start=phrase.start,
        modifiers=phrase.modifiers + inner.modifiers,
        number=phrase.number if inner.number is None else inner.number,
        determiner=phrase.determiner if inner.determiner is None else inner.determiner,
    )
