"""ABE-CLIP (arXiv 2512.17178) as a scorer: a thin class over :mod:`abe_rerank.scoring.alignment`.

The paper's: training-free, on CLIP-like models; refined embeddings of object and attribute phrases (Semantic
Refinement), each scored against its most relevant patches (Local Token-Patch Alignment), aggregated and fused with the
global similarity through a binding difference. Its equations were not available to us; ours are in methods.md
section 1 and in the docstrings of :mod:`abe_rerank.scoring.alignment` and :mod:`abe_rerank.scoring.readings`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from functools import cached_property

import numpy as np
import torch
from PIL.Image import Image
from torch import Tensor

from abe_rerank.backbones import Backbone, ImageFeatures
from abe_rerank.scoring.calibration import Calibration, read_calibration
from abe_rerank.scoring.explanations import Explained, explain_pairs
from abe_rerank.scoring.finite import finite
from abe_rerank.scoring.phrase_table import PhraseReader, PromptTable, tabulate
from abe_rerank.scoring.readings import PromptPlan, plan
from abe_rerank.scoring.stamps import calibration_key, stamp
from abe_rerank.scoring.terms import AbeSettings, Terms, settings_for, terms
from abe_rerank.types import Score, Spec


class AbeScorer:
    """Scores images against prompts by attribute-bound token-patch similarity. Made by ``make_scorer("abe", ...)``."""

    name = "abe"

    def __init__(self, backbone: Backbone, settings: AbeSettings | None = None) -> None:
        self.backbone, self.settings = backbone, settings or settings_for(backbone.folder)
        self._reader = PhraseReader(backbone, self.settings.text_readout, self.settings.alpha)

    @cached_property
    def stamp(self) -> str:
        """See :class:`abe_rerank.scoring.Scorer`."""
        return stamp(self.name, self.backbone, asdict(self.settings))

    @cached_property
    def calibration(self) -> Calibration | None:
        """The calibration beside the backbone that was made for these weights and settings, if there is one."""
        return read_calibration(self.backbone.folder, self.calibration_key)

    @property
    def calibration_key(self) -> str:
        """What a calibration must have been made for: the weights and the settings."""
        return calibration_key(self.name, self.backbone, asdict(self.settings))

    @property
    def patch_readout(self) -> str | None:
        """The dense readout that this scorer reads, None the backbone's default."""
        return self.settings.patch_readout

    def encode(self, images: Sequence[Image]) -> ImageFeatures:
        """See :class:`abe_rerank.scoring.Scorer`."""
        return self.backbone.encode_images(images, self.settings.patch_readout)

    def table(self, specs: Sequence[Spec]) -> tuple[list[PromptPlan], PromptTable]:
        """The phrases of ``specs``, as plans and as one padded table."""
        plans = [plan(spec, self.settings.template, self.settings.region_query) for spec in specs]
        return plans, tabulate(plans, self._reader, self.settings.beta)

    def prepare(self, specs: Sequence[Spec]) -> list[PromptTable]:
        """The phrases of ``specs`` in blocks that bound the memory of the tensor part."""
        return [self.table(specs[i : i + _PROMPTS])[1] for i in range(0, len(specs), _PROMPTS)]

    @torch.no_grad()
    def score_features(self, features: ImageFeatures, prepared: list[PromptTable]) -> Tensor:
        """Scores [images, prompts] of images encoded with this scorer's patch readout."""
        return torch.cat([terms(features, block, self.settings).value for block in prepared], dim=1)

    def score(self, images: Sequence[Image], specs: Sequence[Spec]) -> np.ndarray:
        """Scores [images, prompts], float32; NaN for an empty prompt. One vision forward per image."""
        if not specs:
            return np.empty((len(images), 0), dtype=np.float32)
        step, prepared = self.backbone.batch_size, self.prepare(specs)
        chunks = [images[i : i + step] for i in range(0, len(images), step)]
        values = torch.cat([self.score_features(self.encode(chunk), prepared) for chunk in chunks]).cpu().numpy()
        values[:, [not spec.prompt.strip() for spec in specs]] = np.nan
        return np.asarray(values, dtype=np.float32)

    def explain(self, images: Sequence[Image], spec: Spec) -> list[Score]:
        """One Score per image with its terms, each pair's evidence, margin, region, verdict and probability."""
        step = self.backbone.batch_size
        chunks = [images[i : i + step] for i in range(0, len(images), step)]
        return [score for chunk in chunks for score in self.explain_features(self.encode(chunk), spec)]

    @torch.no_grad()
    def explain_features(self, features: ImageFeatures, spec: Spec) -> list[Score]:
        """See :class:`abe_rerank.scoring.Scorer`."""
        if not spec.prompt.strip():
            return [Score(None, "unscored", self.stamp, reason="the prompt is empty")] * len(features)
        plans, table = self.table([spec])
        found = terms(features, table, self.settings)
        return [finite(self._score(features, plans[0], table, found, n)) for n in range(len(features))]

    @torch.no_grad()
    def pair_features(self, features: ImageFeatures, specs: Sequence[Spec]) -> list[np.ndarray]:
        """What a calibration sees: for each prompt [images, pairs, 3] of margin, evidence and noun evidence."""
        plans, table = self.table(specs)
        found = terms(features, table, self.settings)
        numbers = []
        for t, p in enumerate(plans):
            owners = [pair.object for pair in p.pairs]
            j = len(owners)
            rows = (found.margins[:, t, :j], found.evidence[:, t, :j, 0], found.nouns[:, t, owners])
            numbers.append(torch.stack(rows, dim=-1).cpu().numpy())
        return numbers

    def _score(self, features: ImageFeatures, plan: PromptPlan, table: PromptTable, found: Terms, n: int) -> Score:
        if not plan.pairs:
            value = float(found.value[n, 0])
            return Score(value, "nothing to bind", self.stamp, global_score=value)
        return Score(
            value=float(found.value[n, 0]),
            status="scored",
            scorer=self.stamp,
            global_score=float(found.global_[n, 0]),
            local=float(found.local[n, 0]),
            binding_difference=float(found.difference[n, 0]),
            pairs=explain_pairs(Explained(plan, table, features, found, self.calibration), n),
        )


_PROMPTS = 16
"""Prompts per block of the tensor part, which bounds its memory."""
