"""Gain against seconds as a picture: best of N as a line, other strategies as dots, a panel for each task."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from abe_rerank.files import write_png

WIDTH, HEIGHT, LEFT, BELOW, ABOVE, RIGHT = 640, 400, 60, 50, 40, 20
"""Of a panel and of its margins, in pixels."""
COLOURS = ("#b3402e", "#2c7a4b", "#7a4fa3", "#a37a1c")


@dataclass(frozen=True)
class Row:
    """A strategy on some prompts: right picks with their interval, gain over a random picture of the 16, seconds of a
    prompt, and the parts of best-of-16's gain and seconds that these are."""

    strategy: str
    right: str
    gain: float
    seconds: float
    of_gain: float | None
    of_seconds: float


def write_figure(path: Path, panels: Sequence[tuple[str, Sequence[Row]]]) -> None:
    """Write a PNG with the panels below each other. Raises AbeRerankError if it cannot be written."""
    whole = Image.new("RGB", (WIDTH, HEIGHT * len(panels)), "white")
    for number, (title, rows) in enumerate(panels):
        whole.paste(panel(title, rows), (0, HEIGHT * number))
    write_png(path, whole)


def panel(title: str, rows: Sequence[Row]) -> Image.Image:
    """One task: seconds a prompt to the right, gain in right pictures upwards."""
    image = Image.new("RGB", (WIDTH, HEIGHT), "white")
    pen, font = ImageDraw.Draw(image), ImageFont.load_default(13)
    most, high = max(row.seconds for row in rows) or 1.0, max(max(row.gain for row in rows), 0.01)
    low = min(0.0, *(row.gain for row in rows))

    def place(row: Row) -> tuple[float, float]:
        across = LEFT + (WIDTH - LEFT - RIGHT) * row.seconds / most
        return across, ABOVE + (HEIGHT - ABOVE - BELOW) * (high - row.gain) / (high - low)

    pen.text((LEFT, 12), title, "black", font)
    pen.line([(LEFT, ABOVE), (LEFT, HEIGHT - BELOW), (WIDTH - RIGHT, HEIGHT - BELOW)], "black")
    pen.text((WIDTH - RIGHT, HEIGHT - BELOW + 22), "seconds a prompt", "black", font, anchor="ra")
    for share in (0.0, 0.5, 1.0):
        at: tuple[float, float] = (LEFT - 6, ABOVE + (HEIGHT - ABOVE - BELOW) * (1 - share))
        pen.text(at, f"{low + share * (high - low):+.2f}", "black", font, anchor="rm")
        at = LEFT + (WIDTH - LEFT - RIGHT) * share, HEIGHT - BELOW + 4
        pen.text(at, f"{most * share:.1f}", "black", font, anchor="ma")
    plain = sorted((row for row in rows if row.strategy.startswith("best of ")), key=lambda row: row.seconds)
    pen.line([place(row) for row in plain], "#3366aa", width=2)
    for row in plain:
        _dot(pen, place(row), "#3366aa", row.strategy.removeprefix("best of "), font)
    for colour, row in zip(COLOURS, (row for row in rows if row not in plain), strict=False):
        _dot(pen, place(row), colour, row.strategy, font)
    return image


def _dot(pen: ImageDraw.ImageDraw, at: tuple[float, float], colour: str, name: str, font: object) -> None:
    x, y = at
    pen.ellipse([x - 4, y - 4, x + 4, y + 4], colour)
    pen.text((min(x + 7, WIDTH - RIGHT), y + 6), name, colour, font, anchor="la" if x < WIDTH / 2 else "ra")  # type: ignore[arg-type]
