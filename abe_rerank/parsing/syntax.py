"""Prompts as people type them: the syntax of the tools they come from, quotes and line breaks inside phrases.

Weights, steps, alternatives, flags and networks are blanked for reading, character by character, so that every span of
the blanked text is one of the text as typed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from abe_rerank.parsing.lexicon import kind_of, tags_of
from abe_rerank.parsing.scene_words import WRITING
from abe_rerank.parsing.tags import MARK, NOUN, QUOTED, STOP, tags
from abe_rerank.parsing.typed import ALTERNATIVE, Typed
from abe_rerank.parsing.words import Word
from abe_rerank.types import Span

_ANY = re.compile(
    r"[()\[\]{}<\\|\ud800-\udfff]|::|--|__|://|:\.?\d|-ar\b|[+-](?=[\s,.]|$)"
    r"|[\u2013\u2014][a-z]|BREAK|AND|ADD[A-Z]{3,4}|embedding:"
)
_SURROGATE = re.compile(r"[\ud800-\udfff]")
_NETWORK = re.compile(
    r"<[A-Za-z]+:[^<>\n]{1,200}>|\bembedding:[\w./-]+|\bhttps?://[^\s<>()\[\]]+"
    r"|\.(?:and|blend|swap)\([^()\n]{0,100}\)|__[\w/-]{1,100}?__"
)
_CHOICES = re.compile(r"(?<=\{)\d+(?:-\d+)?\$\$")
_BARE_WEIGHT = re.compile(r"(?<=[a-z]):(?:\d+\.\d+|\.\d+)(?=\s|,|$)")
_FLAG = re.compile(
    r"(?:^|(?<=\s))(?:--no\b(?:(?! --)[^\n]){0,500}"
    r"|--(?:style|sref|cref|p|profile|ar|aspect)\b[ \t]+(?!--)[^\s,]+"
    r"|--[a-z][a-z-]*(?:(?:[ \t]+|=)\.?\d[\d.:,]*(?=\s|$|,))?"
    r"|-ar[ \t]+\d+:\d+"
    r"|[\u2013\u2014](?:ar|v|s|q|c|stylize|chaos|seed|niji)[ \t]+\d[\d.:]*)"
)
_PART = re.compile(r"::[ \t]{0,4}-?(?:\d+\.?\d*|\.\d+)(?![\d.]|\s*\])|::(?=\s|$)")
_DEGREE = re.compile(
    r"(?<=[a-z][a-z])(?:\++(?=[\s,.)]|$)|-+(?=[\s,.)]|$)(?!-?\s+(?:and|or|to|a|an|the)\b))"
    r"|(?<=[^\W\d_]{2})\+{2,}(?=[\s,.)]|$)"
)
_MARKS = ((_NETWORK, ","), (_FLAG, "."), (_PART, "."), (_DEGREE, " "), (_CHOICES, " "), (_BARE_WEIGHT, " "))
"""What is blanked by itself, and the mark that is read in its place."""

_LAST_WORD = re.compile(r"[^\W\d_]{1,32}\s{0,4}\Z")
_KEYWORD = re.compile(
    r"(?<![A-Za-z0-9_\u00c0-\u024f])(?:BREAK|AND|ADDCOMM|ADDBASE|ADDROW|ADDCOL)(?![A-Za-z0-9_\u00c0-\u024f])"
)
"""Also glued to letters other than Latin ones."""
_WEIGHT = re.compile(r"(?<![\d\s])[ \t]{0,4}:[ \t]{0,4}[+-]?(?:\d+[.,]?\d*|\.\d+)[ \t]{0,4}\Z")
_AFTER_GROUP = re.compile(r"\++(?=[\s,.)]|$)|-+(?=[\s,.)]|$)|\d+(?:\.\d+)?(?=[\s,.)]|$)")
_BEFORE_EMPHASIS = re.compile(
    r"(?:\A|[,.(\[{]|\b(?:an?|the|with|and|of|in|on|beside|his|her|its|their|one|two|three|four|five|six|seven|eight))\s*\Z"
)
_WORD_FOLLOWS = re.compile(r"[ \t]+(?!(?:and|or|with|on|in|is|are|of|next|beside|behind)\b)[A-Za-z]")
_PAIRS = {")": "(", "]": "[", "}": "{"}
_LOOK = 64
_SHOWN = 40


class Stripped(NamedTuple):
    """A prompt for reading: ``text`` has the length of the prompt, with its syntax blanked; ``found`` is that syntax
    as character spans of the prompt.
    """

    text: str
    found: tuple[Span, ...]


def strip(prompt: str) -> Stripped:
    """The prompt without the syntax of other tools. Ordinary parentheses, hyphens and ratios stay. What cannot be
    read at all (lone surrogates) is replaced, too, but is no syntax. Linear in the length.
    """
    if not _ANY.search(prompt):
        return Stripped(prompt, ())
    text = _SURROGATE.sub("\ufffd", prompt)
    found: list[Span] = []
    out = list(text)
    for pattern, mark in _MARKS:
        for match in pattern.finditer(text):
            found.append(match.span())
            _blank(out, *match.span(), " " if mark == "," and _needs_noun(text, match.start()) else mark)
        text = "".join(out)
    if not _KEYWORD.sub("", prompt).isupper():
        for match in _KEYWORD.finditer(text):
            found.append(match.span())
            if match[0] != "AND" or text[match.start() - 1 : match.start()].isalpha():
                _blank(out, *match.span(), ".")
    _groups(text, out, found)
    return Stripped("".join(out), tuple(sorted(set(found))))


def read_as(prompt: str) -> Typed:
    """A prompt as it is read: without what nobody sees, its syntax blanked."""
    typed = Typed.of(prompt)
    return typed._replace(text=strip(typed.text).text)


def unread_syntax(prompt: str) -> tuple[str, ...]:
    """The pieces of a prompt that a plain pipeline takes for words, as typed, each once and at most 40 characters
    long; () for an ordinary prompt.
    """
    pieces: list[str] = []
    end = 0
    text = Typed.of(prompt).text
    for start, stop in strip(text).found:
        if stop > end:
            pieces.append(" ".join(text[start:stop].split()))
            end = stop
    short = (piece if len(piece) <= _SHOWN else piece[: _SHOWN - 3] + "..." for piece in pieces)
    return tuple(dict.fromkeys(short))


def _needs_noun(text: str, at: int) -> bool:
    """Is the word before an attribute, whose noun is still to come: "a red <lora:x:1> cube"?"""
    word = _LAST_WORD.search(text, max(0, at - _LOOK), at)
    return word is not None and kind_of(word[0].strip()) != "other"


def _blank(out: list[str], start: int, end: int, mark: str = " ") -> None:
    """Blank characters, with a mark in their place that does not touch the word before."""
    touches = start > 0 and end - start > 1 and not out[start - 1].isspace()
    out[start:end] = [*(" " if touches else ""), mark, *" " * (end - start - 1 - touches)]


class _Group(NamedTuple):
    """An opened bracket: where, inside which syntax, and where its alternatives are parted."""

    kind: str
    at: int
    bars: list[int]
    inner: list[Span]


def _groups(text: str, out: list[str], found: list[Span]) -> None:
    """Blank brackets that weigh, step or give alternatives."""
    opened: list[_Group] = []
    at = 0
    while at < len(text):
        letter = text[at]
        if letter == "\\":
            out[at] = " "
            at += 2 if text[at + 1 : at + 2] in ("(", ")", "[", "]", "{", "}") else 1
            continue
        if letter == "|" and text[at - 1 : at].strip() and text[at + 1 : at + 2].strip():
            out[at] = ALTERNATIVE
        if letter in "([{":
            opened.append(_Group(letter, at, [], []))
        elif letter in "|:" and opened:
            opened[-1].bars.append(at)
        elif letter in _PAIRS and opened and opened[-1].kind == _PAIRS[letter]:
            group = opened.pop()
            span = (group.at, at + 1)
            if opened:
                opened[-1].inner.append(span)
            end = _close(text, out, group, at, opened[-1] if opened else None)
            if end:
                found.append((group.at, end))
        at += 1


def _close(text: str, out: list[str], group: _Group, at: int, around: _Group | None) -> int:
    """Blank a group that is syntax; the end of it with what weighs it, 0 for ordinary parentheses."""
    start, end = group.at, at + 1
    weight = _WEIGHT.search(text, max(start + 1, at - _LOOK), at)
    after = _AFTER_GROUP.match(text, at + 1)
    if group.kind == "(" and not (weight or after or _doubled(text, group, at, around)):
        if _emphasised(text, start, at):
            out[start] = out[at] = " "
        return 0
    out[start] = out[at] = " "
    if weight:
        _blank(out, weight.start(), at)
    for bar in group.bars:
        parts = group.kind == "[" and len(group.bars) > 1 and (not weight or bar < weight.start())
        if text[bar] == "|" or parts:
            out[bar] = " " if text[bar + 1] == ":" else ALTERNATIVE  # "[red::0.5]": red up to half of the steps
    if after:
        end = after.end()
        _blank(out, at + 1, end)
    if text[end : end + 1] in ("(", "[", "{") and " " in text[start:at]:
        out[at] = ","  # "(red cube:1.2)(blue cone:0.8)"
    return end


def _doubled(text: str, group: _Group, at: int, around: _Group | None) -> bool:
    """Does a parenthesis touch another one on both sides: "((blue))"?"""
    inside = bool(group.inner) and group.inner[0][0] == group.at + 1 and group.inner[-1][1] == at
    outside = (
        around is not None and around.kind == "(" and around.at == group.at - 1 and text[at + 1 : at + 2] in (")", ":")
    )
    return inside or outside


def _emphasised(text: str, start: int, at: int) -> bool:
    """Do single parentheses stand round an attribute before its noun, or round its noun: "a (red) cube", "a red
    (cube)", not "a cube (red)"?
    """
    before = text[max(0, start - _LOOK) : start]
    inside = text[start + 1 : at]
    if inside.isalpha() and len(inside) < _LOOK and tags_of(inside.lower())[0] == NOUN and _needs_noun(text, start):
        return True
    few = at - start < _LOOK and len(text[start:at].split()) <= 3
    return few and bool(_WORD_FOLLOWS.match(text, at + 1)) and bool(_BEFORE_EMPHASIS.search(before))


_QUOTES = frozenset(['"', "\u201c", "\u201d", "''", "``", "`", "\u00ab", "\u00bb"])
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
