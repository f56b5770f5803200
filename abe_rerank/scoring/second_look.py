"""What verdicts stand on: each object is looked for again in windows of the picture that the model pools itself. Ours.

A patch says well where things are and what colour they have, but its word on what a thing *is* is noisy. A window read
through the model's own pooling is a small picture, which is what the model was trained on. So for each pair every value
is read on the asked noun, in every window, beside the nouns of what could stand there instead; what is found best
counts. Of windows there are few on purpose: the best of many is the luckiest one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from abe_rerank.backbones import ImageFeatures
from abe_rerank.backbones.features import RegionPlan
from abe_rerank.scoring.phrase_table import PhraseReader
from abe_rerank.scoring.readings import BASIC_VALUES, PairPlan, PromptPlan, kind_of, plain, read_alone, read_words
from abe_rerank.scoring.units import Units

LOOK = "second look 2"
"""Part of the key of a calibration: a new one where the numbers of a look mean something else than before."""
SIDES = (0.25, 0.375, 0.5)
"""The sides of the windows that are read, as shares of the picture's shorter side."""
STRIDE = 0.25
ALIKE = 0.25
"""A noun that is nearer to the asked one than this share of the usual distance between nouns may mean the same."""
SAME = 1e-4
"""Nouns that are nearer to each other than this share of the usual distance are one word to the model."""
NOUN_COUNTS = 2.0
"""What a logit of the noun against the other nouns weighs beside a logit of the phrase."""
DIFFERENT = 2.0
"""In logits: windows of a picture that shows anything differ by as much, those of an empty one by less. What lies above
says how much there is to see, not whether it is the asked thing."""
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
    """What is seen of a pair in one image in windows of each size, in logits.

    ``fits`` [r, c] is how well the noun with each value fits where it fits best, the log share of the noun among all
    nouns there counting with it. ``presence`` [r, 3]: the same for the best of the values, above neutral phrases; the
    log share of the noun where it is largest; how much the windows differ from each other, at most ``DIFFERENT``.
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


def windows(depth: float) -> tuple[RegionPlan, ...]:
    """The windows that are read, which see themselves alone in the last layers, ``depth`` of all."""
    return tuple(RegionPlan(side, STRIDE, depth) for side in SIDES)


class SecondLook:
    """Reads the phrases of second looks off one backbone, those of common things once for all prompts, and looks."""

    def __init__(self, reader: PhraseReader, template: str, units: Units) -> None:
        self.reader, self.template, self.units = reader, template, units
        self.common = reader.apart(read_words(name, template) for name in OTHERS)

    def looks(self, features: ImageFeatures, plan: PromptPlan) -> list[list[Look]]:
        """For each image and each pair of the prompt what is seen in the windows ``beside`` the ``features``.

        Raises ValueError for features without windows.
        """
        if not features.beside:
            raise ValueError("verdicts are read in windows: encode with encode_to_explain")
        phrases = [self._phrases(plan, pair) for pair in plan.pairs]
        of_pairs = [self._looks(features.beside, *asked) for asked in phrases]
        return [[looks[n] for looks in of_pairs] for n in range(len(features))]

    def _phrases(self, plan: PromptPlan, pair: PairPlan) -> tuple[Tensor, Tensor]:
        """The noun with each value [c, d], and the nouns that could be meant [m, d], the asked one first."""
        thing = plan.objects[pair.object]
        readings = [read_alone(thing, value, self.template) for value in choices(plan, pair).values]
        kind = plan.kinds[pair.object]
        told = [name for name, _ in zip(dict.fromkeys(plan.kinds), range(MOST), strict=False)]
        names = [name for name in dict.fromkeys((*told, *OTHERS)) if kind_of(name) != kind]
        nouns = [read_alone(thing, "", self.template), *(read_words(name, self.template) for name in names)]
        vectors = self.reader.read(one for one in (*readings, *nouns) if one not in self.common) | self.common
        return torch.stack([vectors[r] for r in readings]), self._told_apart(torch.stack([vectors[r] for r in nouns]))

    def _told_apart(self, nouns: Tensor) -> Tensor:
        """The nouns [m, d] without those that may mean the first one, and without those that the model cannot tell
        from others, as words that it does not know."""
        apart = 1 - nouns @ nouns.T
        usual = apart[0, 1:].median()
        twins = (apart < SAME * usual).sum(dim=1) > 1
        kept = (apart[0] >= ALIKE * usual) & ~twins
        kept[0] = True
        return nouns[kept]

    def _looks(self, views: Sequence[ImageFeatures], values: Tensor, nouns: Tensor) -> list[Look]:
        """What is seen of one pair in each image."""
        seen = [self._seen(view, values, nouns) for view in views]
        fits, presence = (np.stack([numbers[k] for numbers in seen], axis=1) for k in (0, 1))
        return list(map(Look, fits, presence))

    def _seen(self, view: ImageFeatures, values: Tensor, nouns: Tensor) -> tuple[np.ndarray, np.ndarray]:
        """(fits [n, c], presence [n, 3]) of the images in the windows [p] of a view."""
        phrases = torch.cat([values, nouns, self.units.neutral[None]])
        logits = self.units.logit_scale * view.patches @ phrases.T
        own, others, neutral = logits[..., : len(values)], logits[..., len(values) : -1], logits[..., -1]
        share = others.log_softmax(dim=-1)[..., 0]
        named = own + NOUN_COUNTS * share[..., None]
        differ = _differences(logits[..., :-1], view.mask).clamp(max=DIFFERENT)[:, None].expand_as(share)
        presence = torch.stack([named.amax(dim=-1) - neutral, share, differ], dim=-1)
        return _most(named, view.mask), _most(presence, view.mask)


def _differences(logits: Tensor, mask: Tensor) -> Tensor:
    """The standard deviation [n] of each phrase's logits [n, p, m] over the real windows in the mask [n, p], averaged
    over the phrases."""
    real = mask[..., None].to(logits.dtype)
    count = real.sum(dim=1, keepdim=True)
    apart = (logits - (logits * real).sum(dim=1, keepdim=True) / count) * real
    return (apart.square().sum(dim=1) / count[:, 0]).sqrt().mean(dim=-1)


def _most(values: Tensor, mask: Tensor) -> np.ndarray:
    """The largest values [n, m] of [n, p, m] among those p that are real in the mask [n, p]."""
    return np.asarray(values.masked_fill(~mask[..., None], -torch.inf).amax(dim=1).double().cpu().numpy())
