"""Regions read through a model's own pooling, against naive loops over the models' own layers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_models import FAMILIES, IMAGE_SIZE, images, save_tiny

from abe_rerank.backbones import Backbone, load_backbone
from abe_rerank.backbones.families import regions
from abe_rerank.backbones.features import (
    ImageFeatures,
    RegionPlan,
    lay_windows,
    read_plan,
    spread,
    window_count,
    window_mask,
)
from abe_rerank.errors import UsageError
from abe_rerank.parsing.parser import parse
from abe_rerank.scoring import make_scorer
from abe_rerank.scoring.terms import AbeSettings

PLANS = [RegionPlan(0.5, 0.25, depth) for depth in (0.0, 0.5, 1.0)]


@pytest.fixture(scope="module", params=FAMILIES)
def backbone(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Backbone:
    return load_backbone(save_tiny(request.param, tmp_path_factory.mktemp(request.param)), device="cpu")


@pytest.mark.parametrize(("rows", "columns"), [(4, 4), (8, 8), (7, 7), (1, 1), (2, 9), (16, 11), (24, 24)])
@pytest.mark.parametrize("plan", [RegionPlan(), RegionPlan(0.25, 0.5, 1), RegionPlan(1, 1, 1), RegionPlan(0.3, 0.3, 0)])
def test_windows_are_squares_that_cover_the_grid_evenly(rows: int, columns: int, plan: RegionPlan) -> None:
    windows = lay_windows(rows, columns, plan)
    assert window_count(rows, columns, plan) == len(windows)
    side = max(1, int(plan.side * min(rows, columns) + 0.5))
    tops, lefts = windows[:, 0] // columns, windows[:, 0] % columns
    for window, top, left in zip(windows.tolist(), tops.tolist(), lefts.tolist(), strict=True):
        assert window == [(top + r) * columns + left + c for r in range(side) for c in range(side)]
    assert window_mask(windows, rows * columns).any(dim=0).all()
    for starts, length in ((tops, rows), (lefts, columns)):
        steps = starts.unique().diff()
        assert int(starts.max()) == length - side
        assert len(steps) == 0 or (steps.max() - steps.min() <= 1 and steps.max() <= side)


def test_weights_are_spread_over_the_patches_that_windows_cover() -> None:
    plan = RegionPlan(0.4, 0.2, 1)
    windows, weights = lay_windows(5, 7, plan), torch.rand(window_count(5, 7, plan), 3)
    found = spread(weights, 5, 7, plan)
    for row in range(5):
        for column in range(7):
            covering = [w for w, window in enumerate(windows.tolist()) if row * 7 + column in window]
            torch.testing.assert_close(found[row, column], weights[covering].mean(dim=0))


def test_plans_are_written_as_text_and_read_back() -> None:
    assert read_plan("regions") == RegionPlan()
    assert read_plan(str(RegionPlan(0.5, 0.125, 0.75))) == RegionPlan(0.5, 0.125, 0.75)
    assert read_plan("value") is None
    with pytest.raises(UsageError, match="side of regions"):
        read_plan("regions 1.5/0.1/1")


@pytest.mark.parametrize("size", [None, "16x48"])
@pytest.mark.parametrize("depth", [0, 0.5, 1])
def test_a_window_that_is_the_whole_grid_is_the_models_own_embedding(
    backbone: Backbone, size: str | None, depth: float
) -> None:
    other = load_backbone(backbone.folder, device="cpu", image_size=size)
    for picture in images(2, size=(48, 48 if size is None else 16)):
        features = other.encode_images([picture], f"regions 1/1/{depth}")
        own = other.encode_global([picture])[0]
        torch.testing.assert_close(features.global_[0], own, atol=1e-6, rtol=0)
        if features.grid[0] == features.grid[1]:
            torch.testing.assert_close(features.patches[0, 0], own, atol=1e-5, rtol=0)


def _entered(backbone: Backbone, pictures: list[Any]) -> list[torch.Tensor]:
    """What goes into each vision layer, and what comes out of the last: [N, tokens, C] each."""
    states: list[torch.Tensor] = []
    layers = backbone.model.vision_model.encoder.layers
    handles = [
        layer.register_forward_pre_hook(
            lambda _, args, kwargs: states.append(args[0] if args else kwargs["hidden_states"]), with_kwargs=True
        )
        for layer in layers
    ]
    vision = backbone.model.vision_model
    after = vision.encoder.register_forward_hook(lambda _, args, kwargs, out: states.append(out[0]), with_kwargs=True)
    backbone.encode_global(pictures)
    for handle in (*handles, after):
        handle.remove()
    return states


def _alone(layer: Any, states: torch.Tensor) -> torch.Tensor:
    """The model's own layer on a sequence of its own."""
    out = layer(states, attention_mask=None)
    return out[0] if isinstance(out, tuple) else out


@torch.no_grad()
def _naive(backbone: Backbone, pictures: list[Any], plan: RegionPlan, grid: tuple[int, int]) -> torch.Tensor:
    """One window of one picture at a time, through the model's own layers."""
    model, vision = backbone.model, backbone.model.vision_model
    layers, states = vision.encoder.layers, _entered(backbone, pictures)
    first = len(layers) - plan.layers(len(layers))
    if not hasattr(vision, "head"):
        first = min(first, len(layers) - 1)  # a token without a layer has seen nothing
    rows = []
    for n in range(len(pictures)):
        for window in lay_windows(*grid, plan).tolist():
            if hasattr(vision, "head"):
                crop = states[first][n : n + 1, window]
                for layer in layers[first:]:
                    crop = _alone(layer, crop)
                rows.append(vision.head(vision.post_layernorm(crop))[0])
            else:
                token = states[first][n : n + 1, :1]
                for layer, entered in zip(layers[first:], states[first:-1], strict=True):
                    seen = entered[n : n + 1, [1 + p for p in window]]
                    token = _alone(layer, torch.cat([token, seen], dim=1))[:, :1]
                rows.append(model.visual_projection(vision.post_layernorm(token[0, 0])))
    vectors = torch.stack(rows)
    return (vectors / vectors.norm(dim=-1, keepdim=True)).unflatten(0, (len(pictures), -1))


@pytest.mark.parametrize("plan", PLANS, ids=str)
@pytest.mark.parametrize("attention", ["eager", "sdpa"])
def test_a_region_is_a_forward_that_sees_nothing_else(backbone: Backbone, plan: RegionPlan, attention: str) -> None:
    pictures = images(3)
    backbone.model.set_attn_implementation(attention)
    found = backbone.encode_images(pictures, str(plan))
    assert found.mask.shape == found.patches.shape[:2] == (3, 9)
    torch.testing.assert_close(found.patches, _naive(backbone, pictures, plan, (4, 4)), atol=1e-5, rtol=0)


def test_crops_do_not_depend_on_how_many_go_through_together(
    backbone: Backbone, monkeypatch: pytest.MonkeyPatch
) -> None:
    together = backbone.encode_images(images(3), "regions").patches
    monkeypatch.setattr(regions, "TOKENS_AT_ONCE", 10)
    torch.testing.assert_close(backbone.encode_images(images(3), "regions").patches, together, atol=1e-5, rtol=0)


def test_pictures_of_several_shapes_have_windows_of_their_own(tmp_path: Path) -> None:
    backbone = load_backbone(save_tiny("Siglip2Model", tmp_path), device="cpu")
    plan = PLANS[0]
    pictures = [*images(1), *images(1, size=(80, 20), seed=1), *images(1, seed=2)]
    found = backbone.encode_images(pictures, str(plan))
    assert found.grids == ((4, 4), (2, 8), (4, 4))
    assert found.mask.sum(dim=1).tolist() == [9, 16, 9]
    for n, picture in enumerate(pictures):
        real = found.patches[n][found.mask[n]]
        torch.testing.assert_close(real, _naive(backbone, [picture], plan, found.grids[n])[0], atol=1e-5, rtol=0)


def test_windows_beside_the_patches_share_their_forward(backbone: Backbone) -> None:
    pictures, ran = images(3), []
    known = backbone.encode_images(pictures)
    handle = backbone.model.vision_model.encoder.layers[-1].register_forward_hook(lambda *_: ran.append(1))
    found = backbone.encode_images(pictures, beside=PLANS)
    handle.remove()
    assert len(ran) == 1
    assert found.patches.equal(known.patches)
    assert found.global_.equal(known.global_)
    for plan, windows in zip(PLANS, found.beside, strict=True):
        alone = backbone.encode_images(pictures, str(plan))
        torch.testing.assert_close(windows.patches, alone.patches, atol=1e-6, rtol=0)
        assert windows.mask.equal(alone.mask)
        assert windows.plan == plan
    two, one = found.take([2, 0]), ImageFeatures.cat([found.take([2]), found.take([0])])
    for mine, theirs in zip(two.beside, one.beside, strict=True):
        assert mine.patches.equal(theirs.patches)


def test_batches_of_pictures_of_several_shapes_are_joined(tmp_path: Path) -> None:
    backbone = load_backbone(save_tiny("Siglip2Model", tmp_path), device="cpu")
    pictures = [*images(2), *images(1, size=(80, 20), seed=1)]
    together = backbone.encode_images(pictures, str(PLANS[1]))
    backbone.batch_size = 1
    apart = backbone.encode_images(pictures, str(PLANS[1]))
    assert apart.mask.equal(together.mask)
    torch.testing.assert_close(apart.patches[apart.mask], together.patches[together.mask], atol=1e-5, rtol=0)


def test_half_precision_stays_close(backbone: Backbone) -> None:
    half = load_backbone(backbone.folder, device="cpu", dtype="bfloat16")
    one, other = (b.encode_images(images(2), str(PLANS[1])).patches for b in (backbone, half))
    assert other.dtype == torch.float32
    assert (one * other).sum(dim=-1).min() > 0.99


@pytest.mark.parametrize("family", ["CLIPModel", "SiglipModel"])
def test_heat_maps_of_regions_lie_on_the_patches(tmp_path: Path, family: str) -> None:
    backbone = load_backbone(save_tiny(family, tmp_path), device="cpu")
    scorer = make_scorer("abe", backbone, AbeSettings(patch_readout=str(PLANS[1])))
    pair = scorer.explain(images(1), parse("a red cube and a blue ring"))[0].pairs[0]
    assert pair.region.weights.shape == pair.contrast.shape == (4, 4)
    assert pair.region.weights.sum() == pytest.approx(1)
    assert IMAGE_SIZE // 8 == 4
