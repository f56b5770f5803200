"""What can be laid over a picture: where each object was read, where each attribute beats its competitor, the marks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from abe_rerank.report.sentences import competitor, mark
from abe_rerank.runs.generated import CandidateRecord
from abe_rerank.runs.records import HeatRecord, PairRecord
from abe_rerank.types import Box, Span


@dataclass(frozen=True)
class Overlay:
    """One word of the prompt laid over a picture: a heat map over ``window``, the object's frame, what it shows."""

    number: int
    span: Span
    word: str
    role: str
    heat: HeatRecord
    box: Box
    window: Box
    caption: str


@dataclass(frozen=True)
class Frame:
    """The frame of an object that was found, with the mark of each of its attributes; ``failed`` if one is amiss."""

    box: Box
    marks: tuple[str, ...]
    failed: bool


def region_strengths(pair: PairRecord) -> np.ndarray:
    """The object's region [rows, columns], 1 where it weighs most."""
    weights = pair.region.heat.values
    top = weights.max(initial=0.0)
    return weights / top if top > 0 else np.zeros_like(weights)


def contrast_strengths(pair: PairRecord) -> np.ndarray | None:
    """Where the asked attribute beats its competitor [rows, columns]: 1 where by the picture's largest contrast, in
    whichever direction, 0 where it does not. None where the scorer has no such map."""
    if pair.contrast is None:
        return None
    contrast = pair.contrast.values
    top = np.abs(contrast).max(initial=0.0)
    return np.clip(contrast / top, 0, 1) if top > 0 else np.zeros_like(contrast)


def overlays_of(candidate: CandidateRecord) -> list[list[Overlay]]:
    """The overlays of a candidate, in the order of the prompt's words, one list for each object; numbered from 1."""
    found: dict[Span, dict[Span, PairRecord]] = {}
    for pair in candidate.score.pairs:
        words = found.setdefault(pair.object_span, {})
        words[pair.object_span] = pair
        if pair.contrast is not None:
            words[pair.attribute_span] = pair
    groups: list[list[Overlay]] = []
    number = 0
    for _, words in sorted(found.items()):
        groups.append([])
        for span, pair in sorted(words.items()):
            number += 1
            groups[-1].append(_overlay(number, span, pair))
    return groups


def _overlay(number: int, span: Span, pair: PairRecord) -> Overlay:
    is_object = span == pair.object_span
    strengths = None if is_object else contrast_strengths(pair)
    role, word = ("object", pair.object) if strengths is None else ("attribute", pair.attribute)
    heat = HeatRecord.of(region_strengths(pair) if strengths is None else strengths, low=0.0, high=1.0)
    return Overlay(number, span, word, role, heat, pair.region.box, pair.region.window, caption(pair, role))


def caption(pair: PairRecord, role: str) -> str:
    """What the overlay of an object or an attribute shows."""
    if role == "object":
        return f"Bright where the {pair.object} was read, patch by patch; the frame holds its core."
    return (
        f"Bright where {pair.attribute} fits the patch better than {competitor(pair)} does; "
        f"the frame is where the {pair.object} was read."
    )


def frames_of(pairs: Sequence[PairRecord], *, failed_only: bool = False) -> list[Frame]:
    """A frame for each object that was found, in the order of the pairs; ``failed_only``: for what is amiss alone."""
    by_object: dict[Span, list[PairRecord]] = {}
    for pair in pairs:
        if pair.verdict != "not found":
            by_object.setdefault(pair.object_span, []).append(pair)
    frames = []
    for found in by_object.values():
        failed = [pair for pair in found if pair.verdict != "bound"]
        if failed or not failed_only:
            marks = tuple(mark(pair) for pair in (failed if failed_only else found))
            frames.append(Frame(found[0].region.box, marks, bool(failed)))
    return frames


def missing(pairs: Sequence[PairRecord]) -> list[str]:
    """The marks of the objects that were not found, each once."""
    return list(dict.fromkeys(mark(pair) for pair in pairs if pair.verdict == "not found"))
