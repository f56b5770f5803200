"""A prompt as it was typed and as it is read: without what nobody sees, every character with its place in the prompt.

Control and format characters, variation selectors and the escape sequences of terminals are no text. They are taken
out before anything is read, so that no name holds one, and every span is mapped back into the prompt.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple, Self

from abe_rerank.parsing.lexicon import is_word
from abe_rerank.types import Span

_LINE_END = re.compile("[\r\x0b\x0c\x1c-\x1e\x85\u2028\u2029]")
_ESCAPE = (
    r"\x1b\[[0-?]*[ -/]*[@-~]|\x9b[0-?]+[@-~]"  # colours and the like
    r"|(?:\x1b[\]PX^_]|[\x9d\x90\x98\x9e\x9f])[^\x07\x1b\x9c\n]{0,200}(?:\x07|\x1b\\|\x9c)"  # titles and links
    r"|\x1b[()*+][0-9A-B]"
)
_FORMAT = (
    "\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164"
    "\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
    "\u0600-\u0605\u06dd\u070f\u0890\u0891\u08e2\U000110bd\U000110cd\U00013430-\U0001343f"
)
"""Unicode's characters that are to be ignored where they cannot be shown (Default_Ignorable_Code_Point), and the rest
of its category "format"."""

ALTERNATIVE = "\u241e"
"""Stands for what parts alternatives ("{red|blue}"); the tokenizer splits words at it, and it reads as "and"."""

_MARKS = frozenset(".," + ALTERNATIVE)
_UNSEEN = re.compile(rf"(?:{_ESCAPE}|[\x00-\x08\x0e-\x1b\x1f\x7f-\x84\x86-\x9f{_FORMAT}])+")
_LETTERS = re.compile(r"[^\W\d_]{0,32}")
_LAST_LETTERS = re.compile(r"[^\W\d_]{0,32}\Z")


class Typed(NamedTuple):
    """``prompt`` as typed; ``text`` as it is read; ``places[k]`` is the place in the prompt of the text's k-th
    character, None where all are in their own place.
    """

    prompt: str
    text: str
    places: Sequence[int] | None = None

    @classmethod
    def of(cls, prompt: str) -> Self:
        """The prompt without what nobody sees. Linear in the length."""
        if prompt.isascii() and prompt.isprintable():
            return cls(prompt, prompt)
        text = _LINE_END.sub("\n", prompt.replace("\r\n", " \n"))
        if not _UNSEEN.search(text):
            return cls(prompt, text)
        kept: list[str] = []
        places: list[int] = []
        at = 0
        for match in _UNSEEN.finditer(text):
            kept.append(text[at : match.start()])
            places += range(at, match.start())
            if _parts_words("".join(kept[-2:])[-32:], text, match.end()):
                kept.append(" ")
                places.append(match.start())
            at = match.end()
        return cls(prompt, "".join([*kept, text[at:]]), (*places, *range(at, len(text))))

    def part(self, start: int, end: int) -> tuple[str, Span]:
        """The characters ``[start, end)`` of the text, white space as single blanks, and where they were typed.

        A mark that stands for syntax ("cube::2" is read as "cube.") is none of them.
        """
        read = self.text[start:end]
        if not read.isalnum():
            if not _MARKS.isdisjoint(read):
                typed = (self.prompt[k if self.places is None else self.places[k]] for k in range(start, end))
                read = "".join(" " if c in _MARKS and c != t else c for c, t in zip(read, typed, strict=True))
            read = " ".join(read.split())
        return read, (start, end) if self.places is None else (self.places[start], self.places[end - 1] + 1)


def _parts_words(before: str, text: str, at: int) -> bool:
    """Does what is taken out stand between two words ("red<NUL>cube"), not inside of one ("hyd<BEL>rant")?"""
    left, right = _LAST_LETTERS.search(before), _LETTERS.match(text, at)
    if left is None or right is None or min(len(left[0]), len(right[0])) < 2:
        return False
    first, second = left[0].lower(), right[0].lower()
    return is_word(first) and is_word(second) and not is_word(first + second)
