"""The one way from pictures and prompts to scores: a stream of items, a chunk at a time, in bounded memory.

Rankings, files and manifests, evaluations, metrics, rewards and benchmarks all score through here. A chunk ends at
``CHUNK`` items or at ``CHUNK_BYTES`` of decoded pictures, whichever comes first; no score depends on its chunk.
:class:`FeatureScorer` gives a scorer the methods that follow from it, and :func:`rank` orders what it found.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import sha256
from os import PathLike, fspath
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch
from PIL.Image import Image
from torch import Tensor
from tqdm import tqdm

from abe_rerank import __version__
from abe_rerank.backbones import Backbone
from abe_rerank.backbones.devices import size_words
from abe_rerank.backbones.progress import bars_wanted
from abe_rerank.errors import AbeRerankError
from abe_rerank.images import to_pil
from abe_rerank.types import Candidate, NoPicture, Ranking, Samples, Score, Settings, Spec, Status

if TYPE_CHECKING:
    from abe_rerank.images import ImageLike
    from abe_rerank.scoring.registry import Scorer


CHUNK = 64
"""The most items that are scored at once."""

CHUNK_BYTES = 256 * 2**20
"""The most bytes of decoded pictures that are held at once; a larger picture is scored alone."""


Item = tuple["ImageLike | NoPicture", Spec]
"""A picture, decoded or as it is decoded when its turn comes (a path, an array), and what it is asked."""


def score_stream(
    scorer: Scorer, items: Iterable[Item], *, skip_unreadable: bool = False, chunk: int = CHUNK
) -> Iterator[Score]:
    """The score of each item, in order, as they are asked for: no more than a chunk is taken from ``items`` ahead.

    A picture that several items of a chunk name (the same object or path) is decoded once, equal ones are encoded and
    scored once, so that their scores are equal, and a prompt is read once. An item without a picture, and one with an
    empty prompt, are unscored with the reason, and so is a picture whose scores are not finite. With
    ``skip_unreadable`` a picture that cannot be read is unscored, too; else it raises what
    :func:`abe_rerank.images.to_pil` raises. A relative scorer takes all items before the first score.
    """
    if scorer.relative:
        yield from scorer.score_together(list(items), skip_unreadable, chunk)  # type: ignore[attr-defined]
        return
    for block in _blocks(items, skip_unreadable, chunk):
        yield from _scores(scorer, block)


def value_matrix(
    scorer: Scorer, images: Iterable[ImageLike], specs: Sequence[Spec], *, chunk: int = CHUNK
) -> np.ndarray:
    """The values of all images for all prompts without their reasons, float32 [images, prompts]; NaN where unscored.

    Raises what :func:`abe_rerank.images.to_pil` raises.
    """
    if scorer.relative:
        listed = list(images)
        return scorer.join([value_matrix(member, listed, specs, chunk=chunk) for member in scorer.members])  # type: ignore[attr-defined, no-any-return]
    empty = Spec("")
    rows = [np.empty((0, len(specs)), dtype=np.float32)]
    with torch.no_grad():
        prepared = scorer.prepare(specs) if specs else None
        for block in _blocks(((image, empty) for image in images), False, chunk):
            places = [place for place, _ in block.asked if isinstance(place, int)]
            if not specs:
                rows.append(np.empty((len(places), 0), dtype=np.float32))
                continue
            values = scorer.score_features(scorer.encode(block.pictures), prepared).float().cpu().numpy()
            rows.append(np.asarray(values[places], dtype=np.float32))
    matrix = np.concatenate(rows)
    matrix[:, [not spec.prompt.strip() for spec in specs]] = np.nan
    return matrix


@dataclass
class _Block:
    """A chunk: its distinct pictures, and for each item the place of its picture, or why there is none, and its spec.

    ``sources`` holds what the pictures were decoded from, so that an object's identity stays its own.
    """

    pictures: list[Image] = field(default_factory=list)
    asked: list[tuple[int | NoPicture, Spec]] = field(default_factory=list)
    sources: list[object] = field(default_factory=list)
    places: dict[Hashable, int | NoPicture] = field(default_factory=dict)
    size: int = 0

    def add(self, picture: ImageLike | NoPicture, spec: Spec, name: str, skip_unreadable: bool) -> None:
        """Decode the picture of an item unless that was done before."""
        key = fspath(picture) if isinstance(picture, (str, PathLike)) else id(picture)
        if key not in self.places:
            self.sources.append(picture)
            self.places[key] = self._place(picture, name, skip_unreadable)
        self.asked.append((self.places[key], spec))

    def _place(self, picture: ImageLike | NoPicture, name: str, skip_unreadable: bool) -> int | NoPicture:
        if isinstance(picture, NoPicture):
            return picture
        try:
            decoded = to_pil(picture, name)
        except AbeRerankError as error:
            if not skip_unreadable:
                raise
            return NoPicture(str(error))
        same = (decoded.size, sha256(decoded.tobytes()).digest())
        place = self.places.setdefault(same, len(self.pictures))
        if place == len(self.pictures):
            self.pictures.append(decoded)
            self.size += 4 * decoded.width * decoded.height
        return place


def _blocks(items: Iterable[Item], skip_unreadable: bool, chunk: int) -> Iterator[_Block]:
    block = _Block()
    for number, (picture, spec) in enumerate(items):
        block.add(picture, spec, f"image {number}", skip_unreadable)
        if len(block.asked) >= chunk or block.size >= CHUNK_BYTES:
            yield block
            block = _Block()
    if block.asked:
        yield block


def _scores(scorer: Scorer, block: _Block) -> list[Score]:
    """The score of each item of a block: its pictures are encoded together, each prompt is read once."""
    found: list[Score | None] = [None] * len(block.asked)
    by_prompt: dict[Spec, list[tuple[int, int]]] = defaultdict(list)
    for k, (place, spec) in enumerate(block.asked):
        if isinstance(place, NoPicture):
            found[k] = Score(None, "unscored", scorer.stamp, reason=place.reason)
        elif not spec.prompt.strip():
            found[k] = Score(None, "unscored", scorer.stamp, reason="the prompt is empty")
        else:
            by_prompt[spec].append((k, place))
    features = scorer.encode_to_explain(block.pictures) if by_prompt else None
    for spec, rows in by_prompt.items():
        assert features is not None
        places = list(dict.fromkeys(place for _, place in rows))
        asked = features if places == list(range(len(features))) else features.take(places)
        scores = dict(zip(places, map(_finite, scorer.explain_features(asked, spec)), strict=True))
        for k, place in rows:
            found[k] = scores[place]
    return [score for score in found if score is not None]


def _finite(score: Score) -> Score:
    """The score itself, or an unscored one if one of its numbers is not finite, as half precision gives on overflow."""
    numbers = [score.value, score.global_score, score.local, score.binding_difference]
    numbers += [number for pair in score.pairs for number in (pair.evidence, pair.margin, pair.probability)]
    if all(number is None or math.isfinite(number) for number in numbers):
        return score
    return Score(None, "unscored", score.scorer, reason="the backbone gave no finite numbers; try --dtype float32")


def candidates_of(scorer: Scorer, spec: Spec, samples: Samples) -> list[Candidate]:
    """Drawn images as candidates, in their order; those whose drawing failed are unscored, with the reason."""
    scores = scores_of(scorer, spec, [sample.picture for sample in samples.images])
    return [
        Candidate(sample.image, score, sample.seed, renewed=sample.renewed, steps=sample.steps)
        for sample, score in zip(samples.images, scores, strict=True)
    ]


def rank(scorer: Scorer, spec: Spec, samples: Samples) -> Ranking:
    """Drawn images as candidates, best first."""
    return ranking_of(spec, candidates_of(scorer, spec, samples), Settings(scorer.stamp, samples.drawing))


def scores_of(
    scorer: Scorer, spec: Spec, pictures: Sequence[ImageLike | NoPicture], progress: bool = False
) -> list[Score]:
    """The score of each picture for one prompt, with a bar if it is to be shown."""
    scores = score_stream(scorer, ((picture, spec) for picture in pictures))
    return list(
        tqdm(scores, "scoring", len(pictures), unit="image", disable=not (progress and bars_wanted()), leave=False)
    )


def ranking_of(spec: Spec, candidates: Iterable[Candidate], settings: Settings) -> Ranking:
    """Candidates sorted by score, best first, unscored ones last; those with equal scores keep their order: equal
    pictures rank as they were given."""
    ordered = sorted(candidates, key=lambda c: (c.score.value is None, -(c.score.value or 0.0)))
    return Ranking(spec.prompt, spec, tuple(ordered), settings)


def rounding_warning(values: Sequence[float | None], backbone: Backbone) -> str | None:
    """A line if the two best of ``values`` (best first) lie closer than half precision tells apart, else None.

    Measured on the built-in backbone, scores in bfloat16 and float16 stray from float32 by 0.6 of the type's epsilon
    (standard deviation); twice the epsilon is what we take as apart.
    """
    kind = str(backbone.dtype).removeprefix("torch.")
    known = [value for value in values if value is not None][:2]
    if kind in ("float32", "float64") or len(known) < 2 or known[0] - known[1] >= 2 * torch.finfo(backbone.dtype).eps:
        return None
    return f"the two best scores differ by less than {kind} tells apart; --dtype float32 decides between them"


class FeatureScorer(ABC):
    """A scorer that encodes images, and compares what it sees with prompts; see :class:`abe_rerank.scoring.Scorer`.

    ``settings_type`` is the class of its settings, None if it has none.
    """

    name: ClassVar[str]
    settings_type: ClassVar[type | None] = None
    relative: ClassVar[bool] = False
    shares_features: ClassVar[bool] = True
    backbone: Backbone

    @property
    @abstractmethod
    def settings_record(self) -> Mapping[str, object]:
        """The settings by name, in a fixed order, for the stamp."""

    @property
    def patch_readout(self) -> str | None:
        """See :class:`abe_rerank.scoring.Scorer`."""
        return None

    @cached_property
    def stamp(self) -> str:
        """``abe-rerank version type | name | weights [size] | setting=value ...``, the same in every process."""
        dtype = str(self.backbone.dtype).removeprefix("torch.")
        return f"abe-rerank {__version__} {dtype} | {self.calibration_key}"

    @cached_property
    def calibration_key(self) -> str:
        """The stamp without package version and number type, which move scores by rounding only."""
        size = size_words(self.backbone.image_size)
        chosen = " ".join(f"{key}={value}" for key, value in self.settings_record.items())
        return f"{self.name} | {self.backbone.weights_hash}{size} | {chosen}".rstrip(" |")

    def forget(self) -> None:
        """See :class:`abe_rerank.scoring.Scorer`."""
        self.backbone.forget_texts()

    def encode(self, images: Sequence[Image]) -> Any:
        """See :class:`abe_rerank.scoring.Scorer`."""
        return self.backbone.encode_images(images, self.patch_readout)

    def encode_to_explain(self, images: Sequence[Image]) -> Any:
        """See :class:`abe_rerank.scoring.Scorer`."""
        return self.encode(images)

    @abstractmethod
    def prepare(self, specs: Sequence[Spec]) -> Any:
        """See :class:`abe_rerank.scoring.Scorer`."""

    @abstractmethod
    def score_features(self, features: Any, prepared: Any) -> Tensor:
        """See :class:`abe_rerank.scoring.Scorer`."""

    @abstractmethod
    def explain_features(self, features: Any, spec: Spec) -> list[Score]:
        """See :class:`abe_rerank.scoring.Scorer`."""

    def score(self, images: Sequence[Image], specs: Sequence[Spec]) -> np.ndarray:
        """Scores [images, prompts], float32; NaN for an empty prompt."""
        return value_matrix(self, images, specs)

    def explain(self, images: Sequence[Image], spec: Spec) -> list[Score]:
        """One Score per image."""
        return list(score_stream(self, ((image, spec) for image in images)))


def status_of(spec: Spec) -> Status:
    """The status of a prompt's score that has a value."""
    return "nothing to bind" if spec.nothing_to_bind else "scored"
