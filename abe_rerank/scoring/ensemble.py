"""Several scorers as one, over the candidates of a prompt: by mean rank, or by weighted z-scores.

Scores of different kinds have different units, so they are joined only as places among the candidates. Such a value
depends on who else is a candidate: the scorer is ``relative``, its stamp says so, and evaluations refuse it.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from PIL.Image import Image
from torch import Tensor

from abe_rerank.backbones import Backbone
from abe_rerank.errors import UsageError
from abe_rerank.scoring.registry import Scorer, entries, make_scorer
from abe_rerank.scoring.stream import Item, score_stream, value_matrix
from abe_rerank.types import Part, Score, Spec


def members_of(text: str) -> tuple[tuple[str, float | None], ...]:
    """(scorer, weight or None) of "abe+vqa:MODEL" or "2*abe+0.5*clip".

    A "+" parts two members where a scorer's name follows, so that the name of a model may hold one. Raises UsageError
    for fewer than two members, weights for some of them only, or a weight that is not above 0.
    """
    known = "|".join(sorted(map(re.escape, entries()), key=len, reverse=True))
    found = []
    for member in re.split(rf"\+(?=(?:[^+*]*\*)?(?:{known})(?:[:+]|$))", text):
        weight, star, name = member.rpartition("*") if re.match(r"[^:]*\*", member) else ("", "", member)
        try:
            number = float(weight) if star else None
        except ValueError:
            raise UsageError(f"ensemble:{text}: the weight {weight!r} is no number; write 2*abe+1*clip") from None
        if number is not None and not 0 < number < float("inf"):
            raise UsageError(f"ensemble:{text}: the weight {weight} is not above 0")
        if name.partition(":")[0] == "ensemble":
            raise UsageError(f"ensemble:{text}: an ensemble cannot be a member of one")
        found.append((name, number))
    if len(found) < 2:
        raise UsageError(f"ensemble:{text} has one member; write two or more, as in ensemble:abe+clip")
    if len({weight is None for _, weight in found}) > 1:
        raise UsageError(f"ensemble:{text}: give a weight to each member (z-scores), or to none (mean rank)")
    return tuple(found)


def rank_values(values: NDArray[Any]) -> NDArray[np.float64]:
    """Minus the rank of each row in its column [n, t]: -1 the highest, equal ones share the mean of their ranks.

    A NaN stays one, and takes no rank from the others.
    """
    from scipy.stats import rankdata

    ranks = rankdata(-np.asarray(values, dtype=np.float64), axis=0, nan_policy="omit")
    return np.asarray(-ranks, dtype=np.float64)


def z_values(values: NDArray[Any]) -> NDArray[np.float64]:
    """(value - mean) / standard deviation in each column [n, t], NaN left out; 0 where all are equal."""
    known = np.asarray(values, dtype=np.float64)
    found = np.full(known.shape, np.nan)
    for t in range(known.shape[1]):
        there = np.isfinite(known[:, t])
        if there.any():
            column = known[there, t]
            differ = column.min() < column.max()  # the deviation of equal numbers is not 0 but rounding
            found[there, t] = (column - column.mean()) / column.std() if differ else 0.0
    return found


@dataclass(frozen=True)
class Seen:
    """What each member saw of the same images."""

    each: tuple[Any, ...]

    def __len__(self) -> int:
        return len(self.each[0])

    def take(self, images: Sequence[int]) -> Seen:
        """Of some of the images."""
        return Seen(tuple(seen.take(images) for seen in self.each))


class EnsembleScorer:
    """Scorers joined over the candidates of a prompt: every method takes the images that it is given for all of them.

    Without weights the value is minus the mean rank (-1: the best by every member); with weights it is the weighted
    mean of the members' z-scores.
    """

    name = "ensemble"
    settings_type: ClassVar[type | None] = None
    relative = True
    shares_features = False
    patch_readout: str | None = None

    def __init__(self, backbone: Backbone, text: str) -> None:
        self.backbone, self.asked = backbone, members_of(text)
        self.members: tuple[Scorer, ...] = tuple(make_scorer(name, backbone) for name, _ in self.asked)
        self.by_rank = self.asked[0][1] is None

    @property
    def rule(self) -> str:
        """How members are joined, in words."""
        if self.by_rank:
            return "minus the mean rank among the candidates of a prompt"
        weights = " + ".join(f"{weight:g} {name}" for name, weight in self.asked)
        return f"mean of z-scores over the candidates of a prompt, weighted {weights}"

    @cached_property
    def stamp(self) -> str:
        """The rule, and the stamps of the members."""
        return f"ensemble, {self.rule} | {' | '.join(member.stamp for member in self.members)}"

    def join(self, matrices: Sequence[NDArray[Any]]) -> NDArray[np.float32]:
        """The members' values [images, prompts] as one, float32; NaN where a member has none."""
        return np.asarray(np.average(self._places(matrices), axis=0, weights=self._weights), dtype=np.float32)

    def _places(self, matrices: Sequence[NDArray[Any]]) -> NDArray[np.float64]:
        """[members, images, prompts]; an image that a member could not score is no candidate for any of them."""
        values = np.stack([np.asarray(matrix, dtype=np.float64) for matrix in matrices])
        values[:, np.isnan(values).any(axis=0)] = np.nan
        return np.stack([rank_values(v) if self.by_rank else z_values(v) for v in values])

    @property
    def _weights(self) -> list[float]:
        return [1.0 if weight is None else weight for _, weight in self.asked]

    def forget(self) -> None:
        """See :class:`abe_rerank.scoring.Scorer`."""
        for member in self.members:
            member.forget()

    def encode(self, images: Sequence[Image]) -> Seen:
        """See :class:`abe_rerank.scoring.Scorer`."""
        return Seen(tuple(member.encode(images) for member in self.members))

    def encode_to_explain(self, images: Sequence[Image]) -> Seen:
        """See :class:`abe_rerank.scoring.Scorer`."""
        return Seen(tuple(member.encode_to_explain(images) for member in self.members))

    def prepare(self, specs: Sequence[Spec]) -> tuple[Any, ...]:
        """See :class:`abe_rerank.scoring.Scorer`."""
        return tuple(member.prepare(specs) for member in self.members)

    def score_features(self, features: Seen, prepared: tuple[Any, ...]) -> Tensor:
        """Values [images, prompts] among the encoded images."""
        parts = zip(self.members, features.each, prepared, strict=True)
        return torch.from_numpy(self.join([m.score_features(f, p).float().cpu().numpy() for m, f, p in parts]))

    def explain_features(self, features: Seen, spec: Spec) -> list[Score]:
        """One Score per image, among the encoded images, with each member's place as its parts."""
        columns = zip(self.members, features.each, strict=True)
        return self._joined([member.explain_features(seen, spec) for member, seen in columns])

    def score_together(self, items: Sequence[Item], skip_unreadable: bool, chunk: int) -> Iterator[Score]:
        """The score of each item, those of one prompt being each other's candidates."""
        each = [list(score_stream(m, items, skip_unreadable=skip_unreadable, chunk=chunk)) for m in self.members]
        by_prompt: dict[Spec, list[int]] = defaultdict(list)
        for k, (_, spec) in enumerate(items):
            by_prompt[spec].append(k)
        found: dict[int, Score] = {}
        for rows in by_prompt.values():
            found.update(zip(rows, self._joined([[scores[k] for k in rows] for scores in each]), strict=True))
        yield from (found[k] for k in range(len(items)))

    def _joined(self, each: Sequence[Sequence[Score]]) -> list[Score]:
        """[members][candidates] of one prompt as one score for each candidate."""
        values = [np.array([[np.nan if s.value is None else s.value] for s in scores]) for scores in each]
        joined, places = self.join(values)[:, 0], self._places(values)[:, :, 0]
        found = []
        for n, scores in enumerate(zip(*each, strict=True)):
            if failed := next((score for score in scores if score.value is None), None):
                found.append(replace(failed, scorer=self.stamp))
                continue
            told = next((score for score in scores if score.pairs), scores[0])
            parts = tuple(
                Part("member", name, float(places[m, n]), weight) for m, (name, weight) in enumerate(self.asked)
            )
            found.append(replace(told, value=float(joined[n]), scorer=self.stamp, parts=(*parts, *told.parts)))
        return found

    def score(self, images: Sequence[Image], specs: Sequence[Spec]) -> NDArray[np.float32]:
        """Values [images, prompts] among ``images``, float32; NaN for an empty prompt."""
        return np.asarray(value_matrix(self, images, specs), dtype=np.float32)

    def explain(self, images: Sequence[Image], spec: Spec) -> list[Score]:
        """One Score per image, among ``images``."""
        return list(score_stream(self, ((image, spec) for image in images)))
