"""ABE with the prompt's relations in the score: left, right, above and below, read off the places of regions. Ours.

What ranks is then the ABE score plus ``WEIGHT`` logits of the backbone times the mean over the prompt's relations of
2p - 1, p being the probability of :func:`abe_rerank.scoring.placing.sides` that the objects stand as asked. Relations
that places do not answer ("on", "in", "near") count nothing, and a prompt without others has its ABE score.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property

import torch
from torch import Tensor

from abe_rerank.backbones import Backbone, ImageFeatures
from abe_rerank.errors import UsageError
from abe_rerank.scoring.abe import AbeScorer
from abe_rerank.scoring.calibration import Calibration
from abe_rerank.scoring.phrase_table import PromptTable
from abe_rerank.scoring.placing import centre_of, sides
from abe_rerank.scoring.terms import Terms

BASE = "abe"
WEIGHT = 4.0
"""In logits: chosen on the choosing split (scoring/README.md)."""


class RelationsScorer(AbeScorer):
    """The scorer ``abe`` whose score counts relations, too. Made by ``make_scorer("relations:abe", ...)``."""

    name = f"relations:{BASE}"

    def __init__(self, backbone: Backbone, base: str = BASE) -> None:
        if base != BASE:
            raise UsageError(f"relations are counted beside the score of {BASE} alone, not of {base!r}")
        super().__init__(backbone)

    @property
    def settings_record(self) -> Mapping[str, object]:
        """The settings by name, and what relations weigh."""
        return {**super().settings_record, "relations": WEIGHT}

    @cached_property
    def calibration(self) -> Calibration | None:
        """That of ``abe``: what is seen of pairs is the same."""
        return AbeScorer(self.backbone, self.settings).calibration

    def terms(self, features: ImageFeatures, table: PromptTable) -> Terms:
        """All terms of ``abe``; the value counts the relations."""
        found = super().terms(features, table)
        return replace(found, value=found.value + WEIGHT / self.backbone.logit_scale * _held(features, table, found))


def _held(features: ImageFeatures, table: PromptTable, found: Terms) -> Tensor:
    """Mean of 2p - 1 over the relations of each prompt in each image [n, t], in [-1, 1]; 0 without any."""
    rows = [
        [_mean(_of_image(features, found, n, t, relations)) for t, relations in enumerate(table.relations)]
        for n in range(len(features))
    ]
    return torch.tensor(rows, dtype=found.value.dtype, device=found.value.device)


def _of_image(
    features: ImageFeatures, found: Terms, n: int, t: int, relations: Sequence[tuple[int, str, int]]
) -> list[float]:
    centres = {}
    for k in {k for subject, _, other in relations for k in (subject, other)}:
        weights = features.on_grid(n, found.regions[n, :, t, k]).float().cpu().numpy()
        centres[k] = centre_of(weights, features.windows[n])
    return [2 * side - 1 for side in sides(relations, centres) if side is not None]


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else 0.0
