"""Pictures of a report: PNG data URIs and heatmaps of regions."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence
from io import BytesIO

import numpy as np
from PIL import Image

HEAT = (255, 0, 128)
STRONGEST = 190
"""Opacity (of 255) of the patch with the largest weight."""


def data_uri(image: Image.Image) -> str:
    """The image as a PNG inside a data URI."""
    buffer = BytesIO()
    image.save(buffer, format="PNG")
    return f"data:image/png;base64,{b64encode(buffer.getvalue()).decode('ascii')}"


def heatmap(weights: Sequence[Sequence[float]]) -> Image.Image:
    """Region weights [rows][columns] as an RGBA image of one pixel per patch, more opaque where larger."""
    grid = np.asarray(weights, dtype=np.float64)
    top = grid.max(initial=0.0)
    heat = np.zeros((*grid.shape, 4), dtype=np.uint8)
    heat[..., :3] = HEAT
    heat[..., 3] = np.rint(np.clip(grid / top, 0, 1) * STRONGEST) if top > 0 else 0
    return Image.fromarray(heat)
