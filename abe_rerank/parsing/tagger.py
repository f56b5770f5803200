# ruff: noqa: SIM905 - word lists read best as text
"""Part-of-speech tagging by lexicon and context, in one pass from left to right.

Tags are single letters: D determiner, # number, J adjective, N noun, V finite or base verb, G participle in
-ing, E past
participle, B form of be, H form of have, M modal, R adverb, I preposition or relation, C coordination, O
pronoun, W relative
word, S subordinator, T to, X not, ' possessive, "," "." ":" punctuation, Q quoted writing, Y symbols and
scripts other than Latin.
"""

from __future__ import annotations

import re
from functools import cache

from abe_rerank.parsing.lexicon import is_plural, kind_of, lemma, lexicon, tags_of
from abe_rerank.parsing.scene_words import PAINTED, STATED, WRITING
from abe_rerank.parsing.words import Word

_DIGITS = re.compile(r"[0-9][0-9.,]*")
_LATIN = re.compile(r"[A-Za-z\u00c0-\u024f]")
_SENTENCE = frozenset([".", "!", "?", ";", "...", "\u2026", "\u3002", "\n", "|"])
_COMMAS = frozenset([",", "\uff0c", "\u3001"])
_FIXED = frozenset("DIWSC#BHMOTX'.,:YQ")
_QUOTES = frozenset(['"', "\u201c", "\u201d", "''", "``"])
_TITLES = frozenset(["mr", "mrs", "ms", "miss", "dr", "mr.", "mrs.", "ms.", "dr."])
_LOOKAHEAD = 8
_NEAR = 5


def tag(words: list[Word]) -> None:
    """Set the tag of every word in place."""
    _mark_quotes(words)
    options = [word.tag or _options(word) for word in words]
    previous, last = ".", None
    for at, word in enumerate(words):
        choices = options[at]
        if last is not None and last.low in _TITLES and word.text[:1].isupper():
            word.tag = "N"  # "Mrs Brown"
        else:
            word.tag = choices if len(choices) == 1 else _choose(words, options, at, previous, last)
        if word.tag != "R":
            previous, last = word.tag, word


def _mark_quotes(words: list[Word]) -> None:
    """Tag what stands between quotation marks after a word of writing ("a sign that says ...") as Q."""
    opened = -1
    for at, word in enumerate(words):
        if word.low not in _QUOTES and not _single_quote(words, at, opened):
            continue
        if opened < 0:
            opened = at
            continue
        before = {other.low for other in words[max(opened - _NEAR, 0) : opened]}
        if before & WRITING:
            for inner in words[opened + 1 : at]:
                inner.tag = "Q"
        opened = -1


def _single_quote(words: list[Word], at: int, opened: int) -> bool:
    """An apostrophe after a space opens a quotation, one that touches the word before it closes one."""
    if words[at].low != "'" or at == 0:
        return False
    return opened >= 0 or (words[at - 1].end < words[at].start and at + 1 < len(words))


def _options(word: Word) -> str:
    low = word.low
    first = low[0]
    if first.isalpha():
        return tags_of(low) if _LATIN.search(low) else "Y"
    if first.isdigit():
        return "#" if _DIGITS.fullmatch(low) else ("J" if "-" in low else "N")
    if low in _COMMAS:
        return ","
    if low in _SENTENCE:
        return "."
    if low in ("&", "+"):
        return "C"
    if low.startswith(("'", "n'")):
        return tags_of(low) if low in ("'s", "'", "n't", "'re") else ":"
    return ":" if low.isascii() else "Y"


def _choose(words: list[Word], options: list[str], at: int, previous: str, last: Word | None) -> str:
    """The tag of an ambiguous word, from the tag before it (adverbs skipped) and what may follow."""
    word, choices = words[at], options[at]
    usual = choices[0]
    if usual == "M" and "N" in choices:  # "a soda can", "it can fly"
        return (
            "N"
            if previous in "DJ#N" and options[at + 1 : at + 2] != ["B"] and "V" not in options[at + 1 : at + 2]
            else "M"
        )
    if usual in _FIXED:
        return usual
    noun_follows = _noun_follows(options, at) and not _subject(word, options, at)
    following = options[at + 1] if at + 1 < len(words) else "."
    if previous == "M" and "V" in choices:
        return "V"
    if word.low in ("left", "right") and following[0] in "NJ" and previous in "DJ#'C":
        return "J"
    if _in_name(words, at):
        return "N"
    if "R" in choices and following[0] in "J" and previous in "BHVNI.," and usual == "R":
        return "R"
    if previous in "DJ#'":
        return _inside_phrase(word, choices, noun_follows, following)
    if previous in "BH":
        return "J" if _quality(words, at, noun_follows) else _after_be(word, choices, noun_follows, following)
    if previous in "OW":
        attribute = kind_of(word.low) != "other" and noun_follows and at > 1 and words[at - 2].tag == "I"
        return "J" if attribute else next((tag for tag in "VE" if tag in choices), usual)  # "next to them blue jeans"
    if previous == "N":
        if usual == "V" and "N" in choices and _of_material(words, at, following):
            return "N"
        joined = any(word.tag == "C" for word in words[max(at - _LOOKAHEAD, 0) : at])
        return _after_noun(word, choices, following, last, joined)
    return _opening(word, choices, previous, noun_follows, following)


def _subject(word: Word, options: list[str], at: int) -> bool:
    """Is a noun of material followed by a verb ("the sand lies", "the pebble lies beside"), not by another noun?"""
    if word.low not in lexicon().materials or "N" not in options[at] or len(options) < at + 3:
        return False
    return options[at + 1][0] == "V" and options[at + 2][0] in "IDR"


def _quality(words: list[Word], at: int, noun_follows: bool) -> bool:
    """Is a known attribute after "is" one, although it looks like a verb: "there are felt slippers", "that is pleated
    beside a lamp"?
    """
    low = words[at].low
    if kind_of(low) == "other" or low in PAINTED or low in STATED:
        return False
    existential = noun_follows and at > 1 and words[at - 2].low == "there"
    return existential or (at + 1 < len(words) and words[at + 1].low in _BESIDE)


def _of_material(words: list[Word], at: int, following: str) -> bool:
    """Is a word that is usually a verb the noun of a material before it: "a boat with canvas sails"?"""
    if at < 2 or words[at - 1].low not in lexicon().materials or following[0] not in ".,CI":
        return False
    return words[at - 2].tag == "I" and words[at - 2].low != "of"


def _in_name(words: list[Word], at: int) -> bool:
    """Is an adjective or verb part of a name: "the Boston Red Sox", where not every word is capitalised?"""
    if not words[at].text[0].isupper() or words[at].text.isupper() or at == 0 or words[at - 1].tag != "N":
        return False
    return words[at - 1].text[0].isupper() and at + 1 < len(words) and words[at + 1].text[0].isupper()


def _noun_follows(options: list[str], at: int) -> bool:
    """May premodifiers from the next word on lead to a noun ("red, shiny cube")?"""
    for k in range(at + 1, min(at + 1 + _LOOKAHEAD, len(options))):
        choices = options[k]
        if "N" in choices and choices[0] not in "DIC":
            return True
        if choices[0] not in "JEGRC,":
            return False
    return False


def _inside_phrase(word: Word, choices: str, noun_follows: bool, following: str) -> str:
    """After a determiner, number, adjective or possessive: a noun, or an adjective if a noun can follow."""
    usual = choices[0]
    listed = kind_of(word.low) != "other"
    touching = noun_follows and following[0] not in "C,"
    if "J" in choices and (listed or usual == "J") and (noun_follows or "N" not in choices):
        if usual == "N" and not touching:
            return "N"
        return "J" if touching or usual == "J" else "N"
    if usual in "EG":
        return usual if noun_follows or "N" not in choices or (usual == "G" and following[0] in "IRD") else "N"
    if usual == "J":
        return "J" if word.low in lexicon().kinds else "N" if "N" in choices else usual
    if usual in "VR":
        return "N" if "N" in choices else usual
    return usual


def _after_be(word: Word, choices: str, noun_follows: bool, following: str) -> str:
    """After "is": a participle that says what is done ("is placed on"), else an adjective ("is striped")."""
    participle = next((tag for tag in "EG" if tag in choices), "")
    if word.low in PAINTED and participle:
        return participle
    if participle == "G":
        return "J" if kind_of(word.low) != "other" and following[0] in ".,C" and choices[0] == "J" else "G"
    if participle:
        stated = word.low in STATED or following[0] in "IT" or (following[0] == "R" and choices[0] != "J")
        return "E" if stated or (noun_follows and following[0] not in "C,") else "J"
    if "J" in choices and not (choices[0] == "N" and following[0] == "N"):
        return "J"
    return choices[0]


def _after_noun(word: Word, choices: str, following: str, last: Word | None, joined: bool) -> str:
    """After a noun: a verb that agrees with it, a participle, or one more noun of a compound."""
    usual, low = choices[0], word.low
    participle = next((tag for tag in "EG" if tag in choices), "")
    if participle and (usual != "N" or (participle == "G" and following[0] == "D")):
        return participle
    if low == "full":
        return "J"
    if usual == "J" and low in lexicon().kinds:
        return "N" if low in lexicon().shape_nouns and "N" in choices and following[0] not in "NJ" else "J"
    if "V" in choices:
        base = lemma(low, "VERB") == low
        plural = last is not None and is_plural(last.low)
        if low == "lie":
            return "V"
        if base and plural and following[0] in "DIRT" and low not in ("top", "back", "front", "side"):
            return "V"
        if base and joined and low in _acting() and following[0] in "DIRT":
            return "V"
        if base and not plural and "N" in choices:
            return "V" if low in _PAST_IS_BASE and following[0] == "D" else "N"
        if usual == "V":
            return "V"
        return "V" if low.endswith("s") and following[0] == "D" and not plural and low not in _TWO_NOUNS else usual
    return usual


@cache
def _acting() -> frozenset[str]:
    """The base forms of the verbs that are usual in captions ("stands" gives "stand")."""
    return frozenset(lemma(word, "VERB") for word, tag in lexicon().captions.items() if tag == "V")


_PAST_IS_BASE = frozenset("cast cut hit set put spread split shut burst".split())
_BESIDE = frozenset(["beside", "near", "next to", "behind", "in front of", "while"])
_TWO_NOUNS = frozenset("glasses leaves trees".split())


def _opening(word: Word, choices: str, previous: str, noun_follows: bool, following: str) -> str:
    """At the start of a phrase: after a preposition, verb, comma, "and" or the start of a sentence."""
    usual = choices[0]
    if usual == "N" and "J" in choices and kind_of(word.low) != "other" and noun_follows and following[0] in "NJE":
        return "J"
    if usual == "V" and "N" in choices:
        if previous in "I":
            return "N"
        if previous == "." and following[0] == "V":  # "Mars rises"
            return "N"
        if previous in ".,:C":
            return "V" if following[0] in "DO" or (previous == "C" and word.low.endswith("s")) else "N"
    if usual == "J" and "N" in choices and not noun_follows and previous == "I":
        return "N" if word.low not in lexicon().kinds else "J"
    return usual
