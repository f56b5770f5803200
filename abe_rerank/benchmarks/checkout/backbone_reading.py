"""How well a CLIP-like model reads the shapes world, on scenes of a split it was not trained on.

``abe-rerank benchmark backbone``: zero-shot shape and colour of single objects, replaced and swapped attributes by the
global score, and pointing by the patches. What the global score cannot tell apart is what the ABE scorer is for.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from abe_rerank.benchmarks.binding_scenes import (
    Change,
    caption,
    picture,
    replace_colour,
    replace_shape,
    scenes,
    swap_colours,
)
from abe_rerank.shapes.world import COLOURS, SHAPES, Scene, Split

if TYPE_CHECKING:
    from abe_rerank.backbones import Backbone

FIRST = 500_000
"""Index of the first scene that this benchmark draws from a split; others draw elsewhere."""
REPLACED: dict[str, Change] = {"replaced colour": replace_colour, "replaced shape": replace_shape}
REPLACED_OR_SWAPPED = {**REPLACED, "swapped colours": swap_colours}


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


def distinct_scenes(count: int, objects: int, split: Split) -> list[Scene]:
    """Scenes of ``objects`` objects that all differ in colour and in shape."""
    return list(islice(scenes(objects, split, first=FIRST + 100_000 * objects), count))


def run(backbone: Backbone, count: int = 300, split: Split = "report") -> list[Rate]:
    """All tasks on ``count`` scenes for each number of objects."""
    rates: list[Rate] = []
    for objects, tasks in ((1, REPLACED), (2, REPLACED_OR_SWAPPED), (3, REPLACED_OR_SWAPPED)):
        drawn = distinct_scenes(count, objects, split)
        features = backbone.encode_images([picture(s) for s in drawn])
        if objects == 1:
            rates += zero_shot(backbone, features.global_.cpu().numpy(), drawn)
        for name, change in tasks.items():
            value = _caption_accuracy(backbone, features.global_.cpu().numpy(), drawn, change)
            rates.append(Rate(f"global, {name}, {objects} objects", value, count))
        for name, words in (("shape word", "a {o.shape}"), ("whole phrase", "a {o.colour} {o.shape}")):
            hits = _pointing(backbone, features.patches.cpu().numpy(), features.grid, drawn, words)
            rates.append(Rate(f"pointing by the {name}, {objects} objects", hits, count * objects))
    return rates


def zero_shot(backbone: Backbone, images: np.ndarray, drawn: list[Scene]) -> list[Rate]:
    """How often a single object is named among the twelve shapes, and the twelve colours; ``images`` [n, d].

    A shape's vector is the mean of its phrases in all colours ("a red cube"), scaled to length 1, a colour's that of
    all shapes, as CLIP's zero-shot classifiers are means over templates.
    """
    phrases = [f"{'an' if c[0] in 'aeiou' else 'a'} {c} {s}" for c in COLOURS for s in SHAPES]
    vectors = backbone.encode_texts(phrases).double().cpu().numpy().reshape(len(COLOURS), len(SHAPES), -1)
    rates = []
    for kind, names, axis in (("shape", SHAPES, 0), ("colour", COLOURS, 1)):
        means = vectors.mean(axis=axis)
        said = (images @ (means / np.linalg.norm(means, axis=1, keepdims=True)).T).argmax(axis=1)
        truth = [names.index(getattr(scene.objects[0], kind)) for scene in drawn]
        rates.append(Rate(f"zero-shot {kind} of {len(names)}, 1 object", float(np.mean(said == truth)), len(drawn)))
    return rates


def _caption_accuracy(backbone: Backbone, images: np.ndarray, drawn: list[Scene], change: Change) -> float:
    rng = np.random.default_rng(0)
    right = backbone.encode_texts([caption(s.objects) for s in drawn]).cpu().numpy()
    wrong = backbone.encode_texts([caption(change(s.objects, rng)) for s in drawn]).cpu().numpy()
    return float(np.mean((images * right).sum(-1) > (images * wrong).sum(-1)))


def _pointing(backbone: Backbone, patches: np.ndarray, grid: tuple[int, int], drawn: list[Scene], words: str) -> float:
    """The share of objects whose best patch for ``words`` has its centre in the object's box."""
    hits = []
    for scene, states in zip(drawn, patches, strict=True):
        texts = backbone.encode_texts([words.format(o=o) for o in scene.objects]).cpu().numpy()
        for thing, best in zip(scene.objects, (states @ texts.T).argmax(0), strict=True):
            x, y = (best % grid[1] + 0.5) / grid[1], (best // grid[1] + 0.5) / grid[0]
            left, top, right, bottom = thing.box
            hits.append(left <= x <= right and top <= y <= bottom)
    return float(np.mean(hits))


def load(backbone: str | None, device: str | None, allow_pickle: bool, averaged: bool) -> Backbone:
    """A backbone (None: the built-in one); ``averaged`` pools it as ``python -m abe_rerank.shapes.training power-clip``
    does, which wrote it. Raises UsageError for an unknown backbone."""
    from abe_rerank.backbones import load_backbone

    if averaged and backbone is not None:
        from abe_rerank.shapes.training.power_clip import load_averaged

        return load_averaged(Path(backbone))
    return load_backbone(backbone, device, allow_pickle=allow_pickle)


def main(
    backbone: str | None = None,
    count: int = 400,
    device: str | None = None,
    as_json: bool = False,
    allow_pickle: bool = False,
    averaged: bool = False,
) -> str:
    """Measures what :func:`load` gives on the reporting split; returns a table or JSON."""
    rates = run(load(backbone, device, allow_pickle, averaged), count)
    if as_json:
        return json.dumps([asdict(rate) for rate in rates])
    width = max(len(rate.task) for rate in rates)
    return "\n".join(f"{rate.task:{width}}  {rate.value:.3f} ± {rate.standard_error:.3f}" for rate in rates)
