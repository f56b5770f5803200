"""Noun phrases: premodifiers, head and count, found by one scan over the tagged words."""

from __future__ import annotations

from dataclasses import dataclass, field

from abe_rerank.parsing.closed_class import NEGATORS, NUMBER_VALUES
from abe_rerank.parsing.lexicon import COUNTABLE_COLOURS, kind_of, lexicon, tags_of
from abe_rerank.parsing.scene_words import UNBOUND
from abe_rerank.parsing.words import Word

_LOOKAHEAD = 12


@dataclass
class Phrase:
    """A noun phrase as word indices: ``[start, end)`` of the whole, ``[head, end)`` of the head (empty if there
    is none).
    """

    start: int
    end: int
    head: int
    modifiers: list[int] = field(default_factory=list)
    number: int | None = None
    determiner: int | None = None
    possessive: bool = False

    @property
    def headless(self) -> bool:
        """True for a phrase without a noun ("a red" in "a red and a blue ball")."""
        return self.head == self.end


def noun_phrase(words: list[Word], start: int) -> Phrase | None:
    """The noun phrase that starts at ``start``, or None. One with a determiner or number but no noun is headless."""
    at = start
    count = len(words)
    phrase = Phrase(start, start, start)
    while at < count:
        tag = words[at].tag
        if tag == "D" and not phrase.modifiers:
            phrase.determiner = at
        elif tag == "#":
            phrase.number = at
        elif tag == "J" or (tag in "EG" and _modifies(words, at, at > start)):
            phrase.modifiers.append(at)
        elif tag == "N":
            return _with_head(words, phrase, at)
        elif not (tag in "R,C:" and _continues(words, at, phrase)):
            break
        at += 1
    return _without_noun(words, phrase)


def _modifies(words: list[Word], at: int, inside: bool) -> bool:
    """A participle is a premodifier inside a phrase or at its start, if a noun follows without a determiner
    between.
    """
    following = words[at + 1].tag if at + 1 < len(words) else "."
    before = words[at - 1].tag if at else "."
    if not inside and before in (
        "NBH,C" if words[at].tag == "G" else "NBH"
    ):  # "cats watching birds", "is playing chess"
        return False
    return following in "NJ" or (inside and following in "C,EG" and leads_to_noun(words, at + 1))


def _continues(words: list[Word], at: int, phrase: Phrase) -> bool:
    """Do an adverb, a comma, "and" or a stray hyphen at ``at`` stand inside the premodifiers?"""
    tag = words[at].tag
    following = words[at + 1].tag if at + 1 < len(words) else "."
    if tag == "R":
        return following in "JEGR" and (at == phrase.start or leads_to_noun(words, at + 1))
    last_is_modifier = bool(phrase.modifiers) and phrase.modifiers[-1] == at - 1
    if tag == ":":
        return words[at].low == "-" and last_is_modifier and following == "N"
    comma_and = tag == "," and following == "C"
    return (
        (last_is_modifier or words[at - 1].tag == ",")
        and (following in "JEGR" or comma_and or _noun_attribute(words, at + 1))
        and leads_to_noun(words, at + 1)
    )


def _noun_attribute(words: list[Word], at: int) -> bool:
    """Is the word a noun that is an attribute here: a material, shape or colour noun with another noun after it."""
    return at + 1 < len(words) and words[at].tag == "N" and words[at + 1].tag == "N" and attribute_noun(words[at])


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
        if tag == "N":
            return True
        if tag not in "JEGR,C":
            return k > at and countable_value(words[k - 1])
    return False


def countable_value(word: Word) -> bool:
    """Is an adjective also a noun for a thing: "an orange", "a square"?"""
    return word.low in COUNTABLE_COLOURS or (word.tag == "J" and word.low in lexicon().shape_nouns)


def _with_head(words: list[Word], phrase: Phrase, at: int) -> Phrase:
    """Complete a phrase whose nouns start at ``at``: leading materials and shapes are attributes, the rest is
    the head.
    """
    end = at
    while end < len(words) and words[end].tag == "N":
        end += 1
    if end < len(words) and words[end].low in COUNTABLE_COLOURS and all(map(attribute_noun, words[at:end])):
        end += 1
    head = at
    while head < end - 1 and attribute_noun(words[head]):
        phrase.modifiers.append(head)
        head += 1
    if head == end - 1 and attribute_noun(words[head]) and _shared_noun(words, end):
        phrase.modifiers.append(head)
        rest = noun_phrase(words, end + 1)
        if rest is not None and not rest.headless:
            phrase.modifiers += rest.modifiers
            phrase.head, phrase.end = rest.head, rest.end
            return phrase
        phrase.modifiers.pop()
    phrase.head, phrase.end = head, end
    return phrase


def _shared_noun(words: list[Word], at: int) -> bool:
    """Does "and" at ``at`` join two attributes of one noun: "a wood and metal chair"?"""
    if at + 1 >= len(words) or words[at].tag != "C":
        return False
    material = words[at - 1].low in lexicon().materials and kind_of(words[at + 1].low) in ("material", "colour")
    return _noun_attribute(words, at + 1) or (material and words[at + 1].tag == "J" and leads_to_noun(words, at + 1))


def _without_noun(words: list[Word], phrase: Phrase) -> Phrase | None:
    """A phrase whose modifiers end without a noun: the last may be one itself ("an orange"), else it is headless."""
    opened = phrase.determiner is not None or phrase.number is not None
    if not opened and not phrase.modifiers:
        return None
    one = phrase.number is not None and bool(phrase.modifiers) and phrase.number > phrase.modifiers[-1]
    for last in reversed(phrase.modifiers if opened and not one else []):  # "a large orange one" is no orange
        if countable_value(words[last]) or (last == phrase.modifiers[-1] and _noun_like(words[last].low)):
            phrase.modifiers = [k for k in phrase.modifiers if k < last]
            phrase.head, phrase.end = last, last + 1
            return phrase
    if not opened:
        return None
    last = max([phrase.determiner or phrase.start, phrase.number or phrase.start, *phrase.modifiers])
    phrase.head = phrase.end = last + 1
    return phrase


def _noun_like(low: str) -> bool:
    return "N" in tags_of(low) and kind_of(low) not in ("colour", "size") and low not in UNBOUND


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
