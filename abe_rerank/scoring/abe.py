"""ABE-CLIP (arXiv 2512.17178) as a scorer: a thin class over :mod:`abe_rerank.scoring.alignment`.

The paper's: training-free, on CLIP-like models; refined embeddings of object and attribute phrases (Semantic
Refinement), each scored against its most relevant patches (Local Token-Patch Alignment), aggregated and fused with the
global similarity through a binding difference. Its equations were not available to us; ours are in methods.md
section 1 and in the docstrings of :mod:`abe_rerank.scoring.alignment` and :mod:`abe_rerank.scoring.readings`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from functools import cached_property

import torch
from PIL.Image import Image
from torch import Tensor

from abe_rerank.backbones import Backbone, ImageFeatures
from abe_rerank.backbones.features import read_plan
from abe_rerank.scoring.calibration import GENERAL, Calibration
from abe_rerank.scoring.phrase_table import PhraseReader, PromptTable, tabulate
from abe_rerank.scoring.readings import PromptPlan, plan
from abe_rerank.scoring.second_look import LOOK, SecondLook, windows
from abe_rerank.scoring.stream import FeatureScorer
from abe_rerank.scoring.terms import AbeSettings, Explained, Terms, explain, settings_for, terms
from abe_rerank.scoring.tuned import calibration_of, home_of
from abe_rerank.scoring.units import Units, units_of
from abe_rerank.types import Score, Spec


def regions_of(backbone: Backbone) -> str | None:
    """The readout of regions that suits a backbone's family; None if it has none."""
    return next((readout for readout in backbone.readouts if read_plan(readout) is not None), None)


class AbeScorer(FeatureScorer):
    """Scores images against prompts by attribute-bound token-patch similarity. Made by ``make_scorer("abe", ...)``."""

    name = "abe"
    settings_type = AbeSettings

    def __init__(
        self, backbone: Backbone, settings: AbeSettings | None = None, calibration: Calibration | None = None
    ) -> None:
        self.backbone, self.settings = backbone, settings or settings_for(home_of(backbone))
        self._calibration = calibration
        self._reader = PhraseReader(backbone, self.settings.text_readout, self.settings.alpha)

    @property
    def settings_record(self) -> Mapping[str, object]:
        """The settings by name."""
        return asdict(self.settings)

    @property
    def patch_readout(self) -> str | None:
        """The dense readout that this scorer reads: that of the settings, else regions where the backbone has them."""
        return self.settings.patch_readout or regions_of(self.backbone)

    @cached_property
    def calibration_key(self) -> str:
        """That of every scorer, and how pictures are looked at again for verdicts."""
        return f"{super().calibration_key} | {LOOK}"

    @cached_property
    def calibration(self) -> Calibration | None:
        """The calibration that was given, or was made for these weights and settings, beside the backbone or kept."""
        return self._calibration or calibration_of(self.backbone, self.calibration_key)

    @cached_property
    def units(self) -> Units:
        """The units of this backbone, as this scorer reads phrases."""
        return units_of(self._reader, self.settings.template)

    @cached_property
    def second_look(self) -> SecondLook:
        """What reads each pair again in windows, for its verdict."""
        return SecondLook(self._reader, self.settings.template, self.units)

    def encode_to_explain(self, images: Sequence[Image]) -> ImageFeatures:
        """See :class:`abe_rerank.scoring.Scorer`; windows are read beside the patches, in the same forward. For a
        backbone that reads none the patches stand in their place."""
        asked = windows(self.settings.window_depth)
        if regions_of(self.backbone) is not None:
            return self.backbone.encode_images(images, self.patch_readout, asked)
        found: ImageFeatures = self.encode(images)
        return replace(found, beside=(found,) * len(asked))

    def terms(self, features: ImageFeatures, table: PromptTable) -> Terms:
        """All terms, as cosines, of images encoded with this scorer's patch readout."""
        return terms(features, table, self.settings, self.backbone.logit_scale)

    def table(self, specs: Sequence[Spec]) -> tuple[list[PromptPlan], PromptTable]:
        """The phrases of ``specs``, as plans and as one padded table."""
        plans = [plan(spec, self.settings.template, self.settings.region_query) for spec in specs]
        return plans, tabulate(plans, self._reader, self.settings.beta)

    def prepare(self, specs: Sequence[Spec]) -> list[PromptTable]:
        """The phrases of ``specs`` in blocks that bound the memory of the tensor part."""
        return [self.table(block)[1] for block in _blocks(specs)]

    @torch.no_grad()
    def score_features(self, features: ImageFeatures, prepared: list[PromptTable]) -> Tensor:
        """Scores [images, prompts] of images encoded with this scorer's patch readout."""
        return torch.cat([self.terms(features, block).value for block in prepared], dim=1)

    @torch.no_grad()
    def explain_features(self, features: ImageFeatures, spec: Spec) -> list[Score]:
        """One Score per image with its terms, each pair's evidence, margin, region, verdict and probability."""
        again = self.second_look  # made before any phrase is read, so that no digit depends on when it was
        plans, table = self.table([spec])
        found = self.terms(features, table)
        seen = Explained(plans[0], table, features, found, self.calibration or GENERAL, again.looks(features, plans[0]))
        return [self._score(seen, n) for n in range(len(features))]

    def _score(self, seen: Explained, n: int) -> Score:
        found = seen.found
        pairs, parts = explain(seen, n)
        if not pairs:
            value = float(found.value[n, 0])
            return Score(value, "nothing to bind", self.stamp, global_score=value, parts=parts)
        return Score(
            value=float(found.value[n, 0]),
            status="scored",
            scorer=self.stamp,
            global_score=float(found.global_[n, 0]),
            local=float(found.local[n, 0]),
            binding_difference=float(found.difference[n, 0]),
            pairs=pairs,
            parts=parts,
        )


_PROMPTS = 8
_OBJECTS = 2000
"""Prompts, and objects, per block of the tensor part, which bounds its memory."""


def _blocks(specs: Sequence[Spec]) -> Iterator[Sequence[Spec]]:
    """The prompts in blocks that are padded to their longest; a longer one is alone."""
    block: list[Spec] = []
    for spec in specs:
        longest = max(len(one.objects) for one in (*block, spec))
        if block and (len(block) == _PROMPTS or longest * (len(block) + 1) > _OBJECTS):
            yield block
            block = []
        block.append(spec)
    if block:
        yield block
