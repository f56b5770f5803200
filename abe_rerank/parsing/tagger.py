"""Part-of-speech tagging by lexicon and context, in one pass from left to right.

Tags are single letters: D determiner, # number, J adjective, N noun, V finite or base verb, G participle in -ing, E past
participle, B form of be, H form of have, M modal, R adverb, I preposition or relation, C coordination, O pronoun, W relative
word, S subordinator, T to, X not, ' possessive, "," "." ":" punctuation, Y symbols and scripts other than Latin.
"""

from __future__ import annotations

import re

from abe_rerank.parsing.lexicon import kind_of, lexicon, tags_of
from abe_rerank.parsing.words import Word

_DIGITS = re.compile(r"[0-9][0-9.,]*")
_LATIN = re.compile(r"[A-Za-zÀ-ɏ]")
_NOMINAL = frozenset("NJ#GE")


def tag(words: list[Word]) -> None:
    """Set the tag of every word in place."""
    options = [word.tag or _options(word) for word in words]
    previous, before = ".", "."
    count = len(words)
    for at, word in enumerate(words):
        choices = options[at]
        if len(choices) > 1:
            following = options[at + 1] if at + 1 < count else "."
            beyond = options[at + 2] if at + 2 < count else "."
            word.tag = _choose(word, choices, previous, before, following, beyond)
        else:
            word.tag = choices
        if word.tag != "R":
            before, previous = previous, word.tag


def _options(word: Word) -> str:
    low = word.low
    first = low[0]
    if first.isalpha():
        if not _LATIN.search(low):
            return "Y"
        if word.text[0].isupper() and low not in lexicon().kinds and tags_of(low)[0] in "GE":
            return tags_of(low)
        return tags_of(low)
    if first.isdigit():
        return "#" if _DIGITS.fullmatch(low) else ("J" if "-" in low else "N")
    if low in (",", "，", "、"):  # noqa: RUF001 - full-width commas
        return ","
    if low in (".", "!", "?", ";", "...", "…", "。", "\n", "|"):
        return "."
    if low in ("'s", "’s", "'", "’"):  # noqa: RUF001 - typographic apostrophes
        return "'"
    if low in ("&", "+"):
        return "C"
    if low.startswith(("'", "n'")):
        return tags_of(low)
    return ":" if not low.isalnum() and low.isascii() else "Y"


def _choose(word: Word, choices: str, previous: str, before: str, following: str, beyond: str) -> str:
    nominal_next = following[0] in _NOMINAL and not (
        following[0] in "GE" and "J" not in following and beyond[0] in "IDT"
    )
    in_phrase = previous in "DJ#'"
    usual = choices[0]
    if usual in "DIWSRC#":
        return usual
    if previous in "MT" and "V" in choices and previous == "M":
        return "V"
    if (
        "J" in choices
        and (following[0] in "NJ" or (following[0] == "C" and beyond[0] in "J"))
        and previous in "DJ#',IC.:VGRB"
    ):
        if usual != "N" or kind_of(word.low) != "other" or in_phrase and word.low not in lexicon().usual:
            return "J"
    if previous == "B":
        if "J" in choices and not (usual == "N" and following[0] in "NG"):
            return "J"
        if usual in "EG":
            return usual
    if in_phrase or previous == "I":
        if usual in "EG":
            return usual if nominal_next or previous in "JI" or "N" not in choices else "N"
        if usual == "J" and nominal_next:
            return "J"
        if usual == "V" or (usual == "J" and not nominal_next and in_phrase):
            return "N" if "N" in choices else usual
        return usual
    if previous in "OW" and "V" in choices:
        return "V"
    if previous == "N":
        if usual == "N" and "V" in choices and _verbal(word, following, before):
            return "V"
        if usual == "E" and "V" not in choices:
            return "E"
        return usual
    if usual == "V" and "N" in choices and previous in ".,:C" and following[0] not in "DO":
        return "V" if previous == "C" and word.low.endswith("s") else "N"
    return usual


def _verbal(word: Word, following: str, before: str) -> bool:
    """Is a word that is usually a noun a verb here, after a noun: "a chef cooks a meal"."""
    return word.low.endswith("s") and following[0] == "D" and before in "DJ#"
