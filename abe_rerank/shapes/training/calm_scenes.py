"""The world of the text-to-image model: few, well visible objects in a row, mostly named in their order.

What varies little is learnt fast: a UNet of this size, on a processor, learns what words look like well before it has
learnt to place things freely. One object stands in the middle, two or three side by side, the first named to the left,
unless the caption says that it is "to the right of" the other.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from abe_rerank.shapes.training.captions import WORDINGS, caption
from abe_rerank.shapes.world import Scene, SceneObject, WorldSettings, sample_scene, split_rng

PLACED = WorldSettings(
    counts=((1, 0.38), (2, 0.52), (3, 0.1)), diameters=(0.34, 0.44), patterned=0.2, twins=0.05, style=0.0
)
FIRST_SCENE = 30_000_000
PLACES = {1: (0.5,), 2: (0.26, 0.74), 3: (0.18, 0.5, 0.82)}
DIAMETERS = {1: (0.36, 0.46), 2: (0.35, 0.43), 3: (0.27, 0.30)}
SMALL = (0.165, 0.195)
SMALL_ODDS = 0.12
SWAPPED_ODDS = 0.12
WORDING = replace(WORDINGS["full"], shuffle=False)


def placed_scene(index: int) -> Scene:
    """The index-th scene that the UNet learns from."""
    rng = split_rng("train", FIRST_SCENE + index)
    scene = sample_scene(rng, PLACED)
    count = len(scene.objects)
    things = tuple(_stood(thing, x, count, rng) for thing, x in zip(scene.objects, PLACES[count], strict=True))
    return replace(scene, objects=things, background="plain", light=0.3, shadow=0.25)


def placed_caption(index: int, rng: np.random.Generator) -> str:
    """A caption by lot of the index-th scene: from left to right, or from right to left with words that say so."""
    scene = placed_scene(index)
    kinds = {(o.colour, o.shape, o.pattern) for o in scene.objects}
    if len(scene.objects) == len(kinds) == 2 and rng.random() < SWAPPED_ODDS:
        return caption(replace(scene, objects=scene.objects[::-1]), rng, replace(WORDING, place=1.0))
    return caption(scene, rng, WORDING)


def _stood(thing: SceneObject, x: float, count: int, rng: np.random.Generator) -> SceneObject:
    angle = 0.75 if thing.shape == "cube" else float(rng.normal(0, 0.06))
    small = count < 3 and thing.pattern == "plain" and rng.random() < SMALL_ODDS
    diameter = float(rng.uniform(*(SMALL if small else DIAMETERS[count])))
    x, y = x + float(rng.normal(0, 0.02 if count < 3 else 0.008)), 0.5 + float(rng.normal(0, 0.03))
    return replace(thing, x=x, y=y, angle=angle, tilt=0.5, diameter=diameter)
