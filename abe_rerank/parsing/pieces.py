"""Where a tokenizer's pieces stand in the text, for tokenizers that give no character offsets."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Sequence

from abe_rerank.types import Span

_BYTE_PIECE = re.compile(r"<0x([0-9A-Fa-f]{2})>")
_RESYNC = 64


def align_pieces(
    text: str,
    pieces: Sequence[str | None],
    unknown: str | None = None,
    byte_decoder: dict[str, int] | None = None,
) -> list[Span]:
    """The character span in ``text`` of each piece, by one pass over both.

    ``pieces`` are a tokenizer's pieces in order, None for special tokens; ``unknown`` is the piece of unknown
    text, which
    gets the characters that its neighbours leave over; ``byte_decoder`` maps the letters of byte-level pieces to bytes
    (GPT-2's table). A piece that is not found, or that stands for no character, has an empty span.
    """
    spans, missed = _align(text, pieces, unknown, byte_decoder, _normal)
    if missed:  # a tokenizer that strips accents
        stripped, missed_stripped = _align(text, pieces, unknown, byte_decoder, _without_accents)
        return stripped if missed_stripped < missed else spans
    return spans


def _align(
    text: str,
    pieces: Sequence[str | None],
    unknown: str | None,
    byte_decoder: dict[str, int] | None,
    normal: Callable[[str], bytes],
) -> tuple[list[Span], int]:
    """The spans under one normalisation, and how many pieces were not found."""
    source, places = _text_bytes(text, normal)
    spans: list[Span] = [(0, 0)] * len(pieces)
    missed = 0
    at = 0
    gaps: list[tuple[int, int]] = []
    for k, piece in enumerate(pieces):
        if piece is None:
            continue
        if piece == unknown:
            gaps.append((k, at))
            continue
        letters = _piece_bytes(piece, byte_decoder, normal)
        first, at = _match(source, at, letters, searching=bool(gaps))
        if first is None:
            missed += bool(letters)
            continue
        spans[k] = (places[first], places[at - 1] + 1)
        _fill(spans, gaps, places, first)
    _fill(spans, gaps, places, len(source))
    return spans, missed


def _text_bytes(text: str, normal: Callable[[str], bytes]) -> tuple[bytes, list[int]]:
    """The normalised text without white space as bytes, and for every byte the index of its character."""
    source = bytearray()
    places: list[int] = []
    for index, character in enumerate(text):
        encoded = normal(character)
        source += encoded
        places += [index] * len(encoded)
    return bytes(source), places


def _normal(text: str) -> bytes:
    folded = unicodedata.normalize("NFKC", text).lower()
    return "".join(folded.split()).encode("utf-8", "surrogatepass")


def _without_accents(text: str) -> bytes:
    decomposed = unicodedata.normalize("NFKD", text)
    return _normal("".join(c for c in decomposed if not unicodedata.combining(c)))


def _piece_bytes(piece: str, byte_decoder: dict[str, int] | None, normal: Callable[[str], bytes]) -> bytes:
    """The bytes a piece stands for, without the marks of word starts and ends ("▁", "##", "</w>", "@@")."""
    byte = _BYTE_PIECE.fullmatch(piece)
    if byte:
        return bytes([int(byte[1], 16)])
    piece = piece.removesuffix("</w>").removesuffix("@@")
    if byte_decoder is not None and all(letter in byte_decoder for letter in piece):
        return bytes(b for b in (byte_decoder[letter] for letter in piece) if b not in b" \t\n\r").lower()
    return normal((piece[2:] if piece.startswith("##") and len(piece) > 2 else piece).replace("▁", ""))


def _match(source: bytes, at: int, piece: bytes, searching: bool) -> tuple[int | None, int]:
    """Where a piece stands in ``source`` from ``at`` on, as [first, end): (None, at) if it is not near."""
    if not piece:
        return None, at
    first = source.find(piece, at, None if searching else at + len(piece) + _RESYNC)
    return (None, at) if first < 0 else (first, first + len(piece))


def _fill(spans: list[Span], gaps: list[tuple[int, int]], places: Sequence[int], end: int) -> None:
    """Give the text before byte ``end`` that no piece took to the unknown pieces that wait for it."""
    for k, start in gaps:
        if start < end:
            spans[k] = (places[start], places[end - 1] + 1)
    gaps.clear()
