"""The world of the text-to-image model: few, large objects in fixed places, in the order in which they are named.

What varies little is learnt fast: a UNet of this size, on a processor, learns what words look like well before it has
learnt to place things freely. One object stands in the middle, two stand side by side, the first named to the left.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from abe_rerank.shapes.captions import WORDINGS, caption
from abe_rerank.shapes.world import Scene, SceneObject, WorldSettings, sample_scene, split_rng

PLACED = WorldSettings(counts=((1, 0.4), (2, 0.6)), diameters=(0.34, 0.44), patterned=0.15, twins=0.03, style=0.0)
FIRST_SCENE = 30_000_000
PLACES = {1: (0.5,), 2: (0.26, 0.74)}
WORDING = replace(WORDINGS["full"], shuffle=False)


def placed_scene(index: int) -> Scene:
    """The index-th scene that the UNet learns from."""
    rng = split_rng("train", FIRST_SCENE + index)
    scene = sample_scene(rng, PLACED)
    columns = PLACES[len(scene.objects)]
    things = tuple(_stood(thing, x, rng) for thing, x in zip(scene.objects, columns, strict=True))
    return replace(scene, objects=things, background="plain", light=0.3, shadow=0.25)


def placed_caption(index: int, rng: np.random.Generator) -> str:
    """A caption by lot of the index-th scene, from left to right."""
    return caption(placed_scene(index), rng, WORDING)


def _stood(thing: SceneObject, x: float, rng: np.random.Generator) -> SceneObject:
    angle = 0.75 if thing.shape == "cube" else float(rng.normal(0, 0.06))
    x, y = x + float(rng.normal(0, 0.015)), 0.5 + float(rng.normal(0, 0.025))
    return replace(thing, x=x, y=y, angle=angle, tilt=0.5, diameter=float(rng.uniform(0.38, 0.42)))
