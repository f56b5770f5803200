"""The terms of the ABE score for blocks of images and prompts, and the settings that shape them."""

from __future__ import annotations

import json
import math
import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal, get_args

import torch
from torch import Tensor

from abe_rerank.backbones import ImageFeatures
from abe_rerank.errors import AbeRerankError, UsageError
from abe_rerank.files import write_whole
from abe_rerank.scoring import alignment
from abe_rerank.scoring.phrase_table import PromptTable, TextReadout
from abe_rerank.scoring.readings import RegionQuery

RegionKind = Literal["soft", "top", "whole"]
_CHOICES = {name: get_args(kind) for name, kind in (("text_readout", TextReadout), ("region", RegionKind))}
_CHOICES["region_query"] = get_args(RegionQuery)
_FIELDS = re.compile(r"{(.*?)}")


@dataclass(frozen=True)
class AbeSettings:
    """The scorer's choices; the defaults are measured on the shapes world's choosing split (scoring/README.md).

    ``text_readout``: a phrase's pooled embedding, or its words' token states. ``patch_readout``: a dense readout of the
    backbone, None its default. ``alpha``: 0 reads phrases inside the prompt, 1 alone. ``beta``: how much of competing
    phrases is subtracted. ``region``: how an object's region is weighted, ``soft`` (softmax of cosine / temperature),
    ``top`` (the best ``region_share`` of the patches) or ``whole`` (no region). ``region_query``: see
    :func:`abe_rerank.scoring.readings.plan`. ``smoothing``: the window of neighbours over which the maps that regions
    come from are averaged, as a share of the grid's shorter side. ``competition``: how strongly objects compete for
    patches. ``lambda_`` and ``mu`` weigh the local term and the binding difference against the global cosine, whose
    weight is ``global_weight``.
    """

    text_readout: TextReadout = "pooled"
    patch_readout: str | None = None
    alpha: float = 1.0
    beta: float = 0.0
    region: RegionKind = "top"
    region_query: RegionQuery = "any"
    region_share: float = 0.04
    temperature: float = 0.1
    smoothing: float = 0.1875
    competition: float = 2.0
    lambda_: float = 1.0
    mu: float = 1.5
    global_weight: float = 1.0
    template: str = "{article} {phrase}"

    def __post_init__(self) -> None:
        if not 0 <= self.alpha <= 1:
            raise UsageError(f"alpha must lie in [0, 1], got {self.alpha}")
        if not 0 < self.region_share <= 1:
            raise UsageError(f"region_share must lie in (0, 1], got {self.region_share}")
        if not 0 <= self.smoothing <= 1:
            raise UsageError(f"smoothing must lie in [0, 1], got {self.smoothing}")
        if self.temperature <= 0:
            raise UsageError(f"temperature must be positive, got {self.temperature}")
        for name, allowed in _CHOICES.items():
            if getattr(self, name) not in allowed:
                raise UsageError(f"{name} must be one of {', '.join(allowed)}, got {getattr(self, name)!r}")
        numbers = (self.beta, self.temperature, self.competition, self.lambda_, self.mu, self.global_weight)
        if not all(math.isfinite(number) for number in numbers):
            raise UsageError(f"the scorer's settings must be finite numbers, got {self}")
        if set(_FIELDS.findall(self.template)) - {"article"} != {"phrase"}:
            raise UsageError(f"the template {self.template!r} must hold {{phrase}}, and may hold {{article}}")


SETTINGS_FILE = "abe.json"


def settings_for(folder: Path | None) -> AbeSettings:
    """The settings measured for a backbone: those in ``abe.json`` in its folder, if it has one, else the defaults.

    Raises AbeRerankError if the file is there and does not hold settings.
    """
    if folder is None or not (folder / SETTINGS_FILE).is_file():
        return AbeSettings()
    path = folder / SETTINGS_FILE
    try:
        return AbeSettings(**json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
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


def terms(features: ImageFeatures, table: PromptTable, settings: AbeSettings) -> Terms:
    """Every term of the score for all images and all prompts of a table."""
    maps = alignment.query_maps(features.patches, table.queries, table.query_mask, settings.temperature)
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
    local = alignment.masked_mean(
        torch.cat([nouns, evidence[..., 0]], dim=-1), torch.cat([table.object_mask, table.pair_mask], dim=-1)
    )
    difference = alignment.masked_mean(margins, table.pair_mask)
    fused = settings.global_weight * global_ + settings.lambda_ * local + settings.mu * difference
    value = torch.where(table.pair_mask.any(dim=-1), fused, global_)
    return Terms(value, global_, local, difference, nouns, lead, evidence, margins, strongest, regions)
