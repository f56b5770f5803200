"""Scenes of what the suites ask for: the second course of the text-to-image model.

The first (:mod:`abe_rerank.shapes.training.calm_scenes`) teaches words, shapes and colours on plain objects in a row.
This one has scenes of three objects, of patterns, sizes and counts alike, in rows, columns and triangles. Objects are
named in reading order, unless the caption says with a relation where they are.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from abe_rerank.shapes.training.captions import WORDINGS, caption
from abe_rerank.shapes.world import PATTERNS, Scene, SceneObject, WorldSettings, sample_scene, split_rng

FIRST_SCENE = 40_000_000
"""Its scenes start at this index of the training split."""
KINDS = {"single": 0.12, "colour-2": 0.16, "colour-3": 0.22, "pattern-2": 0.2, "size-2": 0.14, "count-2": 0.16}
"""What a scene is like, with its odds; the names are those of the categories of the suite."""
PAIRS = {"row": 0.75, "column": 0.25}
TRIOS = {"row": 0.2, "two above": 0.4, "two below": 0.4}
COUNTED = {"row": 0.15, "column": 0.45, "sides": 0.4}
"""How a pair of objects, three objects, and two of a kind with another one stand."""
BACKGROUNDS = {"plain": 0.7, "gradient": 0.15, "floor": 0.15}
SMALL, LARGE = (0.165, 0.195), (0.36, 0.47)
OPENINGS = ("a photo of", "a picture of", "a drawing of")
JOINTS = ("and", "and", "and", "next to", "beside", "with", "near", ",")
RELATIONS = {
    "row": (("to the left of", "left of", "on the left of"), ("to the right of", "right of", "on the right of")),
    "column": (("above", "over"), ("below", "under", "beneath")),
}
"""Of the first to the second, and of the second to the first."""
RELATION_ODDS = {"row": 0.3, "column": 0.85}

Place = tuple[float, float]


@dataclass(frozen=True)
class Asked:
    """A scene, its objects in groups of one kind in the order in which they are named, and how the groups stand.

    ``sized`` says whether the sizes are always told.
    """

    scene: Scene
    groups: tuple[tuple[SceneObject, ...], ...]
    stand: str
    sized: bool


def asked_scene(index: int) -> Asked:
    """The index-th scene of the second course."""
    rng = split_rng("train", FIRST_SCENE + index)
    kind = _by_lot(rng, KINDS)
    count = {"single": 1, "colour-3": 3}.get(kind, 2)
    bare = sample_scene(rng, WorldSettings(patterned=0.0, twins=0.0, style=0.0), count=count)
    things = [_calmed(thing, rng) for thing in bare.objects]
    stand = _by_lot(rng, TRIOS if count == 3 else PAIRS) if count > 1 else "row"
    if kind == "count-2":
        stand = _by_lot(rng, COUNTED)
        groups, stand = _counted(things, stand, rng)
    elif kind == "size-2":
        groups = [[thing] for thing in _sized(things, stand, rng)]
    elif kind == "single":
        groups = [[_alone(things[0], rng)]]
    else:
        groups = [[thing] for thing in _placed(things, stand, rng)]
    if kind == "pattern-2":
        patterns = ("striped", "dotted") if rng.random() < 0.75 else (str(rng.choice(PATTERNS[1:])), "plain")
        shuffled = rng.permutation(patterns)
        bounds = (0.38, 0.45)
        groups = [
            [_patterned(_at(g[0], (g[0].x, g[0].y), bounds, rng), str(p), rng)]
            for g, p in zip(groups, shuffled, strict=True)
        ]
    scene = replace(
        bare,
        objects=tuple(thing for group in groups for thing in group),
        background=_by_lot(rng, BACKGROUNDS),
        light=float(rng.uniform(0.0, 0.6)),
        shadow=0.25,
    )
    sized = kind == "size-2" or scene.objects[0].size == "small"
    return Asked(scene, tuple(map(tuple, groups)), stand, sized)


def asked_caption(asked: Asked, rng: np.random.Generator) -> str:
    """A complete caption by lot: every object with colour, pattern and number, and with its size where that matters."""
    wording = replace(
        WORDINGS["full"], shuffle=False, opening=0.0, synonym=0.06, drop_size=0.0 if asked.sized else 0.85
    )
    parts = [caption(replace(asked.scene, objects=group), rng, wording) for group in asked.groups]
    if len(parts) == 3:
        text = f"{parts[0]}, {parts[1]} and {parts[2]}" if rng.random() < 0.7 else " and ".join(parts)
    elif len(parts) == 2:
        text = _related(parts, asked.stand, rng)
    else:
        text = parts[0]
    return f"{rng.choice(OPENINGS)} {text}" if rng.random() < 0.3 else text


def _related(parts: list[str], stand: str, rng: np.random.Generator) -> str:
    if rng.random() < RELATION_ODDS[stand]:
        forward = rng.random() < 0.5
        word = rng.choice(RELATIONS[stand][0 if forward else 1])
        return f"{parts[0]} {word} {parts[1]}" if forward else f"{parts[1]} {word} {parts[0]}"
    joint = str(rng.choice(JOINTS))
    return f"{parts[0]}, {parts[1]}" if joint == "," else f"{parts[0]} {joint} {parts[1]}"


def _by_lot(rng: np.random.Generator, odds: dict[str, float]) -> str:
    shares = np.array(list(odds.values()))
    return list(odds)[int(rng.choice(len(odds), p=shares / shares.sum()))]


def _calmed(thing: SceneObject, rng: np.random.Generator) -> SceneObject:
    """The object nearly upright, seen from about the same height."""
    angle = float(rng.uniform(0.6, 0.9)) if thing.shape == "cube" else float(rng.normal(0, 0.08))
    return replace(thing, angle=angle, tilt=float(rng.uniform(0.42, 0.58)))


def _at(thing: SceneObject, place: Place, bounds: tuple[float, float], rng: np.random.Generator) -> SceneObject:
    """The object about there, inside of the picture, with a diameter between the bounds."""
    diameter = float(rng.uniform(*bounds))
    room = diameter / 2 + 0.01
    x, y = (float(np.clip(at + rng.normal(0, 0.02), room, 1 - room)) for at in place)
    return replace(thing, x=x, y=y, diameter=diameter)


def _alone(thing: SceneObject, rng: np.random.Generator) -> SceneObject:
    place = (0.5 + float(rng.normal(0, 0.04)), 0.5 + float(rng.normal(0, 0.04)))
    lot = rng.random()
    if lot < 0.2:
        return _at(thing, place, SMALL, rng)
    thing = _at(thing, place, (0.36, 0.48), rng)
    return _patterned(thing, str(rng.choice(PATTERNS[1:])), rng) if lot < 0.6 else thing


def _patterned(thing: SceneObject, pattern: str, rng: np.random.Generator) -> SceneObject:
    scale, angle = float(rng.uniform(2.9, 3.6)), float(rng.normal(0.7, 0.2))
    return replace(thing, pattern=pattern, pattern_scale=scale, pattern_angle=angle)


def _placed(things: list[SceneObject], stand: str, rng: np.random.Generator) -> list[SceneObject]:
    """Two or three objects of about one size, in reading order."""
    if len(things) == 2:
        across = float(rng.normal(0, 0.04))
        places = [(0.27, 0.5 - across), (0.73, 0.5 + across)]
        return [_at(t, _turned(p, stand), (0.35, 0.44), rng) for t, p in zip(things, places, strict=True)]
    return [_at(t, p, b, rng) for t, (p, b) in zip(things, _trio(stand), strict=True)]


def _trio(stand: str) -> list[tuple[Place, tuple[float, float]]]:
    """Places and diameters of three objects."""
    low, wide = (0.27, 0.30), (0.34, 0.39)
    return {
        "row": [((x, 0.5), low) for x in (0.18, 0.5, 0.82)],
        "two above": [((0.27, 0.27), wide), ((0.73, 0.27), wide), ((0.5, 0.73), wide)],
        "two below": [((0.5, 0.27), wide), ((0.27, 0.73), wide), ((0.73, 0.73), wide)],
    }[stand]


def _turned(place: Place, stand: str) -> Place:
    return place if stand == "row" else place[::-1]


def _sized(things: list[SceneObject], stand: str, rng: np.random.Generator) -> list[SceneObject]:
    """A small and a large object, or two small ones."""
    first_is_large = rng.random() < 0.5
    both_small = rng.random() < 0.12
    if both_small:
        places, bounds = [(0.3, 0.5), (0.7, 0.5)], [SMALL, SMALL]
    elif first_is_large:
        places, bounds = [(0.32, 0.5), (0.78, 0.5)], [LARGE, SMALL]
    else:
        places, bounds = [(0.22, 0.5), (0.68, 0.5)], [SMALL, LARGE]
    return [_at(t, _turned(p, stand), b, rng) for t, p, b in zip(things, places, bounds, strict=True)]


def _counted(things: list[SceneObject], stand: str, rng: np.random.Generator) -> tuple[list[list[SceneObject]], str]:
    """Two of a kind and one of another in a row, one group above the other, or one group beside the other."""
    twin, other = things
    twins_first = rng.random() < 0.5
    order = [twin, twin, other] if twins_first else [other, twin, twin]
    places = _trio("row" if stand == "row" else "two above" if twins_first else "two below")
    if stand == "sides":
        pair, one = (0.27, 0.73) if twins_first else (0.73, 0.27)
        spots: list[Place] = [(pair, 0.27), (pair, 0.73)]
        spots.insert(2 if twins_first else 0, (one, 0.5))
        places = [(spot, (0.34, 0.39)) for spot in spots]
    stood = [_at(t, p, b, rng) for t, (p, b) in zip(order, places, strict=True)]
    groups = [stood[:2], stood[2:]] if twins_first else [stood[:1], stood[1:]]
    return groups, "column" if stand == "column" else "row"
