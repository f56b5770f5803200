"""Pictures of a report: embedded images, and a picture darkened outside of what a patch map lights."""

from __future__ import annotations

from base64 import b64encode
from io import BytesIO

import numpy as np
from PIL import Image

from abe_rerank.types import Box

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
