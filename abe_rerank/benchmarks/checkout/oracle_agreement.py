"""How far the oracle can be trusted: exactness on rendered scenes, and agreement with labels given by eye.

``abe-rerank benchmark oracle``. The scenes are of a split that it was not trained on. The labelled images were made by
the built-in text-to-image model and labelled from contact sheets before the oracle had seen them.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from abe_rerank.errors import AbeRerankError
from abe_rerank.evaluation.statistics import Interval, bootstrap_mean
from abe_rerank.shapes.oracle import SIDE, Detection, Oracle, is_right
from abe_rerank.shapes.render import render
from abe_rerank.shapes.world import Scene, SceneObject, Split, sample_scene, split_rng

if TYPE_CHECKING:
    from abe_rerank.types import Spec

LABELLED = Path(__file__).parent / "data" / "oracle"
FIRST_SCENE = 700_000
ATTRIBUTES = ("colour", "shape", "pattern")


@dataclass(frozen=True)
class Exactness:
    """Share of scenes with ``objects`` objects that are found exactly: each with its attributes, and nothing extra."""

    objects: int
    share: Interval
    mistakes: dict[str, int]


@dataclass(frozen=True)
class Agreement:
    """Share of labelled images on which the oracle's verdict is the eye's; the others are named."""

    images: int
    right_by_eye: float
    verdicts: Interval
    contents: Interval
    against: tuple[str, ...] = field(default=())


@dataclass(frozen=True)
class Labelled:
    """A generated image with what was seen by eye: the verdict, and (colour, shape, pattern) of each object."""

    name: str
    image: Image.Image
    prompt: str
    right: bool
    seen: tuple[tuple[str, str, str], ...]


def mistakes_in(found: Sequence[Detection], truth: Sequence[SceneObject]) -> Counter[str]:
    """What is wrong with the detections: "missed", "extra", and each wrong attribute by its name.

    An object is found by the detection left with the nearest centre, if it is nearer than half the object's diameter.
    """
    wrong: Counter[str] = Counter()
    left = list(found)
    for thing in truth:
        gaps = [np.hypot(*(np.subtract(_centre(d.box), (thing.x, thing.y)))) for d in left]
        if not gaps or min(gaps) >= thing.diameter / 2:
            wrong["missed"] += 1
            continue
        detection = left.pop(int(np.argmin(gaps)))
        wrong.update(a for a in ATTRIBUTES if getattr(detection, a) != getattr(thing, a))
    wrong["extra"] += len(left)
    return +wrong


def exactness(oracle: Oracle, objects: int, scenes: int, split: Split = "report") -> Exactness:
    """On ``scenes`` held-out rendered scenes of ``objects`` objects."""
    wrong: Counter[str] = Counter()
    exact = []
    for drawn in _batches(objects, scenes, split):
        images = [Image.fromarray(render(scene, SIDE)[0]) for scene in drawn]
        for scene, found in zip(drawn, oracle.detect(images), strict=True):
            mistakes = mistakes_in(found, scene.objects)
            exact.append(not mistakes)
            wrong += mistakes
    return Exactness(objects, bootstrap_mean(np.array(exact)), dict(wrong))


def agreement(oracle: Oracle, labelled: Sequence[Labelled], specs: Sequence[Spec]) -> Agreement:
    """Of the oracle's verdicts, and of what it finds, with labels given by eye; ``specs`` are those of the prompts."""
    verdicts, contents, against = [], [], []
    found = oracle.detect([item.image for item in labelled])
    for item, things, spec in zip(labelled, found, specs, strict=True):
        kinds = [(d.colour, d.shape, d.pattern) for d in things]
        verdicts.append(is_right(things, spec) == item.right)
        contents.append(sorted(kinds) == sorted(item.seen))
        if not verdicts[-1]:
            seen = "right" if item.right else "wrong"
            against.append(f"{item.name}, {item.prompt!r}: {seen} by eye; found {_listed(kinds)}")
    right = float(np.mean([item.right for item in labelled]))
    return Agreement(
        len(labelled), right, bootstrap_mean(np.array(verdicts)), bootstrap_mean(np.array(contents)), tuple(against)
    )


def read_labelled(folder: Path = LABELLED) -> list[Labelled]:
    """The images labelled by eye: tiles of the sheets of labels.json. Raises AbeRerankError if they are not there."""
    try:
        description = json.loads((folder / "labels.json").read_text())
        sheets = {name: Image.open(folder / name).convert("RGB") for name in description["sheets"]}
    except OSError as error:
        raise AbeRerankError(
            f"the images labelled by eye are missing in {folder} ({error}); install the package again"
        ) from error
    items = []
    if unlabelled := [row["name"] for row in description["images"] if row["right"] is None]:
        raise AbeRerankError(f"not yet labelled by eye in {folder / 'labels.json'}: {', '.join(unlabelled)}")
    for row in description["images"]:
        left, top = row["at"]
        tile = sheets[row["sheet"]].crop((left, top, left + SIDE, top + SIDE))
        seen = tuple(tuple(thing) for thing in row["seen"])
        items.append(Labelled(row["name"], tile, row["prompt"], row["right"], seen))
    return items


def main(json_output: bool = False, scenes: int = 1000) -> str:
    """Measures both, as text or JSON; without images labelled by eye it says that the agreement is not known."""
    from abe_rerank.parsing import parse

    oracle = Oracle.load()
    rows = [exactness(oracle, objects, scenes) for objects in (1, 2, 3, 4)]
    eye = None
    if LABELLED.is_dir():
        labelled = read_labelled()
        eye = agreement(oracle, labelled, [parse(item.prompt) for item in labelled])
    return _as_json(rows, eye, scenes) if json_output else _as_text(rows, eye, scenes)


def _as_json(rows: Sequence[Exactness], eye: Agreement | None, scenes: int) -> str:
    report = {"schema_version": 1, "benchmark": "oracle", "scenes": scenes}
    found = asdict(eye) if eye else None
    return json.dumps({**report, "exactness": [asdict(row) for row in rows], "agreement": found})


def _as_text(rows: Sequence[Exactness], eye: Agreement | None, scenes: int) -> str:
    from abe_rerank.files import table

    kinds = ("missed", "extra", *ATTRIBUTES)
    lines = [[str(r.objects), str(r.share), *(str(r.mistakes.get(kind, 0)) for kind in kinds)] for r in rows]
    exact = f"{scenes} held-out scenes of each; exact: every object with colour, shape and pattern, nothing extra"
    return table(["objects", "exact", *kinds], lines) + "\n\n" + "\n".join([exact, *_agreement_lines(eye)])


def _agreement_lines(eye: Agreement | None) -> list[str]:
    if eye is None:
        return ["agreement with the eye: not known, no generated images have been labelled"]
    return [
        f"{eye.images} generated images labelled by eye, {eye.right_by_eye:.2f} of them right for their prompts:",
        f"same verdict {eye.verdicts}, same objects with all attributes {eye.contents}",
        *(f"against the eye: {line}" for line in eye.against),
    ]


def _batches(objects: int, scenes: int, split: Split, size: int = 50) -> Iterator[list[Scene]]:
    for start in range(0, scenes, size):
        indices = range(FIRST_SCENE + start, FIRST_SCENE + min(start + size, scenes))
        yield [sample_scene(split_rng(split, k), count=objects) for k in indices]


def _centre(box: tuple[float, float, float, float]) -> tuple[float, float]:
    return (box[0] + box[2]) / 2, (box[1] + box[3]) / 2


def _listed(kinds: Sequence[tuple[str, str, str]]) -> str:
    return ", ".join(" ".join(w for w in (p, c, s) if w != "plain") for c, s, p in kinds) or "nothing"
