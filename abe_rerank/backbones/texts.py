"""Text on its way into a text encoder: windows of long prompts, and the character spans of tokens."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from abe_rerank.types import Span

_PHRASE = re.compile(r"[^,;.:!?\n]*[,;.:!?\n]*\s*")
_WORD = re.compile(r"\s*\S+\s*")


def windows(text: str, fits: Callable[[str], bool]) -> list[Span]:
    """Cut ``text`` into the fewest consecutive spans that each fit, at phrase ends where possible.

    A phrase that does not fit is cut between words, a word that does not fit is halved. A text that fits is one span.
    Nothing is lost: the spans cover the text.
    """
    if fits(text):
        return [(0, len(text))]
    spans: list[Span] = []
    for start, end in _pieces(text, (0, len(text)), fits):
        if spans and fits(text[spans[-1][0] : end]):
            spans[-1] = (spans[-1][0], end)
        else:
            spans.append((start, end))
    return spans


def _pieces(text: str, span: Span, fits: Callable[[str], bool]) -> list[Span]:
    """Consecutive spans that cover ``span``, each fitting: phrases, else words, else halves of words."""
    for pattern in (_PHRASE, _WORD):
        found = [m.span() for m in pattern.finditer(text, *span) if m.end() > m.start()]
        if len(found) > 1:
            return [
                piece for part in found for piece in ([part] if _ok(text, part, fits) else _pieces(text, part, fits))
            ]
    if _ok(text, span, fits):
        return [span]
    middle = (span[0] + span[1]) // 2
    return _pieces(text, (span[0], middle), fits) + _pieces(text, (middle, span[1]), fits)


def _ok(text: str, span: Span, fits: Callable[[str], bool]) -> bool:
    return span[1] - span[0] <= 1 or fits(text[span[0] : span[1]])


def token_spans(tokenizer: Any, text: str, encoding: Any, row: int) -> list[Span | None]:
    """The character span of each token of one encoded row; None for special tokens and padding.

    Fast tokenizers know their offsets. For the others the pieces are found in the text one after the other, ignoring
    case and the pieces' word marks; a piece that is not found (a normalised character) takes the next free character.
    """
    special = encoding["special_tokens_mask"][row]
    if tokenizer.is_fast:
        offsets = encoding["offset_mapping"][row]
        return [None if s or a == b else (int(a), int(b)) for s, (a, b) in zip(special, offsets, strict=True)]
    pieces = tokenizer.convert_ids_to_tokens(encoding["input_ids"][row])
    return _align(text, [None if s else piece for s, piece in zip(special, pieces, strict=True)])


def _align(text: str, pieces: list[str | None]) -> list[Span | None]:
    lowered = "".join(c.lower() if len(c.lower()) == 1 else c for c in text)
    spans: list[Span | None] = []
    at = 0
    for piece in pieces:
        bare = None if piece is None else re.sub(r"^(##|[▁Ġ]+)|</w>$", "", piece).lower()
        if not bare:
            spans.append(None)
            continue
        start = lowered.find(bare, at)
        if start < 0 or start - at > 8:
            start = min(at, max(len(text) - 1, 0))
            bare = bare[:1]
        at = min(start + len(bare), len(text))
        spans.append((start, at))
    return spans
