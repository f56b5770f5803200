"""From a spaCy ``Doc`` to words: hyphenated words and fixed phrases are one word each, with their character span."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from abe_rerank.parsing.lexicon import COUNTABLE_COLOURS, MARKERS, kind_marker, lexicon, tags_of

if TYPE_CHECKING:
    from spacy.tokens import Doc, Token

    Tokenize = Callable[[str], Doc]

_HYPHENS = frozenset("-\u2010\u2011\u2012")
_RUN = 64
_LONG_RUN = re.compile(rf"\S{{{_RUN + 1},}}")


class Word:
    """One word of the prompt: its text, lower-case form, character span and tag (see
    :mod:`abe_rerank.parsing.tagger`).
    """

    __slots__ = ("end", "low", "start", "tag", "text")

    def __init__(self, text: str, low: str, start: int, end: int, tag: str = "") -> None:
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
    for token, start in _tokens(text, tokenize):
        token_text = token.text
        if token_text.isspace():
            if "\n" in token_text:
                joined.append(Word(token_text, "\n", start, start + len(token_text), "."))
            glue = False
            continue
        if joined and joined[-1].end == start and _joins(joined[-1], token_text, glue):
            last = joined[-1]
            last.end = start + len(token_text)
            last.text = text[last.start : last.end]
            last.low += token.lower_
            glue = token_text in _HYPHENS
            continue
        joined.append(Word(token_text, token.lower_.replace("\u2019", "'"), start, start + len(token_text)))
        glue = False
    return _merge_phrases(joined, text)


def _tokens(text: str, tokenize: Tokenize) -> Iterator[tuple[Token, int]]:
    """Every token with the index of its first character."""
    start = 0
    for match in _LONG_RUN.finditer(text):
        for cut in range(match.start(), match.end(), _RUN):
            yield from ((token, start + token.idx) for token in tokenize(text[start:cut]))
            start = cut
    yield from ((token, start + token.idx) for token in tokenize(text[start:]))


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
    at = 0
    while at < len(words):
        word = words[at]
        for parts, tag in table.get(word.low, ()):
            size = len(parts)
            if all(at + k < len(words) and words[at + k].low == parts[k] for k in range(1, size)):
                end = words[at + size - 1].end
                merged.append(Word(text[word.start : end], " ".join(parts), word.start, end, tag))
                at += size
                break
        else:
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
        elif (last.low in lex.colour_modifiers and last.tag in ("", "J") and _shaded(words, at)) or (
            word.low in MARKERS and kind_marker(f"{last.low}-{word.low}") and _next(words, at) not in ("like", "as")
        ):
            merged[-1] = Word(text[last.start : word.end], f"{last.low} {word.low}", last.start, word.end, "J")
        else:
            merged.append(word)
    return merged


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
    return following[:1].isalpha() and tags_of(following)[0] in "NJ"


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
