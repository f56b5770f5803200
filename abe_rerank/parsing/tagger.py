# ruff: noqa: SIM905 - word lists read best as text
"""Part-of-speech tagging by lexicon and context, in one pass from left to right."""

from __future__ import annotations

import re
from functools import cache, lru_cache

from abe_rerank.parsing.called import Options, in_name, is_sign, names_someone, owns
from abe_rerank.parsing.lexicon import is_plural, kind_of, lemma, lexicon, tags_of
from abe_rerank.parsing.scene_words import ORDERED, PAINTED, STATED
from abe_rerank.parsing.tags import (
    ADJECTIVE,
    ADVERB,
    AND,
    BE,
    COMMA,
    DETERMINER,
    FOREIGN,
    HAVE,
    ING,
    JOINING,
    MARK,
    MODAL,
    NOUN,
    NUMBER,
    PARTICIPLE,
    PARTICIPLES,
    PREPOSITION,
    PRONOUN,
    RELATIVE,
    STOP,
    TO,
    VERB,
    Tag,
    tags,
)
from abe_rerank.parsing.typed import ALTERNATIVE
from abe_rerank.parsing.words import Word

_DIGITS = re.compile(r"[0-9][0-9.,]*")
_LATIN = re.compile(r"[A-Za-z\u00c0-\u024f]")
_SENTENCE = frozenset([".", "!", "?", ";", "...", "\u2026", "\u3002", "\n", "|"])
_COMMAS = frozenset([",", "\uff0c", "\u3001"])
_FIXED = tags("DIWSC#BHMOTX'.,:YQ")
_NOMINAL = tags("NJ")
_PREMODIFYING = tags("DJ#'")
_BEFORE_NOUN = tags("DJ#N")
_BEFORE_ADVERB = tags("BHVNI.,")
_AFTER_SUBJECT = tags("IDR")
_AFTER_VERB = tags("DIRT")
_ENDING = tags(".,C")
_ENDING_MATERIAL = tags(".,CI")
_NEVER_NOUN = tags("DIC")
_LEADING = tags("JEGRC,")
_OPENING = tags(".,:C")
_SHORTENED = tags("OW")
_NUMBERED = frozenset(["first", "second", "third", "last"])
_TITLES = frozenset(["mr", "mrs", "ms", "miss", "dr", "mr.", "mrs.", "ms.", "dr."])
_LOOKAHEAD = 8


def tag(words: list[Word]) -> None:
    """Set the tag of every word in place."""
    options = [(word.tag,) if word.tag else _options(word.low) for word in words]
    previous: Tag = STOP
    last: Word | None = None
    for at, word in enumerate(words):
        choices = options[at]
        titled = last is not None and last.low in _TITLES and word.text[:1].isupper()  # "Mrs Brown"
        if titled or names_someone(words, options, at) or owns(word, options, at) or is_sign(words, options, at):
            tagged = NOUN
        elif word.low == "'s" and previous in _SHORTENED:  # "it's white"
            tagged = BE
        else:
            tagged = choices[0] if len(choices) == 1 else _choose(words, options, at, previous, last)
        word.tag = tagged
        if tagged != ADVERB:
            previous, last = tagged, word


@lru_cache(maxsize=65536)
def _options(low: str) -> Options:
    first = low[0]
    if first.isalpha():
        return tags_of(low) if _LATIN.search(low) else (FOREIGN,)
    if first.isdigit():
        return (NUMBER if _DIGITS.fullmatch(low) else ADJECTIVE if "-" in low else NOUN,)
    if low in _COMMAS:
        return (COMMA,)
    if low in _SENTENCE:
        return (STOP,)
    if low in ("&", "+", ALTERNATIVE):
        return (AND,)
    if low.startswith(("'", "n'")):
        return tags_of(low) if low in ("'s", "'", "n't", "'re") else (MARK,)
    return (MARK if low.isascii() else FOREIGN,)


def _choose(words: list[Word], options: list[Options], at: int, previous: Tag, last: Word | None) -> Tag:
    """The tag of an ambiguous word, from the tag before it (adverbs skipped) and what may follow."""
    word, choices = words[at], options[at]
    usual = choices[0]
    if usual == MODAL and NOUN in choices:  # "a soda can", "it can fly"
        return NOUN if previous in _BEFORE_NOUN and options[at + 1 : at + 2] not in ([(BE,)], [(VERB,)]) else MODAL
    if usual in _FIXED:
        return usual
    noun_follows = _noun_follows(options, at) and not _subject(word, options, at)
    following = options[at + 1][0] if at + 1 < len(words) else STOP
    if previous == MODAL and VERB in choices:
        return VERB
    sided = following in _NOMINAL or (at + 1 < len(words) and words[at + 1].low in ("one", "ones"))
    if word.low in ("left", "right") and sided and (previous in _PREMODIFYING or previous == AND):
        return ADJECTIVE
    if word.low in ORDERED and previous == DETERMINER and _elliptic(words, at, following):
        return ADJECTIVE
    if word.low == "reading" and previous == NOUN and following == MARK:  # "a banner reading 'hi'"
        return ING
    if in_name(words, at):
        return NOUN
    if ADVERB in choices and following == ADJECTIVE and previous in _BEFORE_ADVERB and usual == ADVERB:
        return ADVERB
    if previous in _PREMODIFYING:
        return _inside_phrase(word, choices, noun_follows, following)
    if previous in (BE, HAVE):
        return ADJECTIVE if _quality(words, at, noun_follows) else _after_be(word, choices, noun_follows, following)
    if previous in (PRONOUN, RELATIVE):
        attribute = kind_of(word.low) != "other" and noun_follows and at > 1 and words[at - 2].tag == PREPOSITION
        return (
            ADJECTIVE if attribute else next((tag for tag in (VERB, PARTICIPLE) if tag in choices), usual)
        )  # "next to them blue jeans"
    if previous == NOUN:
        if usual == VERB and NOUN in choices and _of_material(words, at, following):
            return NOUN
        joined = any(word.tag == AND for word in words[max(at - _LOOKAHEAD, 0) : at])
        return _after_noun(word, choices, following, last, joined)
    return _opening(word, choices, previous, noun_follows, following)


def _elliptic(words: list[Word], at: int, following: Tag) -> bool:
    """Does a word of order have no noun: "the middle one", "the first is red"?"""
    if at + 1 < len(words) and words[at + 1].low in ("one", "ones"):
        return True
    return following == BE and words[at].low in _NUMBERED


def _subject(word: Word, options: list[Options], at: int) -> bool:
    """Is a noun of material, or a present, followed by a verb ("the pebble lies beside"), not by another noun?"""
    if (
        (word.low not in lexicon().materials and word.low != "present")
        or NOUN not in options[at]
        or len(options) < at + 3
    ):
        return False
    return options[at + 1][0] == VERB and options[at + 2][0] in _AFTER_SUBJECT


def _quality(words: list[Word], at: int, noun_follows: bool) -> bool:
    """Is a known attribute after "is" one, although it looks like a verb: "there are felt slippers", "that is pleated
    beside a lamp"?
    """
    low = words[at].low
    if kind_of(low) == "other" or low in PAINTED or low in STATED:
        return False
    existential = noun_follows and at > 1 and words[at - 2].low == "there"
    return existential or (at + 1 < len(words) and words[at + 1].low in _BESIDE)


def _of_material(words: list[Word], at: int, following: Tag) -> bool:
    """Is a word that is usually a verb the noun of a material before it: "a boat with canvas sails"?"""
    if at < 2 or words[at - 1].low not in lexicon().materials or following not in _ENDING_MATERIAL:
        return False
    return words[at - 2].tag == PREPOSITION and words[at - 2].low != "of"


def _noun_follows(options: list[Options], at: int) -> bool:
    """May premodifiers from the next word on lead to a noun ("red, shiny cube")?"""
    for k in range(at + 1, min(at + 1 + _LOOKAHEAD, len(options))):
        choices = options[k]
        if NOUN in choices and choices[0] not in _NEVER_NOUN:
            return True
        if choices[0] not in _LEADING:
            return False
    return False


def _inside_phrase(word: Word, choices: Options, noun_follows: bool, following: Tag) -> Tag:
    """After a determiner, number, adjective or possessive: a noun, or an adjective if a noun can follow."""
    usual = choices[0]
    listed = kind_of(word.low) != "other"
    touching = noun_follows and following not in JOINING
    if ADJECTIVE in choices and (listed or usual == ADJECTIVE) and (noun_follows or NOUN not in choices):
        if usual == NOUN and not touching:
            return NOUN
        return ADJECTIVE if touching or usual == ADJECTIVE else NOUN
    if usual in PARTICIPLES:
        return usual if noun_follows or NOUN not in choices or (usual == ING and following in _AFTER_SUBJECT) else NOUN
    if usual == ADJECTIVE:
        return ADJECTIVE if word.low in lexicon().kinds else NOUN if NOUN in choices else usual
    if usual in (VERB, ADVERB):
        return NOUN if NOUN in choices else usual
    return usual


def _after_be(word: Word, choices: Options, noun_follows: bool, following: Tag) -> Tag:
    """After "is": a participle that says what is done ("is placed on"), else an adjective ("is striped")."""
    participle = next((tag for tag in (PARTICIPLE, ING) if tag in choices), None)
    if word.low in PAINTED and participle:
        return participle
    if participle == ING:
        return ADJECTIVE if kind_of(word.low) != "other" and following in _ENDING and choices[0] == ADJECTIVE else ING
    if participle:
        stated = (
            word.low in STATED or following in (PREPOSITION, TO) or (following == ADVERB and choices[0] != ADJECTIVE)
        )
        return PARTICIPLE if stated or (noun_follows and following not in JOINING) else ADJECTIVE
    if ADJECTIVE in choices and not (choices[0] == NOUN and following == NOUN):
        return ADJECTIVE
    return choices[0]


def _after_noun(word: Word, choices: Options, following: Tag, last: Word | None, joined: bool) -> Tag:
    """After a noun: a verb that agrees with it, a participle, or one more noun of a compound."""
    usual, low = choices[0], word.low
    participle = next((tag for tag in (PARTICIPLE, ING) if tag in choices), None)
    if participle and (usual != NOUN or (participle == ING and following == DETERMINER)):
        return participle
    if low == "full":
        return ADJECTIVE
    if usual == ADJECTIVE and low in lexicon().kinds:
        return NOUN if low in lexicon().shape_nouns and NOUN in choices and following not in _NOMINAL else ADJECTIVE
    if VERB in choices:
        base = lemma(low, "VERB") == low
        plural = last is not None and is_plural(last.low)
        if low == "lie":
            return VERB
        if base and plural and following in _AFTER_VERB and low not in ("top", "back", "front", "side"):
            return VERB
        if base and joined and low in _acting() and following in _AFTER_VERB:
            return VERB
        if base and not plural and NOUN in choices:
            return VERB if low in _PAST_IS_BASE and following == DETERMINER else NOUN
        if usual == VERB:
            return VERB
        return VERB if low.endswith("s") and following == DETERMINER and not plural and low not in _TWO_NOUNS else usual
    return usual


@cache
def _acting() -> frozenset[str]:
    """The base forms of the verbs that are usual in captions ("stands" gives "stand")."""
    return frozenset(lemma(word, "VERB") for word, tag in lexicon().captions.items() if tag == VERB)


_PAST_IS_BASE = frozenset("cast cut hit set put spread split shut burst".split())
_BESIDE = frozenset(["beside", "near", "next to", "behind", "in front of", "while"])
_TWO_NOUNS = frozenset("glasses leaves trees".split())


def _opening(word: Word, choices: Options, previous: Tag, noun_follows: bool, following: Tag) -> Tag:
    """At the start of a phrase: after a preposition, verb, comma, "and" or the start of a sentence."""
    usual = choices[0]
    if (
        usual == NOUN
        and ADJECTIVE in choices
        and kind_of(word.low) != "other"
        and noun_follows
        and (following in _NOMINAL or following == PARTICIPLE)
    ):
        return ADJECTIVE
    if usual == VERB and NOUN in choices:
        if previous == PREPOSITION:
            return NOUN
        if previous == STOP and following == VERB:  # "Mars rises"
            return NOUN
        if previous in _OPENING:
            return VERB if following in (DETERMINER, PRONOUN) or (previous == AND and word.low.endswith("s")) else NOUN
    if usual == ADJECTIVE and NOUN in choices and not noun_follows and previous == PREPOSITION:
        return NOUN if word.low not in lexicon().kinds else ADJECTIVE
    return usual
