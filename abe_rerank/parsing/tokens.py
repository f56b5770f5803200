"""From the tokens of any Hugging Face tokenizer to their character spans in a prompt, and windows of whole phrases.

Fast tokenizers give character offsets; where there are none (SigLIP's SentencePiece, slow tokenizers) the pieces are
aligned with the text, byte by byte, so that lower-casing, dropped punctuation, byte fallback and unknown pieces
are survived.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from abe_rerank.errors import UsageError
from abe_rerank.types import Span, Spec

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


_SENTENCE_END = re.compile(r"[.!?;\n。][\"')\]]*\s+")
_CLAUSE_END = re.compile(r"[,:)\u2013\u2014]\s+")
_GAP = re.compile(r"\s+")


def token_offsets(tokenizer: PreTrainedTokenizerBase, text: str) -> list[Span]:
    """The character span of every token of ``tokenizer(text)``; special tokens and dropped text have an empty one."""
    if getattr(tokenizer, "is_fast", False):
        encoded = tokenizer(text, return_offsets_mapping=True, truncation=False, verbose=False)
        return [_trim(text, span) for span in encoded["offset_mapping"]]
    ids = _ids(tokenizer, text)
    special = set(tokenizer.all_special_ids) - {tokenizer.unk_token_id}
    pieces = [None if i in special else p for i, p in zip(ids, tokenizer.convert_ids_to_tokens(ids), strict=True)]
    decoder: dict[str, int] | None = getattr(tokenizer, "byte_decoder", None)
    return align_pieces(text, pieces, tokenizer.unk_token, decoder)


def _ids(tokenizer: PreTrainedTokenizerBase, text: str) -> list[int]:
    ids: list[int] = tokenizer(text, truncation=False, verbose=False)["input_ids"]
    return ids


def _trim(text: str, span: Span) -> Span:
    """The span without the white space at its ends (SentencePiece's "▁red" counts the space before the word)."""
    start, end = span
    while start < end and text[start].isspace():
        start += 1
    while end > start and text[end - 1].isspace():
        end -= 1
    return start, end


def windows(spec: Spec, tokenizer: PreTrainedTokenizerBase, max_tokens: int) -> list[Span]:
    """Character windows of the prompt, in order, that lose nothing; each fits ``max_tokens`` tokens, special
    ones counted.

    A prompt that fits is one window. A longer one is cut at the end of a sentence in the second half of the
    window, else of
    a clause, else between phrases, never inside an object's phrase or an attribute unless that alone is too
    long. White
    space at the ends of a window is left out. Raises UsageError if ``max_tokens`` leaves no room for text.
    """
    prompt = spec.prompt
    room = max_tokens - len(_ids(tokenizer, ""))
    if room < 1:
        raise UsageError(
            f"max_tokens={max_tokens} leaves no room for text beside the special tokens; give a larger window"
        )
    cuts = _cuts(spec)
    offsets = [span for span in token_offsets(tokenizer, prompt) if span[0] < span[1]]
    found: list[Span] = []
    start = _skip_space(prompt, 0)
    while start < len(prompt):
        end = _window_end(prompt, tokenizer, start, max_tokens, room, cuts, offsets)
        stop = start + len(prompt[start:end].rstrip())
        found.append((start, stop))
        start = _skip_space(prompt, end)
    return found


def _cuts(spec: Spec) -> dict[int, int]:
    """Where the prompt may be cut: position -> 3 after a sentence, 2 a clause, 1 between phrases, 0 inside one."""
    prompt = spec.prompt
    cuts = {match.end(): 1 for match in _GAP.finditer(prompt)}
    cuts |= {match.end(): 2 for match in _CLAUSE_END.finditer(prompt)}
    cuts |= {match.end(): 3 for match in _SENTENCE_END.finditer(prompt)}
    for thing in spec.objects:
        for start, end in (thing.phrase_span, *(a.span for a in thing.attributes)):
            for inside in range(start + 1, end):
                if inside in cuts:
                    cuts[inside] = 0
    return cuts


def _window_end(
    prompt: str,
    tokenizer: PreTrainedTokenizerBase,
    start: int,
    max_tokens: int,
    room: int,
    cuts: dict[int, int],
    offsets: list[Span],
) -> int:
    """The end of the window that starts at ``start``: the best cut such that the window, tokenised by itself, fits."""
    inside = [span for span in offsets if span[0] >= start]
    while True:
        limit = len(prompt) if len(inside) <= room else max(inside[room][0], start + 1)
        end = limit if limit == len(prompt) else _best_cut(start, limit, cuts)
        size = len(_ids(tokenizer, prompt[start:end].rstrip()))
        if size <= max_tokens or end == start + 1:
            return end
        room = max(room - max(size - max_tokens, 1), 0)
        inside = inside[: room + 1] if room else inside[:1]


def _best_cut(start: int, limit: int, cuts: dict[int, int]) -> int:
    """The best cut in (start, limit]: the last of the highest rank; sentences and clauses only in the second half."""
    middle = (start + limit) // 2
    best = (-1, limit)
    for place in range(limit, start, -1):
        rank = cuts.get(place, -1)
        if place < middle and rank > 1:
            rank = 1
        if rank > best[0]:
            best = (rank, place)
        if place < middle and best[0] > 0:
            break
    return best[1]


def _skip_space(prompt: str, at: int) -> int:
    while at < len(prompt) and prompt[at].isspace():
        at += 1
    return at


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
