"""Quotation marks and line breaks: which of them say something, and which only stand inside a phrase."""

from __future__ import annotations

from collections.abc import Iterator

from abe_rerank.parsing.lexicon import kind_of, tags_of
from abe_rerank.parsing.scene_words import WRITING
from abe_rerank.parsing.tags import MARK, QUOTED, STOP, tags
from abe_rerank.parsing.words import Word

_QUOTES = frozenset(['"', "\u201c", "\u201d", "''", "``", "\u00ab", "\u00bb"])
_NEAR = 5
_FEW = 4
_GOES_ON = tags("D#JIC")
_CONTINUES = tags("NJ#")


def without_layout(words: list[Word]) -> list[Word]:
    """The words without quotation marks round an attribute ("a 'red' cube") and without line breaks inside a phrase;
    quoted writing ("a sign that says 'red'") is tagged as such.
    """
    dropped: set[int] = set()
    for opened, closed in _quoted(words):
        if not {word.low for word in words[max(opened - _NEAR, 0) : opened]}.isdisjoint(WRITING):
            words[opened].tag = words[closed].tag = MARK  # not the apostrophe of an owner
            for inner in words[opened + 1 : closed]:
                inner.tag = QUOTED
        elif 1 < closed - opened <= _FEW and kind_of(words[opened + 1].low) != "other":
            dropped |= {opened, closed}
    dropped |= {at for at, word in enumerate(words) if word.low == "\n" and _inside_phrase(words, at)}
    return [word for at, word in enumerate(words) if at not in dropped] if dropped else words


def _quoted(words: list[Word]) -> Iterator[tuple[int, int]]:
    """The places of each opening and closing quotation mark."""
    opened = -1
    for at, word in enumerate(words):
        if word.low not in _QUOTES and not _single_quote(words, at, opened):
            continue
        if opened < 0:
            opened = at
        else:
            yield opened, at
            opened = -1


def _single_quote(words: list[Word], at: int, opened: int) -> bool:
    """An apostrophe after a space opens a quotation, one that touches the word before it closes one."""
    if words[at].low == "\u2018":
        return opened < 0
    if words[at].low != "'" or at == 0:
        return False
    return opened >= 0 or (words[at - 1].end < words[at].start and at + 1 < len(words))


def _inside_phrase(words: list[Word], at: int) -> bool:
    """Does a line break follow a word that needs another one, which then comes: "a red / cube", "beside / a cone"?"""
    if not 0 < at < len(words) - 1 or not words[at - 1].low[-1].isalnum():
        return False
    before, after = (words[k].tag or tags_of(words[k].low)[0] for k in (at - 1, at + 1))
    if before not in _GOES_ON or after == STOP or words[at + 1].low == "\n":
        return False
    if kind_of(words[at - 1].low) == "other":
        return before in _NEEDS_MORE
    return after in _CONTINUES and (at < 2 or words[at - 2].low not in ("is", "are", "was", "were"))


_NEEDS_MORE = tags("D#IC")
