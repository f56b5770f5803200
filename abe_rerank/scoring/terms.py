"""The ABE score of images and prompts: its settings, its terms, and from these what a reader sees of each pair."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import Literal, get_args

import numpy as np
import torch
from torch import Tensor

from abe_rerank.backbones import ImageFeatures
from abe_rerank.errors import AbeRerankError, UsageError
from abe_rerank.files import checked, read_json, write_whole
from abe_rerank.scoring import alignment
from abe_rerank.scoring.calibration import Calibration
from abe_rerank.scoring.decision import Found, decide
from abe_rerank.scoring.phrase_table import PromptTable, TextReadout
from abe_rerank.scoring.placing import region_box, relation_parts
from abe_rerank.scoring.readings import PromptPlan, RegionQuery
from abe_rerank.scoring.second_look import Choices, Look, choices
from abe_rerank.types import PairScore, Part, Region

RegionKind = Literal["soft", "top", "whole"]
LocalKind = Literal["somewhere", "regions"]
_CHOICES = {
    "text_readout": get_args(TextReadout),
    "region": get_args(RegionKind),
    "region_query": get_args(RegionQuery),
    "local": get_args(LocalKind),
}
_FIELDS = re.compile(r"{(.*?)}")


@dataclass(frozen=True)
class AbeSettings:
    """The scorer's choices. The defaults are for backbones that nothing was tuned on (scoring/README.md).

    ``text_readout``: a phrase's pooled embedding, or its words' token states. ``patch_readout``: a dense readout of the
    backbone, None regions where it has them, else its default. ``alpha``: 0 reads phrases inside the prompt, 1 alone.
    ``beta``: how much of competing phrases is subtracted. ``region``: how an object's region is weighted, ``soft``
    (softmax of the maps), ``top`` (the best ``region_share`` of the patches) or ``whole`` (no region).
    ``region_query``: see :func:`abe_rerank.scoring.readings.plan`. ``smoothing``: the window of neighbours over which
    the maps that regions come from are averaged, as a share of the grid's shorter side. ``competition``: how strongly
    objects compete for patches. ``softness``: by how many of the backbone's own logits two patches must differ for
    maps to tell them apart by a factor of e; it means the same on a model whose cosines lie close together. ``local``:
    what the local term is, the sum over objects of how well the whole phrase fits some place (``somewhere``), or the
    mean over nouns and pairs of their evidence in the objects' ``regions``. ``lambda_`` and ``mu`` weigh the local term
    and the binding difference against the global cosine, whose weight is ``global_weight``. ``window_depth``: the share
    of the vision encoder's layers, the last ones, in which a window that verdicts are read in sees itself alone; the
    less, the cheaper.
    """

    text_readout: TextReadout = "pooled"
    patch_readout: str | None = None
    alpha: float = 1.0
    beta: float = 0.0
    region: RegionKind = "soft"
    region_query: RegionQuery = "any"
    region_share: float = 0.04
    softness: float = 1.0
    smoothing: float = 0.1875
    competition: float = 1.0
    local: LocalKind = "somewhere"
    lambda_: float = 2.5
    mu: float = 3.0
    global_weight: float = 1.0
    template: str = "{article} {phrase}"
    window_depth: float = 0.75

    def __post_init__(self) -> None:
        if not 0 <= self.alpha <= 1:
            raise UsageError(f"alpha must lie in [0, 1], got {self.alpha}")
        if not 0 < self.region_share <= 1:
            raise UsageError(f"region_share must lie in (0, 1], got {self.region_share}")
        if not 0 <= self.smoothing <= 1:
            raise UsageError(f"smoothing must lie in [0, 1], got {self.smoothing}")
        if not 0 <= self.window_depth <= 1:
            raise UsageError(f"window_depth must lie in [0, 1], got {self.window_depth}")
        if self.softness <= 0:
            raise UsageError(f"softness must be positive, got {self.softness}")
        for name, allowed in _CHOICES.items():
            if getattr(self, name) not in allowed:
                raise UsageError(f"{name} must be one of {', '.join(allowed)}, got {getattr(self, name)!r}")
        numbers = (self.beta, self.softness, self.competition, self.lambda_, self.mu, self.global_weight)
        if not all(math.isfinite(number) for number in numbers):
            raise UsageError(f"the scorer's settings must be finite numbers, got {self}")
        if set(_FIELDS.findall(self.template)) - {"article"} != {"phrase"}:
            raise UsageError(f"the template {self.template!r} must hold {{phrase}}, and may hold {{article}}")


SETTINGS_FILE = "abe.json"


def settings_for(folder: Path | None) -> AbeSettings:
    """The settings measured for a backbone: those in ``abe.json`` in its folder, if it has one, else the defaults.

    Raises AbeRerankError if the file is there and does not hold settings.
    """
    if folder is None or not (folder / SETTINGS_FILE).exists():
        return AbeSettings()
    path = folder / SETTINGS_FILE
    try:
        return checked(AbeSettings, read_json(path))
    except (OSError, ValueError) as error:
        raise AbeRerankError(f"{path} does not hold settings of the scorer ({error}); mend or remove it") from error


def write_settings(folder: Path, settings: AbeSettings) -> Path:
    """Keep settings beside the backbone they were measured for. Raises AbeRerankError if they cannot be written."""
    path = folder / SETTINGS_FILE
    write_whole(path, (json.dumps(asdict(settings), indent=1) + "\n").encode())
    return path


@dataclass(frozen=True)
class Terms:
    """All terms of n images and t prompts; axes as in :mod:`abe_rerank.scoring.alignment`.

    ``value``, ``global_``, ``local``, ``difference`` [n, t] (the last two NaN where there is no object or no pair),
    ``nouns`` [n, t, k] each object's noun read in its own region and ``lead`` [n, t, k] how far it beats the other
    objects' nouns there (large where there is no other), ``evidence`` [n, t, j, c], ``margins`` and ``strongest``
    [n, t, j], ``regions`` [n, p, t, k].
    """

    value: Tensor
    global_: Tensor
    local: Tensor
    difference: Tensor
    nouns: Tensor
    lead: Tensor
    evidence: Tensor
    margins: Tensor
    strongest: Tensor
    regions: Tensor


_MOST_NUMBERS = 2**26
"""The size of the largest tensor on the way (256 MiB): of a long prompt fewer images are looked at together."""


def terms(features: ImageFeatures, table: PromptTable, settings: AbeSettings, logit_scale: float) -> Terms:
    """Every term of the score for all images and all prompts of a table, as cosines, in memory that the images do not
    multiply.

    ``logit_scale`` is the backbone's own.
    """
    prompts, objects, queries = table.query_mask.shape
    each = prompts * objects * max(features.patches.shape[1] * queries, objects)
    together = max(1, _MOST_NUMBERS // max(each, 1))
    if len(features) <= together:
        return _terms(features, table, settings, logit_scale)
    parts = [range(i, min(i + together, len(features))) for i in range(0, len(features), together)]
    found = [_terms(features.take(part), table, settings, logit_scale) for part in parts]
    return Terms(**{f.name: torch.cat([getattr(part, f.name) for part in found]) for f in fields(Terms)})


def _terms(features: ImageFeatures, table: PromptTable, settings: AbeSettings, logit_scale: float) -> Terms:
    maps = alignment.query_maps(features.patches, table.queries, table.query_mask, logit_scale / settings.softness)
    if features.plan is None:
        maps = alignment.neighbour_means(maps, features.grids, settings.smoothing)
    maps = alignment.compete(maps, table.object_mask, settings.competition)
    if settings.region == "soft":
        regions = alignment.soft_regions(maps, features.mask)
    elif settings.region == "top":
        regions = alignment.top_regions(maps, features.mask, settings.region_share)
    else:
        regions = alignment.whole_image(maps, features.mask)
    vectors = alignment.read_regions(features.patches, regions)
    nouns, lead = alignment.own_and_lead(vectors, table.nouns, table.rivals)
    evidence = alignment.pair_evidence(vectors, table.pair_objects, table.candidates)
    margins, strongest = alignment.pair_margins(evidence, table.candidate_mask)
    global_ = features.global_ @ table.prompts.T
    if settings.local == "somewhere":
        fits = alignment.somewhere(features.patches, features.mask, table.phrases, logit_scale)
        local = alignment.masked_sum(fits, table.object_mask)
    else:
        local = alignment.masked_mean(
            torch.cat([nouns, evidence[..., 0]], dim=-1), torch.cat([table.object_mask, table.pair_mask], dim=-1)
        )
    difference = alignment.masked_mean(margins, table.pair_mask)
    fused = settings.global_weight * global_ + settings.lambda_ * local + settings.mu * difference
    value = torch.where(table.pair_mask.any(dim=-1), fused, global_)
    return Terms(value, global_, local, difference, nouns, lead, evidence, margins, strongest, regions)


@dataclass(frozen=True)
class Explained:
    """What the numbers of one prompt (t = 0 of ``table`` and ``found``) on the images of ``features`` stand on.

    ``looks`` [n][j] are what verdicts stand on, by the ``calibration``.
    """

    plan: PromptPlan
    table: PromptTable
    features: ImageFeatures
    found: Terms
    calibration: Calibration
    looks: Sequence[Sequence[Look]]

    @cached_property
    def asked(self) -> tuple[Choices, ...]:
        """The values that each pair's object may have, the same for all images."""
        return tuple(choices(self.plan, pair) for pair in self.plan.pairs)


def explain(seen: Explained, n: int) -> tuple[tuple[PairScore, ...], tuple[Part, ...]]:
    """The pairs of image ``n``, and what is seen of the prompt's relations."""
    plan = seen.plan
    regions = [_region(seen.found, seen.features, n, k) for k in range(len(plan.objects))]
    likely = seen.calibration.probabilities(seen.looks[n], seen.asked)
    judged = [decide(*pair) for pair in zip(likely, seen.asked, strict=True)]
    there = [1.0] * len(plan.objects)
    for pair, probabilities in zip(plan.pairs, likely, strict=True):
        there[pair.object] = min(there[pair.object], 1 - float(probabilities[-1]))
    pairs = tuple(_pair(seen, j, n, regions[pair.object], judged[j]) for j, pair in enumerate(plan.pairs))
    return pairs, relation_parts(plan.objects, plan.relations, regions, there)


def _pair(seen: Explained, j: int, n: int, region: Region, judged: Found) -> PairScore:
    found, pair = seen.found, seen.plan.pairs[j]
    evidence, margin = float(found.evidence[n, 0, j, 0]), float(found.margins[n, 0, j])
    strongest = int(found.strongest[n, 0, j])
    return PairScore(
        attribute=pair.attribute,
        object=seen.plan.objects[pair.object],
        evidence=evidence,
        competitor=pair.values[strongest],
        margin=margin,
        region=region,
        verdict=judged.verdict,
        probability=judged.bound,
        competitor_probability=judged.other,
        contrast=_contrast(seen, j, strongest, n),
        seen=judged.seen,
        seen_of=judged.seen_of,
        certainty=judged.certainty,
    )


def _contrast(seen: Explained, j: int, strongest: int, n: int) -> np.ndarray:
    """[rows, columns]: each patch's cosine with the asked value minus that with the strongest competitor."""
    phrases = seen.table.candidates[0, j]
    cosines = seen.features.patches[n] @ (phrases[0] - phrases[strongest])
    return np.asarray(seen.features.on_grid(n, cosines).float().cpu().numpy())


def _region(found: Terms, features: ImageFeatures, n: int, k: int) -> Region:
    weights = features.on_grid(n, found.regions[n, :, 0, k]).float().cpu().numpy()
    if features.plan is not None:
        weights /= weights.sum()
    return Region(weights, region_box(weights, features.windows[n]), features.windows[n])
