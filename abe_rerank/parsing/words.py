"""From a spaCy ``Doc`` to words: hyphenated words and fixed phrases are one word each, with their character span."""

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import pairwise
from typing import TYPE_CHECKING

from abe_rerank.parsing.lexicon import COLOURED, COUNTABLE_COLOURS, MARKERS, kind_marker, kind_of, lexicon, tags_of
from abe_rerank.parsing.tags import ADJECTIVE, DETERMINER, NOUN, NUMBER, STOP, Tag
from abe_rerank.types import Span

if TYPE_CHECKING:
    from spacy.tokens import Doc

    Tokenize = Callable[[str], Doc]


_HYPHENS = frozenset("-\u2010\u2011\u2012")
_SHORT = {"w/": "with", "w/o": "without"}
_NAMED = re.compile(r"[^_]+")
_RUN = 64
_LONG_RUN = re.compile(rf"\S{{{_RUN + 1},}}")


class Word:
    """One word of the prompt: its text, lower-case form, character span and tag, None before
    :func:`abe_rerank.parsing.tagger.tag` has set it.
    """

    __slots__ = ("end", "low", "start", "tag", "text")

    def __init__(self, text: str, low: str, start: int, end: int, tag: Tag | None = None) -> None:
        self.text = text
        self.low = low
        self.start = start
        self.end = end
        self.tag = tag

    def __repr__(self) -> str:
        return f"{self.text}/{self.tag}"


def words_of(text: str, tokenize: Tokenize) -> list[Word]:
    """The words of a prompt, hyphenated words joined, fixed phrases merged; white space is left out.

    ``tokenize`` is spaCy's tokenizer (text -> Doc). Runs of more than 64 characters without white space are
    given to it in pieces of 64, because its time is quadratic in them.
    """
    joined: list[Word] = []
    glue = False
    for start, end in _tokens(text, tokenize):
        token = text[start:end]
        if token.isspace():
            if "\n" in token:
                joined.append(Word(token, "\n", start, end, STOP))
            glue = False
            continue
        if joined and joined[-1].end == start and _joins(joined[-1], token, glue):
            last = joined[-1]
            last.end = end
            last.text = text[last.start : end]
            last.low += token.lower()
            glue = token in _HYPHENS
            continue
        low = token.lower().replace("\u2019", "'")
        joined.append(Word(token, _SHORT.get(low, low), start, end))
        glue = False
    return _merge_phrases(_unwrapped(joined), text)


def _unwrapped(words: list[Word]) -> list[Word]:
    """The words without a line break inside a fixed phrase ("a fire / hydrant", "next / to")."""
    table = lexicon().phrases
    kept: list[Word] = []
    for at, word in enumerate(words):
        known = table.get(kept[-1].low, {}).get(_next(words, at)) if kept and word.low == "\n" else None
        if not known or word.text.count("\n") > 1 or known[0][1] == ADJECTIVE:
            kept.append(word)
    return kept


def _tokens(text: str, tokenize: Tokenize) -> list[Span]:
    """The characters of every token."""
    cuts = [
        0,
        *(cut for match in _LONG_RUN.finditer(text) for cut in range(match.start(), match.end(), _RUN)),
        len(text),
    ]
    found: list[Span] = []
    for left, right in pairwise(cuts):
        if left < right:
            places = tokenize(text[left:right]).to_array(["IDX", "LENGTH"]).tolist()
            for at, length in places:
                found += _parted(text, left + at, left + at + length)
    return found


def _parted(text: str, start: int, end: int) -> list[Span]:
    """A token, or the words of a tag that is written as one: "red_cube"."""
    token = text[start:end]
    if "_" not in token.strip("_"):
        return [(start, end)]
    return [(start + part.start(), start + part.end()) for part in _NAMED.finditer(token)]


def _joins(last: Word, token_text: str, glue: bool) -> bool:
    """True if a token that touches the last word continues it: a hyphen after letters, or anything after such a
    hyphen.
    """
    if glue:
        return token_text[0].isalnum()
    return token_text in _HYPHENS and last.low[-1].isalnum()


def _merge_phrases(words: list[Word], text: str) -> list[Word]:
    table = lexicon().phrases
    merged: list[Word] = []
    at, count = 0, len(words)
    while at < count:
        word = words[at]
        following = table.get(word.low)
        if following is not None and at + 1 < count and words[at + 1].low in following:
            for parts, tag in following[words[at + 1].low]:
                end = at + len(parts)
                if [other.low for other in words[at:end]] == parts:
                    last = words[end - 1].end
                    word = Word(text[word.start : last], " ".join(parts), word.start, last, tag)
                    at = end - 1
                    break
        merged.append(word)
        at += 1
    return _merge_colours(merged, text)


def _merge_colours(words: list[Word], text: str) -> list[Word]:
    """Join a colour with the word that shades it ("light blue", "cobalt blue"), a value with its marker ("heart
    shaped").
    """
    lex = lexicon()
    merged: list[Word] = []
    for at, word in enumerate(words):
        last = merged[-1] if merged else None
        if last is None:
            merged.append(word)
        elif word.low in COLOURED and _names_colour(merged, words, at):
            merged[-1] = Word(text[last.start : word.end], f"{last.low}-{word.low}", last.start, word.end, ADJECTIVE)
        elif (last.low in lex.colour_modifiers and last.tag in (None, ADJECTIVE) and _shaded(words, at)) or (
            word.low in MARKERS
            and (word.low not in COLOURED or kind_of(last.low) == "colour")
            and kind_marker(f"{last.low}-{word.low}")
            and _next(words, at) not in ("like", "as")
        ):
            merged[-1] = Word(text[last.start : word.end], f"{last.low} {word.low}", last.start, word.end, ADJECTIVE)
        else:
            merged.append(word)
    return merged


def _names_colour(merged: list[Word], words: list[Word], at: int) -> bool:
    """Is the word before "coloured" a thing of the colour that what follows has: "a caramel coloured kitten"?"""
    opens = len(merged) < 2 or tags_of(merged[-2].low)[0] in (DETERMINER, NUMBER)
    following = _next(words, at)
    named = opens and kind_of(merged[-1].low) == "other" and kind_marker(f"{merged[-1].low}-{words[at].low}")
    return bool(named) and following[:1].isalpha() and tags_of(following)[0] == NOUN and kind_of(following) == "other"


def _next(words: list[Word], at: int) -> str:
    return words[at + 1].low if at + 1 < len(words) else ""


def _shaded(words: list[Word], at: int) -> bool:
    """Is the word at ``at`` a plain colour that the word before it may shade; "orange" only where it is no fruit?"""
    low = words[at].low
    if lexicon().kinds.get(low) != "colour" or low in _SHINY:
        return False
    if low not in COUNTABLE_COLOURS:
        return True
    following = _next(words, at)
    return following[:1].isalpha() and tags_of(following)[0] in (NOUN, ADJECTIVE)


_SHINY = frozenset(
    [
        "gold",
        "golden",
        "silver",
        "bronze",
        "copper",
        "colorful",
        "colourful",
        "multicolored",
        "multicoloured",
        "rainbow",
        "pastel",
        "neon",
        "iridescent",
        "orchid",
    ]
)
