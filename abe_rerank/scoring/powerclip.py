"""PowerCLIP's alignment (arXiv 2511.23170) as a scorer: T2R + R2T of an image's regions and the prompt's phrase tree.

The paper trains with it; as a scorer it needs no training, and reads patches and tokens that a backbone may never have
been trained to give. Regions are M random boxes of patches, the same for every image of one grid; phrases come from the
project's own parse (:mod:`abe_rerank.scoring.phrase_tree`). tau 0.001 and zeta 0.75 are the paper's, R2T's tau is ours.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F
from torch.nn.utils.rnn import pad_sequence

from abe_rerank.backbones import Backbone, ImageFeatures
from abe_rerank.errors import UsageError
from abe_rerank.scoring.phrase_tree import node_vectors, phrase_tree, random_boxes
from abe_rerank.scoring.powerset import node_similarities, regions_to_tree, tree_to_regions
from abe_rerank.scoring.stream import FeatureScorer, status_of
from abe_rerank.types import Score, Spec


@dataclass(frozen=True)
class PowerSettings:
    """``regions``: M, boxes of patches of an image, laid by ``seed``. ``tau_tree`` and ``tau_regions`` soften T2R and
    R2T, ``zeta`` lies between the bounds of R2T. ``patch_readout``: a dense readout, None the backbone's default."""

    regions: int = 10
    tau_tree: float = 0.001
    tau_regions: float = 0.1
    zeta: float = 0.75
    seed: int = 0
    patch_readout: str | None = None

    def __post_init__(self) -> None:
        if self.regions < 1:
            raise UsageError(f"regions must be at least 1, got {self.regions}")
        if not all(0 < tau < math.inf for tau in (self.tau_tree, self.tau_regions)):
            raise UsageError(f"tau_tree and tau_regions must be positive, got {self.tau_tree} and {self.tau_regions}")
        if not 0 <= self.zeta <= 1:
            raise UsageError(f"zeta must lie in [0, 1], got {self.zeta}")


class PowerClipScorer(FeatureScorer):
    """T2R + R2T by the non-linear aggregators, at a cost linear in the number of regions."""

    name = "powerclip"
    settings_type = PowerSettings

    def __init__(self, backbone: Backbone, settings: PowerSettings | None = None) -> None:
        self.backbone, self.settings = backbone, settings or PowerSettings()

    @property
    def settings_record(self) -> Mapping[str, object]:
        """The settings by name."""
        return asdict(self.settings)

    @property
    def patch_readout(self) -> str | None:
        """The dense readout that this scorer reads, None the backbone's default."""
        return self.settings.patch_readout

    @torch.no_grad()
    def prepare(self, specs: Sequence[Spec]) -> tuple[Tensor, Tensor]:
        """The nodes of each prompt's tree [T, K, D] and their mask [T, K]."""
        nodes = []
        for spec, states in zip(specs, self.backbone.encode_tokens([s.prompt for s in specs]), strict=True):
            tree = phrase_tree(spec)
            members = torch.zeros(len(tree.leaves), len(states.spans), dtype=torch.bool)
            for row, span in enumerate(tree.leaves):
                members[row, states.indices(span)] = True
            nodes.append(node_vectors(tree, states.states, members.to(states.states.device)))
        counts = torch.tensor([len(each) for each in nodes], device=self.backbone.device)
        padded = pad_sequence(nodes, batch_first=True)
        return padded, torch.arange(padded.shape[1], device=padded.device) < counts[:, None]

    def regions(self, features: ImageFeatures) -> Tensor:
        """phi of each image's boxes [N, M, D]. Raises UsageError for more boxes than an image has patches."""
        boxes = {
            (rows, columns): random_boxes(
                rows, columns, self.settings.regions, np.random.default_rng(self.settings.seed)
            ).to(features.patches)
            for rows, columns in dict.fromkeys(features.grids)
        }
        sums = [
            boxes[grid] @ features.on_grid(n, features.patches[n]).flatten(0, 1)
            for n, grid in enumerate(features.grids)
        ]
        return F.normalize(torch.stack(sums), dim=-1)

    def terms(self, features: ImageFeatures, prepared: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        """(T2R, R2T), [N, T] each."""
        nodes, mask = prepared
        similar, chosen = node_similarities(self.regions(features), nodes), self.settings
        return (
            tree_to_regions(similar, mask, chosen.tau_tree),
            regions_to_tree(similar, mask, chosen.tau_regions, chosen.zeta),
        )

    @torch.no_grad()
    def score_features(self, features: ImageFeatures, prepared: tuple[Tensor, Tensor]) -> Tensor:
        """T2R + R2T [images, prompts]."""
        return torch.stack(self.terms(features, prepared)).sum(dim=0)

    def explain_features(self, features: ImageFeatures, spec: Spec) -> list[Score]:
        """One Score per image with T2R + R2T as its local term; it says nothing about pairs."""
        values = self.score_features(features, self.prepare([spec]))[:, 0].tolist()
        return [Score(value, status_of(spec), self.stamp, local=value) for value in values]
