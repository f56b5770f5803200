"""Text on pictures: Pillow's own font, wrapped to a width."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from PIL import Image, ImageDraw, ImageFont

from abe_rerank.text import printable

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
