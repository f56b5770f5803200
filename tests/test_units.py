"""A backbone's own units: the neutral phrases, and the same word on a model whose cosines lie close together."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from tiny_models import images, save_tiny

from abe_rerank.backbones import DualEncoder, ImageFeatures, load_backbone
from abe_rerank.parsing import parse
from abe_rerank.scoring.abe import AbeScorer
from abe_rerank.scoring.terms import AbeSettings
from abe_rerank.scoring.units import PHRASES

SPEC = parse("a red cube and a blue sphere")


@pytest.fixture(scope="module", params=["CLIPModel", "SiglipModel"])
def backbone(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> DualEncoder:
    return load_backbone(save_tiny(request.param, tmp_path_factory.mktemp(request.param)), device="cpu")


class Squeezed:
    """A backbone's twin: the same logits from cosines that lie close together, 1 - share + share · cos."""

    def __init__(self, backbone: Any, share: float) -> None:
        self._backbone, self._share = backbone, share
        self.logit_scale = backbone.logit_scale / share

    def __getattr__(self, name: str) -> Any:
        return getattr(self._backbone, name)

    def _squeeze(self, vectors: torch.Tensor) -> torch.Tensor:
        level = torch.full((*vectors.shape[:-1], 1), math.sqrt(1 - self._share))
        return torch.cat([vectors * math.sqrt(self._share), level], dim=-1)

    def encode_images(self, pictures: Any, readout: str | None = None, beside: Any = ()) -> ImageFeatures:
        return self._squeezed(self._backbone.encode_images(pictures, readout, beside))

    def _squeezed(self, found: ImageFeatures) -> ImageFeatures:
        return replace(
            found,
            global_=self._squeeze(found.global_),
            patches=self._squeeze(found.patches),
            beside=tuple(self._squeezed(other) for other in found.beside),
        )

    def encode_texts(self, texts: Any) -> torch.Tensor:
        return self._squeeze(self._backbone.encode_texts(texts))


def test_neutral_phrases_name_every_colour_and_every_shape_equally_often() -> None:
    for part in (0, 1):
        counts = {phrase[part]: sum(phrase[part] == other[part] for other in PHRASES) for phrase in PHRASES}
        assert len(counts) == 12
        assert set(counts.values()) == {4}


@pytest.mark.parametrize("settings", [AbeSettings(), AbeSettings(region="soft", softness=1.0)], ids=["top", "soft"])
def test_a_model_whose_cosines_lie_close_together_is_read_alike(backbone: DualEncoder, settings: AbeSettings) -> None:
    twin: Any = Squeezed(backbone, 0.05)
    one, other = AbeScorer(backbone, settings), AbeScorer(twin, settings)
    scores = [scorer.explain(images(3), SPEC) for scorer in (one, other)]
    for a, b in zip(*scores, strict=True):
        assert [pair.verdict for pair in a.pairs] == [pair.verdict for pair in b.pairs]
        for p, q in zip(a.pairs, b.pairs, strict=True):
            assert p.region.weights == pytest.approx(q.region.weights, abs=1e-3)
            assert p.margin * 0.05 == pytest.approx(q.margin, abs=1e-4)
            assert p.probability == pytest.approx(q.probability, abs=2e-3)
