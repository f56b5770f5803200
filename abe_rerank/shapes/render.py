"""Renders a scene by signed distances: anti-aliased at any size, with the mask of every object.

Coverage is the signed distance of :mod:`abe_rerank.shapes.surfaces` clipped to one pixel's width.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from abe_rerank.shapes.surfaces import SURFACES, Field
from abe_rerank.shapes.world import Scene, SceneObject


def render(scene: Scene, size: int = 128) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Draws a scene.

    Returns the image, uint8 [size, size, 3], and the masks, float32 [objects, size, size] in [0, 1]: the share of each
    pixel that shows the object, after those in front of it have been drawn. The same scene and size give the same
    bytes.
    """
    rng = np.random.default_rng(scene.texture_seed)
    canvas = _background(scene, size, rng)
    for thing in scene.objects:
        _draw_shadow(canvas, thing, scene)
    masks = np.zeros((len(scene.objects), size, size), np.float32)
    for k, thing in enumerate(scene.objects):
        _draw_object(canvas, masks, k, thing, scene)
    if scene.blur:
        canvas = _blur(canvas, scene.blur)
    if scene.noise:
        canvas = canvas + rng.normal(0, scene.noise, canvas.shape).astype(np.float32)
    return (np.clip(canvas, 0, 1) * 255 + 0.5).astype(np.uint8), masks


def _background(scene: Scene, size: int, rng: np.random.Generator) -> Field:
    first, second = (np.array(tone, np.float32) for tone in scene.background_rgb)
    rows = ((np.arange(size, dtype=np.float32) + 0.5) / size)[:, None, None]
    share: Field
    if scene.background == "plain":
        share = np.zeros((size, size, 1), np.float32)
    elif scene.background == "gradient":
        columns = rows.reshape(1, size, 1)
        lean = np.float32(scene.light)
        share = np.clip((1 - abs(lean)) * rows + abs(lean) * (columns if lean > 0 else 1 - columns), 0, 1)
    elif scene.background == "floor":
        edge = np.clip((rows - np.float32(scene.horizon)) * size + 0.5, 0, 1)
        share = edge * (0.6 + 0.4 * rows) * np.ones((1, size, 1), np.float32)
    else:
        share = _cloud(size, rng)[..., None]
    return first * (1 - share) + second * share


def _cloud(size: int, rng: np.random.Generator) -> Field:
    """Smooth noise in [0, 1]: random lattices of three finenesses, interpolated."""
    total = np.zeros((size, size), np.float32)
    for cells, weight in ((4, 0.5), (9, 0.3), (20, 0.2)):
        lattice = rng.random((cells + 1, cells + 1), dtype=np.float32)
        at = np.arange(size, dtype=np.float32) / size * cells
        low = at.astype(int)
        part = at - low
        part = part * part * (3 - 2 * part)
        lines = lattice[low] * (1 - part)[:, None] + lattice[low + 1] * part[:, None]
        total += weight * (lines[:, low] * (1 - part) + lines[:, low + 1] * part)
    return total


def _window(thing: SceneObject, size: int, reach: float) -> tuple[slice, slice, Field, Field]:
    """The pixels within ``reach`` radii of the object, and their coordinates in radii from its centre."""
    r = thing.diameter / 2 * reach
    x0, x1 = (int(np.clip(np.floor(e * size), 0, size)) for e in (thing.x - r, thing.x + r + 1 / size))
    y0, y1 = (int(np.clip(np.floor(e * size), 0, size)) for e in (thing.y - r, thing.y + r + 1 / size))
    u = ((np.arange(x0, x1, dtype=np.float32) + 0.5) / size - thing.x) / (thing.diameter / 2)
    v = ((np.arange(y0, y1, dtype=np.float32) + 0.5) / size - thing.y) / (thing.diameter / 2)
    return slice(y0, y1), slice(x0, x1), u[None, :], v[:, None]


def _draw_shadow(canvas: Field, thing: SceneObject, scene: Scene) -> None:
    if not scene.shadow:
        return
    rows, columns, u, v = _window(thing, len(canvas), 1.5)
    distance = np.sqrt(((u + 0.25 * scene.light) / 1.05) ** 2 + ((v - 0.88) / 0.32) ** 2)
    darkness = scene.shadow * np.clip((1.2 - distance) / 0.6, 0, 1)
    canvas[rows, columns] *= 1 - darkness[..., None]


def _draw_object(canvas: Field, masks: Field, k: int, thing: SceneObject, scene: Scene) -> None:
    size = len(canvas)
    rows, columns, u, v = _window(thing, size, 1.1)
    pixel = 2 / (thing.diameter * size)
    distance, shade, a, b = SURFACES[thing.shape](thing, scene.light, u, v)
    cover = np.clip(0.5 - distance / pixel, 0, 1)[..., None]
    if thing.depth and thing.lamp is None:
        shade = 1.06 - (1 + thing.depth) * (1.06 - shade)
    if thing.metal:
        shade = shade * _mirrored(thing, u, v)
    colour = _pattern(thing, a, b, pixel) * np.clip(shade, 0, 1.25)[..., None]
    if thing.gloss:
        glint = np.exp(-((u + 0.35 * scene.light - 0.1) ** 2 + (v + 0.4) ** 2) / 0.05)
        colour = colour + thing.gloss * glint[..., None] * (1 - colour)
    if thing.outline:
        width = max(0.06, 1.2 * pixel)
        colour = colour * (1 - thing.outline * np.clip((distance + width) / pixel + 0.5, 0, 1))[..., None]
    patch = canvas[rows, columns]
    canvas[rows, columns] = patch * (1 - cover) + np.clip(colour, 0, 1) * cover
    masks[:k, rows, columns] *= 1 - cover[..., 0]
    masks[k, rows, columns] = cover[..., 0]


def _pattern(thing: SceneObject, a: Field, b: Field, pixel: float) -> Field:
    """The surface's colour [h, w, 3] at surface coordinates (a, b)."""
    base = np.array(thing.rgb, np.float32)
    if thing.pattern == "plain":
        return np.broadcast_to(base, (*np.broadcast_shapes(a.shape, b.shape), 3)).copy()
    c, s = np.cos(thing.pattern_angle), np.sin(thing.pattern_angle)
    p, q = (a * c + b * s) * thing.pattern_scale, (b * c - a * s) * thing.pattern_scale
    if thing.pattern == "striped":
        field = np.abs(np.mod(p, 2) - 1) - 0.42
    else:
        # Dots on a hexagonal lattice: two rectangular lattices, one shifted by half a cell.
        near = [np.hypot(np.mod(p + d, 2) - 1, (np.mod(q / 1.2 + d, 2) - 1) * 1.2) for d in (0.0, 1.0)]
        field = np.minimum(*near) - 0.52
    share = np.clip(0.5 - field / max(pixel * thing.pattern_scale, 1e-3), 0, 1)[..., None]
    colour: Field = base * (1 - share) + _contrast(base) * share
    return colour


def _mirrored(thing: SceneObject, u: Field, v: Field) -> Field:
    """The brightness factor of bands that a metal-like surface mirrors, somewhere and at some slant."""
    along = u * np.sin(thing.pattern_angle) + v * np.cos(thing.pattern_angle)
    factor: Field = 1 + thing.metal * np.cos(0.8 * thing.pattern_scale * along + 7 * thing.pattern_angle)
    return factor


def _contrast(rgb: Field) -> Field:
    """The second tone of a pattern: the same hue made much darker or much paler, whichever is seen better."""
    luminance = float(rgb @ np.array([0.3, 0.59, 0.11], np.float32))
    return rgb * 0.38 if luminance > 0.5 else rgb + (1 - rgb) * 0.68


def _blur(canvas: Field, sigma: float) -> Field:
    """A small Gaussian blur, ``sigma`` in pixels, edges repeated."""
    taps = np.exp(-0.5 * (np.arange(-2, 3) / sigma) ** 2).astype(np.float32)
    taps /= taps.sum()
    size = len(canvas)
    padded = np.pad(canvas, ((2, 2), (0, 0), (0, 0)), "edge")
    canvas = np.add.reduce([t * padded[k : k + size] for k, t in enumerate(taps)])
    padded = np.pad(canvas, ((0, 0), (2, 2), (0, 0)), "edge")
    return np.asarray(np.add.reduce([t * padded[:, k : k + size] for k, t in enumerate(taps)]))
