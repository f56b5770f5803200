"""What verdicts stand on: each object is looked for again in windows of the picture that the model pools itself. Ours.

A patch says well where things are and what colour they have, but its word on what a thing *is* is noisy. A window read
through the model's own pooling is a small picture, which is what the model was trained on. So for each pair every value
is read on the asked noun, in every patch and window, beside the nouns of what could stand there instead; what is found
best counts. Of windows there are few on purpose: the best of many is the luckiest one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from abe_rerank.backbones import ImageFeatures
from abe_rerank.backbones.features import RegionPlan
from abe_rerank.scoring import alignment
from abe_rerank.scoring.phrase_table import PhraseReader
from abe_rerank.scoring.readings import BASIC_VALUES, PairPlan, PromptPlan, Reading, kind_of, plain, read_alone
from abe_rerank.scoring.units import Units

WINDOWS = (RegionPlan(0.375, 0.25, 1), RegionPlan(0.5, 0.25, 1))
"""The windows that are read beside the patches."""
ALIKE = 0.25
"""A noun that is nearer to the asked one than this share of the usual distance between nouns may mean the same."""
NOUN_COUNTS = 2.0
"""What a logit of the noun against the other nouns weighs beside a logit of the phrase."""
MOST = 32
"""So many nouns of a prompt are asked for in the place of another one of it."""
_COMMON = """
cube sphere cylinder cone ring star heart cross triangle diamond crescent arrow man woman child dog cat bird
horse cow elephant fish butterfly bear car bus truck bicycle boat airplane train chair table bed sofa lamp
clock vase bottle cup bowl plate fork knife book phone computer camera bag umbrella hat shoe shirt dress
glove ball balloon kite flower tree leaf apple banana orange tomato carrot cake pizza bread egg house door
window bridge road fence bench sign flag candle box basket key guitar mountain cloud river stone wall pillow
blanket mirror picture toy robot
"""
OTHERS = tuple(_COMMON.split())
"""Common things that could be there in place of what was asked for."""


@dataclass(frozen=True)
class Choices:
    """The values that a pair's object may have, the asked one first, and the object that each is asked of ("" none)."""

    values: tuple[str, ...]
    asked_of: tuple[str, ...]


@dataclass(frozen=True)
class Look:
    """What is seen of a pair in one image by each readout, the patches first, in logits.

    ``fits`` [r, c] is how well the noun with each value fits where it fits best. ``presence`` [r, 3]: the best of them
    above neutral phrases; the log share of the noun among all nouns where it is largest; how far the best place stands
    out of the rest of the picture.
    """

    fits: np.ndarray
    presence: np.ndarray


def choices(plan: PromptPlan, pair: PairPlan) -> Choices:
    """Beside the asked value and its competitors, the other basic values of the kind, none of them twice.

    A value that another object of the same noun should have is none of them: both are there.
    """
    noun, kind = plan.kinds[pair.object], pair.attribute.kind
    own = {plain(a.text) for a in plan.objects[pair.object].attributes}
    values = {plain(pair.values[0]): (pair.values[0], "")}
    for value in (*pair.values[1:], *BASIC_VALUES.get(kind, ())):
        owners = plan.owners.get((kind, plain(value)), {})
        if plain(value) not in own and plain(value) not in values and noun not in owners:
            values[plain(value)] = (value, next(iter(owners.values()), ""))
    return Choices(tuple(value for value, _ in values.values()), tuple(owner for _, owner in values.values()))


class SecondLook:
    """Reads the phrases of second looks off one backbone, and looks."""

    def __init__(self, reader: PhraseReader, template: str, units: Units, smoothing: float, share: float) -> None:
        self.reader, self.template, self.units, self.smoothing, self.share = reader, template, units, smoothing, share

    def looks(self, features: ImageFeatures, plan: PromptPlan) -> list[list[Look]]:
        """For each image and each pair of the prompt what is seen. ``features`` have their windows with them; for a
        backbone that reads none the patches stand in their place.
        """
        found = features.looks
        views = (features, *(found.read() if found is not None else [features] * len(WINDOWS)))
        phrases = [self._phrases(plan, pair) for pair in plan.pairs]
        return [[self._look(views, n, *asked) for asked in phrases] for n in range(len(features))]

    def _phrases(self, plan: PromptPlan, pair: PairPlan) -> tuple[Tensor, Tensor]:
        """The noun with each value [c, d], and the nouns that could be meant [m, d], the asked one first."""
        thing = plan.objects[pair.object]
        readings = [read_alone(thing, value, self.template) for value in choices(plan, pair).values]
        kind = plan.kinds[pair.object]
        told = [name for name, _ in zip(dict.fromkeys(plan.kinds), range(MOST), strict=False)]
        names = [name for name in dict.fromkeys((*told, *OTHERS)) if kind_of(name) != kind]
        nouns = [read_alone(thing, "", self.template), *(_noun(name, self.template) for name in names)]
        vectors = self.reader.read((*readings, *nouns))
        return torch.stack([vectors[r] for r in readings]), self._told_apart(torch.stack([vectors[r] for r in nouns]))

    def _told_apart(self, nouns: Tensor) -> Tensor:
        """The nouns [m, d] without those that may mean the first one, and without those that the model cannot tell
        from others, as words that it does not know."""
        cosines = nouns @ nouns.T
        usual = 1 - cosines[0, 1:].median()
        twins = (cosines > 1 - 1e-4).sum(dim=1) > 1
        kept = (1 - cosines[0] >= ALIKE * usual) & ~twins
        kept[0] = True
        return nouns[kept]

    def _look(self, views: Sequence[ImageFeatures], n: int, values: Tensor, nouns: Tensor) -> Look:
        rows = [self._seen(view, n, values, nouns) for view in views]
        return Look(np.stack([fits for fits, _ in rows]), np.stack([presence for _, presence in rows]))

    def _seen(self, view: ImageFeatures, n: int, values: Tensor, nouns: Tensor) -> tuple[np.ndarray, np.ndarray]:
        """(fits [c], presence [3]) of one image in the places [p] of a view."""
        places = view.patches[n][view.mask[n]]
        phrases = torch.cat([values, nouns, self.units.neutral[None]])
        logits = self.units.logit_scale * places @ phrases.T
        if view.plan is None:
            laid = alignment.neighbour_means(logits[None, :, None], [view.grids[n]], self.smoothing)
            logits = laid[0, :, 0]
        count = 1 if view.plan is not None else max(1, round(self.share * len(places)))
        own, others = logits[:, : len(values)], logits[:, len(values) : -1]
        share = others.log_softmax(dim=1)[:, 0]
        best = own.amax(dim=1)
        fits = _top(own + NOUN_COUNTS * share[:, None], count)
        presence = torch.stack([best - logits[:, -1], share, best - best.median()], dim=1)
        return _numbers(fits), _numbers(_top(presence, count))


def _top(values: Tensor, count: int) -> Tensor:
    """The mean of the ``count`` largest over the first axis, for each column of [p, c]."""
    return values.topk(min(count, len(values)), dim=0).values.mean(dim=0)


def _numbers(values: Tensor) -> np.ndarray:
    return np.asarray(values.double().cpu().numpy())


def _noun(name: str, template: str) -> Reading:
    article = "an" if name[0].lower() in "aeiou" else "a"
    text = " ".join(template.format(article=article, phrase=name).split())
    start = text.index(name)
    return Reading(text, (start, start + len(name)), text, (start, start + len(name)))
