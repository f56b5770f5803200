"""Words that are nouns here although they are usually something else: names, owners, signs."""

from __future__ import annotations

from abe_rerank.parsing.lexicon import COUNTABLE_COLOURS, kind_of
from abe_rerank.parsing.scene_words import GENITIVES
from abe_rerank.parsing.tags import ADJECTIVE, NOUN, Tag, tags
from abe_rerank.parsing.words import Word

Options = tuple[Tag, ...]
"""What a word can be, the usual first; never empty."""

_BEFORE_SIGN = tags("DJ#")
_PHRASE_FOLLOWS = tags("DJ#NEG")
_SIGNS = frozenset(["sign", "signs", "symbol", "symbols", "shape", "shapes"])
_NOMINAL = tags("NJ")
_OPENING = tags(".,:C")


def names_someone(words: list[Word], options: list[Options], at: int) -> bool:
    """Is a colour a name: "Luigi in green, Peach in pink"?"""
    word = words[at]
    if not word.text[0].isupper() or word.text.isupper() or at + 1 == len(words):
        return False
    if words[at + 1].low not in ("in", "wearing") or (at > 0 and options[at - 1][0] not in _OPENING):
        return False
    if word.low in COUNTABLE_COLOURS:
        return True
    unusual = options[at] == (ADJECTIVE,) and kind_of(word.low) == "other"  # "Sonic in blue", not "Red in colour"
    return unusual and at + 2 < len(words) and kind_of(words[at + 2].low) == "colour"


def owns(word: Word, options: list[Options], at: int) -> bool:
    """Is a word an owner without apostrophe: "the mans shirt", not "he mans the gate"?"""
    return word.low in GENITIVES and at + 1 < len(options) and options[at + 1][0] in _NOMINAL


def is_sign(words: list[Word], options: list[Options], at: int) -> bool:
    """Is "plus" or "minus" a thing: "a red plus", "a yellow plus sign", not "a red plus a blue cube"?"""
    if words[at].low not in ("plus", "minus"):
        return False
    following = words[at + 1].low if at + 1 < len(words) else "."
    if following in _SIGNS:
        return True
    inside = at > 0 and words[at - 1].tag in _BEFORE_SIGN
    return inside and (at + 1 == len(words) or options[at + 1][0] not in _PHRASE_FOLLOWS)


def in_name(words: list[Word], at: int) -> bool:
    """Is an adjective or verb part of a name: "the Boston Red Sox", where not every word is capitalised?"""
    if not words[at].text[0].isupper() or words[at].text.isupper() or at == 0 or words[at - 1].tag != NOUN:
        return False
    return words[at - 1].text[0].isupper() and at + 1 < len(words) and words[at + 1].text[0].isupper()
