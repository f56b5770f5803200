"""How well a CLIP-like model reads the shapes world, on scenes of a split it was not trained on.

``abe-rerank benchmark backbone``: attributes of single objects, replaced and swapped colours by the global score, and
pointing by the patches. What the global score cannot tell apart is what the ABE scorer is for.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from abe_rerank.shapes.render import render
from abe_rerank.shapes.world import COLOURS, SHAPES, Scene, SceneObject, Split, sample_scene, split_rng

if TYPE_CHECKING:
    from abe_rerank.backbones import Backbone

IMAGE_SIZE = 128


@dataclass(frozen=True)
class Rate:
    """A share of ``trials`` with its standard error."""

    task: str
    value: float
    trials: int

    @property
    def standard_error(self) -> float:
        """Of a binomial share."""
        return float(np.sqrt(self.value * (1 - self.value) / self.trials))


def phrase(thing: SceneObject, colour: str | None = None, shape: str | None = None) -> str:
    """'a red cube', with another colour or shape where one is given."""
    words = f"{colour or thing.colour} {shape or thing.shape}"
    return f"{'an' if words[0] in 'aeiou' else 'a'} {words}"


def sentence(things: tuple[SceneObject, ...]) -> str:
    """'a red cube, a blue ring and a green star'."""
    parts = [phrase(t) for t in things]
    return parts[0] if len(parts) == 1 else ", ".join(parts[:-1]) + f" and {parts[-1]}"


def replaced_colour(things: tuple[SceneObject, ...], rng: np.random.Generator) -> tuple[SceneObject, ...]:
    """The objects with one colour replaced by one that none of them has."""
    others = [c for c in COLOURS if c not in {t.colour for t in things}]
    k = int(rng.integers(len(things)))
    return (*things[:k], replace(things[k], colour=str(rng.choice(others))), *things[k + 1 :])


def replaced_shape(things: tuple[SceneObject, ...], rng: np.random.Generator) -> tuple[SceneObject, ...]:
    """The objects with one shape replaced by one that none of them has."""
    others = [s for s in SHAPES if s not in {t.shape for t in things}]
    k = int(rng.integers(len(things)))
    return (*things[:k], replace(things[k], shape=str(rng.choice(others))), *things[k + 1 :])


def swapped_colours(things: tuple[SceneObject, ...], rng: np.random.Generator) -> tuple[SceneObject, ...]:
    """The objects with the colours of two of them exchanged."""
    i, j = rng.choice(len(things), size=2, replace=False)
    changed = list(things)
    changed[i], changed[j] = replace(things[i], colour=things[j].colour), replace(things[j], colour=things[i].colour)
    return tuple(changed)


Change = Callable[[tuple[SceneObject, ...], np.random.Generator], tuple[SceneObject, ...]]


def distinct_scenes(count: int, objects: int, split: Split, first: int = 500_000) -> list[Scene]:
    """Scenes of ``objects`` objects that all differ in colour and in shape."""
    found: list[Scene] = []
    index = first + 100_000 * objects
    while len(found) < count:
        scene = sample_scene(split_rng(split, index), count=objects)
        index += 1
        if all(len({getattr(t, a) for t in scene.objects}) == objects for a in ("colour", "shape")):
            found.append(scene)
    return found


def picture(scene: Scene) -> Image.Image:
    """The scene as a Pillow image."""
    return Image.fromarray(render(scene, IMAGE_SIZE)[0])


def run(backbone: Backbone, scenes: int = 300, split: Split = "report") -> list[Rate]:
    """All tasks on ``scenes`` scenes for each number of objects."""
    rates: list[Rate] = []
    for objects, tasks in (
        (1, {"replaced colour": replaced_colour, "replaced shape": replaced_shape}),
        (2, {"replaced colour": replaced_colour, "replaced shape": replaced_shape, "swapped colours": swapped_colours}),
        (3, {"replaced colour": replaced_colour, "replaced shape": replaced_shape, "swapped colours": swapped_colours}),
    ):
        drawn = distinct_scenes(scenes, objects, split)
        features = backbone.encode_images([picture(s) for s in drawn])
        for name, change in tasks.items():
            value = _caption_accuracy(backbone, features.global_.cpu().numpy(), drawn, change)
            rates.append(Rate(f"global, {name}, {objects} objects", value, scenes))
        for name, words in (("shape word", "a {o.shape}"), ("whole phrase", "a {o.colour} {o.shape}")):
            hits = _pointing(backbone, features.patches.cpu().numpy(), features.grid, drawn, words)
            rates.append(Rate(f"pointing by the {name}, {objects} objects", hits, scenes * objects))
    return rates


def _caption_accuracy(backbone: Backbone, images: np.ndarray, scenes: list[Scene], change: Change) -> float:
    rng = np.random.default_rng(0)
    right = backbone.encode_texts([sentence(s.objects) for s in scenes]).cpu().numpy()
    wrong = backbone.encode_texts([sentence(change(s.objects, rng)) for s in scenes]).cpu().numpy()
    return float(np.mean((images * right).sum(-1) > (images * wrong).sum(-1)))


def _pointing(backbone: Backbone, patches: np.ndarray, grid: tuple[int, int], scenes: list[Scene], words: str) -> float:
    """The share of objects whose best patch for ``words`` has its centre in the object's box."""
    hits = []
    for scene, states in zip(scenes, patches, strict=True):
        texts = backbone.encode_texts([words.format(o=o) for o in scene.objects]).cpu().numpy()
        for thing, best in zip(scene.objects, (states @ texts.T).argmax(0), strict=True):
            x, y = (best % grid[1] + 0.5) / grid[1], (best // grid[1] + 0.5) / grid[0]
            left, top, right, bottom = thing.box
            hits.append(left <= x <= right and top <= y <= bottom)
    return float(np.mean(hits))


def main(backbone: str | None = None, scenes: int = 400, device: str | None = None, as_json: bool = False) -> str:
    """Loads the backbone (None: the built-in one), measures it on the reporting split, returns a table or JSON.

    Raises UsageError for an unknown backbone.
    """
    from abe_rerank.backbones import load_backbone

    rates = run(load_backbone(backbone, device), scenes)
    if as_json:
        return json.dumps([asdict(rate) for rate in rates])
    width = max(len(rate.task) for rate in rates)
    return "\n".join(f"{rate.task:{width}}  {rate.value:.3f} ± {rate.standard_error:.3f}" for rate in rates)
