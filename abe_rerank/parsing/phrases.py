"""Noun phrases (premodifiers, head and count, found by one scan over the tagged words), and the items of a sentence."""

from __future__ import annotations

from typing import NamedTuple

from abe_rerank.parsing.lexicon import COUNTABLE_COLOURS, kind_of, lemma, lexicon, tags_of
from abe_rerank.parsing.scene_words import GENITIVES, NEGATORS, NUMBER_VALUES, PARTITIVES, UNBOUND
from abe_rerank.parsing.tags import (
    ADJECTIVE,
    ADVERB,
    AND,
    COMMA,
    DETERMINER,
    ING,
    JOINING,
    MARK,
    NOUN,
    NUMBER,
    PARTICIPLES,
    PHRASE,
    POSSESSIVE,
    STOP,
    Tag,
    tags,
)
from abe_rerank.parsing.words import Word

_LOOKAHEAD = 12
_VALUES_OR_ADVERB = tags("JEGR")
_LEADING = tags("JEGR,C")
_BETWEEN_MODIFIERS = tags("R,C:")
_BEFORE_ACTION = tags("NBH")
_JOINED_PARTICIPLES = tags("C,EG")


class Phrase(NamedTuple):
    """A noun phrase as word indices: ``[start, end)`` of the whole, ``[head, end)`` of the head (empty if there
    is none).
    """

    start: int
    end: int
    head: int
    modifiers: tuple[int, ...] = ()
    number: int | None = None
    determiner: int | None = None
    possessive: bool = False

    @property
    def headless(self) -> bool:
        """True for a phrase without a noun ("a red" in "a red and a blue ball")."""
        return self.head == self.end

    @property
    def opened(self) -> bool:
        """True for a phrase with a determiner or a number."""
        return self.determiner is not None or self.number is not None


def noun_phrase(words: list[Word], start: int) -> Phrase | None:
    """The noun phrase that starts at ``start``, or None. One with a determiner or number but no noun is headless."""
    modifiers: list[int] = []
    number = determiner = None
    at = start
    while at < len(words):
        tag = words[at].tag
        if tag == DETERMINER and not modifiers:
            determiner = at
        elif tag == NUMBER:
            number = at
        elif tag == ADJECTIVE or (tag in PARTICIPLES and _modifies(words, at, at > start)):
            modifiers.append(at)
        elif tag == NOUN:
            return _with_head(words, Phrase(start, start, start, tuple(modifiers), number, determiner), at)
        elif not (tag in _BETWEEN_MODIFIERS and _continues(words, at, start, modifiers)):
            break
        at += 1
    return _without_noun(words, Phrase(start, start, start, tuple(modifiers), number, determiner))


def _modifies(words: list[Word], at: int, inside: bool) -> bool:
    """A participle is a premodifier inside a phrase or at its start, if a noun follows without a determiner
    between.
    """
    following = words[at + 1].tag if at + 1 < len(words) else STOP
    before = words[at - 1].tag if at else STOP
    acting = before in _BEFORE_ACTION or (words[at].tag == ING and before in JOINING)
    if not inside and acting:  # "cats watching birds", "is playing chess"
        return False
    return following in (NOUN, ADJECTIVE) or (
        inside and following in _JOINED_PARTICIPLES and leads_to_noun(words, at + 1)
    )


def _continues(words: list[Word], at: int, start: int, modifiers: list[int]) -> bool:
    """Do an adverb, a comma, "and" or a stray hyphen at ``at`` stand inside the premodifiers?"""
    tag = words[at].tag
    following = words[at + 1].tag if at + 1 < len(words) else STOP
    if tag == ADVERB:
        return following in _VALUES_OR_ADVERB and (at == start or leads_to_noun(words, at + 1))
    last_is_modifier = bool(modifiers) and modifiers[-1] == at - 1
    if tag == MARK:
        return words[at].low == "-" and last_is_modifier and following == NOUN
    comma_and = tag == COMMA and following == AND
    return (
        (last_is_modifier or words[at - 1].tag == COMMA)
        and (following in _VALUES_OR_ADVERB or comma_and or _noun_attribute(words, at + 1))
        and leads_to_noun(words, at + 1)
    )


def _noun_attribute(words: list[Word], at: int) -> bool:
    """Is the word a noun that is an attribute here: a material, shape or colour noun with another noun after it."""
    return at + 1 < len(words) and words[at].tag == NOUN and words[at + 1].tag == NOUN and attribute_noun(words[at])


def attribute_noun(word: Word) -> bool:
    """Is the noun a material, a shape or a colour, which before another noun is its attribute ("a glass bottle")?"""
    lex = lexicon()
    return word.low in lex.materials or word.low in lex.shape_nouns or word.low in lex.colours


def leads_to_noun(words: list[Word], at: int) -> bool:
    """Do premodifiers from ``at`` on end in a noun ("red, shiny cube", "fluffy orange"), with no determiner
    between?
    """
    for k in range(at, min(at + _LOOKAHEAD, len(words))):
        tag = words[k].tag
        if tag == NOUN:
            return True
        if tag not in _LEADING:
            return k > at and countable_value(words[k - 1])
    return False


def countable_value(word: Word) -> bool:
    """Is an adjective also a noun for a thing: "an orange", "a square"?"""
    return word.low in COUNTABLE_COLOURS or (word.tag == ADJECTIVE and word.low in lexicon().shape_nouns)


def _with_head(words: list[Word], phrase: Phrase, at: int) -> Phrase:
    """Complete a phrase whose nouns start at ``at``: leading materials and shapes are attributes, the rest is
    the head.
    """
    end = at
    while end < len(words) and words[end].tag == NOUN:
        end += 1
    owner = next((k for k in range(at, end - 1) if words[k].low in GENITIVES), None)
    if owner is not None:  # "the mans shirt"
        return phrase._replace(head=owner, end=owner + 1)
    if end < len(words) and words[end].low in COUNTABLE_COLOURS and all(map(attribute_noun, words[at:end])):
        end += 1
    head = at
    while head < end - 1 and attribute_noun(words[head]):
        head += 1
    modifiers = (*phrase.modifiers, *range(at, head))
    if head == end - 1 and attribute_noun(words[head]) and _shared_noun(words, end):
        rest = noun_phrase(words, end + 1)
        if rest is not None and not rest.headless:
            return phrase._replace(modifiers=(*modifiers, head, *rest.modifiers), head=rest.head, end=rest.end)
    return phrase._replace(modifiers=modifiers, head=head, end=end)


def _shared_noun(words: list[Word], at: int) -> bool:
    """Does "and" at ``at`` join two attributes of one noun: "a wood and metal chair"?"""
    if at + 1 >= len(words) or words[at].tag != AND:
        return False
    material = words[at - 1].low in lexicon().materials and kind_of(words[at + 1].low) in ("material", "colour")
    return _noun_attribute(words, at + 1) or (
        material and words[at + 1].tag == ADJECTIVE and leads_to_noun(words, at + 1)
    )


def _without_noun(words: list[Word], phrase: Phrase) -> Phrase | None:
    """A phrase whose modifiers end without a noun: the last may be one itself ("an orange"), else it is headless."""
    if not phrase.opened and not phrase.modifiers:
        return None
    one = phrase.number is not None and bool(phrase.modifiers) and phrase.number > phrase.modifiers[-1]
    for last in reversed(phrase.modifiers if phrase.opened and not one else ()):  # "a large orange one" is no orange
        if countable_value(words[last]) or (last == phrase.modifiers[-1] and _noun_like(words[last].low)):
            return phrase._replace(modifiers=tuple(k for k in phrase.modifiers if k < last), head=last, end=last + 1)
    if not phrase.opened:
        return None
    last = max([phrase.determiner or phrase.start, phrase.number or phrase.start, *phrase.modifiers])
    return phrase._replace(head=last + 1, end=last + 1)


def _noun_like(low: str) -> bool:
    return NOUN in tags_of(low) and kind_of(low) not in ("colour", "size") and low not in UNBOUND


def negated(words: list[Word], phrase: Phrase) -> bool:
    """Does the phrase's own determiner or number negate it ("no hat")?"""
    return any(words[k].low in NEGATORS for k in (phrase.determiner, phrase.number) if k is not None)


def number_value(word: Word) -> int | None:
    """The value of a number word or of digits, None for numbers that count nothing ("3.5", years)."""
    if word.low in NUMBER_VALUES:
        return NUMBER_VALUES[word.low]
    if not word.low.isdecimal() or len(word.low) > 6:
        return None
    value = int(word.low)
    return None if len(word.low) == 4 and 1000 <= value < 2100 else value  # a year: "a 1977 car"


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
