"""Pictures of a report: embedded, darkened by a patch map, lettered, and with what is laid over them."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from io import BytesIO

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from abe_rerank.files import printable
from abe_rerank.report.sentences import competitor, mark
from abe_rerank.runs.generated import CandidateRecord
from abe_rerank.runs.records import HeatRecord, PairRecord
from abe_rerank.types import Box, Span

VEIL = (10, 12, 20)
"""The colour that lies over what a map does not light."""

DARKEST = 0.8
"""Opacity of the veil where a map is 0, and outside of the part of the image that was seen."""

EMBEDDED_AS_PNG = 512
"""Images with no side above this many pixels are embedded to the bit; larger ones as WebP, to keep pages small."""


def data_uri(image: Image.Image) -> str:
    """The image inside a data URI: a PNG, or WebP for a large one (its PNG lies in the run folder)."""
    buffer = BytesIO()
    kind = "png" if max(image.size) <= EMBEDDED_AS_PNG else "webp"
    image.convert("RGB").save(buffer, format=kind, quality=90)
    return f"data:image/{kind};base64,{b64encode(buffer.getvalue()).decode('ascii')}"


def spotlight(image: Image.Image, strengths: np.ndarray, window: Box) -> Image.Image:
    """The image darkened where ``strengths`` [rows, columns] are low; 1 keeps it as it is.

    ``window`` is the part of the image that the map covers, as fractions; what lies outside of it is dark. Nothing is
    tinted, so that colours can be judged.
    """
    place = pixels(window, image.size)
    size = max(1, place[2] - place[0]), max(1, place[3] - place[1])
    lit = Image.fromarray(np.rint(255 * np.clip(strengths, 0, 1)).astype(np.uint8))
    light = Image.new("L", image.size, 0)
    light.paste(lit.resize(size, Image.Resampling.BILINEAR), place[:2])
    opacity = light.point([round(DARKEST * (255 - level)) for level in range(256)])
    return Image.composite(Image.new("RGB", image.size, VEIL), image.convert("RGB"), opacity)


def pixels(box: Box, size: tuple[int, int]) -> tuple[int, int, int, int]:
    """A box in fractions as (left, top, right, bottom) in pixels of an image of (width, height)."""
    width, height = size
    return round(box[0] * width), round(box[1] * height), round(box[2] * width), round(box[3] * height)


INK, SOFT, PAPER = "#1b1c1f", "#5c5f68", "#ffffff"
LEADING = 1.4
"""Distance between lines, in sizes of the font."""


@dataclass(frozen=True)
class Line:
    """A paragraph of one size (pixels) and colour; control characters in ``text`` are shown as such."""

    text: str
    size: int = 16
    colour: str = INK

    @cached_property
    def font(self) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
        """Pillow's font at this size."""
        return ImageFont.load_default(self.size)

    def wrapped(self, width: int) -> list[str]:
        """The text in lines of at most ``width`` pixels; a word that is longer is cut."""
        lines = [""]
        for word in printable(self.text).split():
            joined = f"{lines[-1]} {word}".strip()
            if self.font.getlength(joined) <= width:
                lines[-1] = joined
            else:
                lines += self._cut(word, width)
        return [line for line in lines if line] or [""]

    def _cut(self, word: str, width: int) -> list[str]:
        parts = [""]
        for letter in word:
            if parts[-1] and self.font.getlength(parts[-1] + letter) > width:
                parts.append("")
            parts[-1] += letter
        return parts


def height_of(lines: list[Line], width: int) -> int:
    """The height in pixels of ``lines`` wrapped to ``width``."""
    return sum(round(LEADING * line.size) * len(line.wrapped(width)) for line in lines)


def write(canvas: Image.Image, at: tuple[int, int], lines: list[Line], width: int) -> None:
    """Write ``lines`` onto ``canvas`` from (left, top) downwards, wrapped to ``width``."""
    draw = ImageDraw.Draw(canvas)
    left, top = at
    for line in lines:
        for text in line.wrapped(width):
            draw.text((left, top), text, fill=line.colour, font=line.font)
            top += round(LEADING * line.size)


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
