"""ComCLIP and PowerCLIP on real model classes at tiny random configs: against loops that follow the published steps."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from PIL import Image
from tiny_models import images, save_tiny
from torch.nn import functional as F

from abe_rerank import Reranker, UsageError, parse
from abe_rerank.backbones import DualEncoder, load_backbone
from abe_rerank.scoring import make_scorer
from abe_rerank.scoring.abe import AbeScorer
from abe_rerank.scoring.boxes import boxes_by_object, with_boxes
from abe_rerank.scoring.comclip import ComSettings, blacked_out, composed, sub_images
from abe_rerank.scoring.phrase_tree import phrase_tree, random_boxes
from abe_rerank.scoring.powerclip import PowerClipScorer, PowerSettings
from abe_rerank.scoring.powerset import (
    hardest_triplets,
    node_similarities,
    regions_to_tree,
    tree_to_regions,
)

THREE = parse("a red cube next to a small blue ring and a dog")
BOXES = {"a red cube": (0.0, 0.0, 0.5, 0.75), "ring": (0.4, 0.1, 1.0, 1.0), "dog": (0.25, 0.5, 0.75, 0.9)}


@pytest.fixture(scope="module", params=["CLIPModel", "SiglipModel", "Siglip2Model"])
def backbone(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> DualEncoder:
    return load_backbone(save_tiny(request.param, tmp_path_factory.mktemp(request.param)), device="cpu")


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> DualEncoder:
    return load_backbone(save_tiny("CLIPModel", tmp_path_factory.mktemp("clip")), device="cpu")


def raw(backbone: DualEncoder, picture: Image.Image) -> torch.Tensor:
    """The embedding of one picture alone, as the class gives it."""
    pixels = {k: v.to(backbone.dtype) if k == "pixel_values" else v for k, v in _inputs(backbone, picture).items()}
    with torch.no_grad():
        found = backbone.model.get_image_features(**pixels)
    return (found if isinstance(found, torch.Tensor) else found.pooler_output)[0].float()


def _inputs(backbone: DualEncoder, picture: Image.Image) -> dict[str, torch.Tensor]:
    return dict(backbone.processor(images=[picture], return_tensors="pt"))


def one_by_one(backbone: DualEncoder, picture: Image.Image, boxes: list[tuple[float, float, float, float]]) -> float:
    """ComCLIP of THREE as it is published, a sub-image at a time, from the boxes of its three objects."""
    width, height = picture.size

    def shown(*parts: tuple[float, float, float, float]) -> Image.Image:
        pixels, kept = np.asarray(picture), np.zeros((height, width, 1), dtype=np.uint8)
        for left, top, right, bottom in parts:
            kept[int(top * height) : round(bottom * height), int(left * width) : round(right * width)] = 1
        return Image.fromarray(pixels * kept)

    words = ["red cube", "small blue ring", "dog", "next to"]
    pictures = [shown(boxes[0]), shown(boxes[1]), shown(boxes[2]), shown(boxes[0], boxes[1])]
    whole = raw(backbone, picture)
    total, fits, embeddings = 0.0, [], []
    for word, part in zip(words, pictures, strict=True):
        embeddings.append(raw(backbone, part))
        fits.append(max(0.0, float(backbone.encode_texts([word])[0] @ embeddings[-1])))
        total += fits[-1]
    together = whole.clone()
    for fit, embedding in zip(fits, embeddings, strict=True):
        together += (fit / total if total else 0.0) * embedding
    sentence = backbone.encode_texts([THREE.prompt])[0]
    return float(together @ sentence / together.norm())


def test_comclip_with_boxes_is_the_published_steps_one_by_one(backbone: DualEncoder) -> None:
    scorer, spec = make_scorer("comclip", backbone), with_boxes(THREE, BOXES)
    for picture in images(3, size=(40, 40)):
        score = scorer.explain([picture], spec)[0]
        assert score.value == pytest.approx(one_by_one(backbone, picture, list(BOXES.values())), abs=1e-5)
        assert [part.text for part in score.parts] == ["red cube", "small blue ring", "dog", "next to"]
        assert score.parts[3].box == (0.0, 0.0, 1.0, 1.0)
        assert sum(part.weight or 0 for part in score.parts) == pytest.approx(1, abs=1e-5) or all(
            part.weight == 0 for part in score.parts
        )


def test_comclip_without_boxes_takes_the_regions_of_the_alignment(backbone: DualEncoder) -> None:
    scorer, pictures = make_scorer("comclip", backbone), images(5, size=(40, 40))
    found = scorer.explain(pictures, THREE)
    for picture, score, seen in zip(pictures, found, AbeScorer(backbone).explain(pictures, THREE), strict=True):
        boxes = [part.box for part in score.parts]
        assert boxes[0] == seen.pairs[0].region.box
        assert boxes[1] == seen.pairs[1].region.box
        assert score.value == pytest.approx(one_by_one(backbone, picture, boxes[:3]), abs=1e-5)
    np.testing.assert_allclose(scorer.score(pictures, [THREE])[:, 0], [s.value for s in found], atol=1e-6)
    alone = [scorer.explain([picture], THREE)[0].value for picture in pictures]
    np.testing.assert_allclose(alone, [score.value for score in found], atol=1e-5)


def test_comclip_encodes_all_sub_images_of_all_candidates_together(
    clip: DualEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []
    inner = clip._pixels
    monkeypatch.setattr(clip, "batch_size", 24)
    monkeypatch.setattr(clip, "_pixels", lambda pictures: (sizes.append(len(pictures)), inner(pictures))[1])
    make_scorer("comclip", clip).explain(images(6), THREE)
    assert sizes == [6, 6, 24]


def test_an_object_without_a_box_is_the_whole_image_and_no_parts_are_the_global_score(clip: DualEncoder) -> None:
    picture = images(1)[0]
    scorer = make_scorer("comclip", clip)
    score = scorer.explain([picture], with_boxes(THREE, {"dog": (0.0, 0.0, 0.5, 0.5)}))[0]
    assert [part.box for part in score.parts][:3] == [(0.0, 0.0, 1.0, 1.0)] * 2 + [(0.0, 0.0, 0.5, 0.5)]
    bare = scorer.explain([picture], parse("red"))[0]
    assert bare.parts == ()
    assert bare.value == pytest.approx(make_scorer("clip", clip).explain([picture], parse("red"))[0].value, abs=1e-6)
    assert len(sub_images(THREE, ComSettings(relations=False))) == 3


def test_products_below_zero_have_no_weight() -> None:
    whole, words = torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 1.0], [0.0, 1.0]])
    together, weights = composed(whole, torch.tensor([[[0.0, -1.0], [0.0, 2.0]]]), words)
    assert weights.tolist() == [[0.0, 1.0]]
    assert together.tolist() == [[1.0, 2.0]]
    together, weights = composed(whole, torch.tensor([[[0.0, -1.0], [0.0, -2.0]]]), words)
    assert weights.tolist() == [[0.0, 0.0]]
    assert together.tolist() == whole.tolist()


def test_a_box_smaller_than_a_pixel_keeps_one() -> None:
    white = Image.new("RGB", (8, 8), "white")
    for box in ((0.999, 0.999, 1.0, 1.0), (0.0, 0.0, 0.001, 0.001)):
        assert np.asarray(blacked_out(white, [box])).sum() == 3 * 255


@pytest.mark.parametrize(
    ("boxes", "said"),
    [
        ({"a green cube": (0, 0, 1, 1)}, "is no object of the prompt"),
        ({"cube": (0, 0, 1.2, 1)}, "leaves the image"),
        ({"cube": (-0.1, 0, 1, 1)}, "leaves the image"),
        ({"cube": (float("nan"), 0, 1, 1)}, "leaves the image"),
        ({"cube": (0.5, 0, 0.5, 1)}, "is empty"),
        ({"cube": (0.6, 0, 0.5, 1)}, "is empty"),
        ({"cube": (0, 0, 1)}, "give \\(left, top, right, bottom\\)"),
        ({"cube": "left"}, "give \\(left, top, right, bottom\\)"),
        ({"cube": (0, 0, 1, 1), "red cube": (0, 0, 1, 1)}, "twice"),
    ],
)
def test_boxes_that_cannot_be_are_usage_errors(boxes: dict[str, object], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        boxes_by_object(THREE, boxes)


def test_a_phrase_that_could_be_two_objects_is_refused() -> None:
    spec = parse("a red cube and a blue cube")
    with pytest.raises(UsageError, match="could be several"):
        with_boxes(spec, {"cube": (0, 0, 1, 1)})
    assert boxes_by_object(spec, {"blue cube": (0, 0, 1, 1)}) == {1: (0, 0, 1, 1)}


def test_boxes_of_another_scorer_are_refused(clip: DualEncoder) -> None:
    picture = images(1)[0]
    found = Reranker(make_scorer("comclip", clip)).explain(picture, THREE.prompt, boxes=BOXES)
    assert found.parts[0].box == BOXES["a red cube"]
    with pytest.raises(UsageError, match="comclip"):
        Reranker(make_scorer("abe", clip)).explain(picture, THREE.prompt, boxes=BOXES)


# -- PowerCLIP ---------------------------------------------------------------------------------------------------


def subsets(regions: torch.Tensor, nodes: torch.Tensor) -> torch.Tensor:
    """Q(A, B) of every subset of regions [m, d] and every node [k, d]: [2^m, k]."""
    count = len(regions)
    rows = [
        torch.stack([regions[m] for m in chosen]).sum(dim=0) if chosen else torch.zeros(regions.shape[1])
        for size in range(count + 1)
        for chosen in itertools.combinations(range(count), size)
    ]
    assert len(rows) == 2**count
    return torch.stack(rows).to(nodes) @ nodes.T


def some(m: int, k: int, d: int = 12, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    regions = F.normalize(torch.randn(m, d, generator=generator, dtype=torch.float64), dim=-1)
    return regions, torch.randn(k, d, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize("m", [1, 3, 8, 10])
def test_t1_becomes_the_best_subset_as_tau_goes_to_zero(m: int) -> None:
    regions, nodes = some(m, 5)
    exact = float(subsets(regions, nodes).amax(dim=0).mean())
    similar, mask = node_similarities(regions[None], nodes[None]), torch.ones(1, 5, dtype=torch.bool)
    errors = [abs(float(tree_to_regions(similar, mask, tau)) - exact) for tau in (1.0, 0.1, 0.01, 0.001)]
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] < 1e-3


@pytest.mark.parametrize("m", [1, 3, 8, 10])
@pytest.mark.parametrize("tau", [0.05, 0.3, 1.0])
def test_t2_lies_between_its_bounds_and_grows_with_zeta(m: int, tau: float) -> None:
    regions, nodes = some(m, 5)
    exact = float((tau * (subsets(regions, nodes) / tau).logsumexp(dim=-1)).mean())
    similar, mask = node_similarities(regions[None], nodes[None]), torch.ones(1, 5, dtype=torch.bool)
    found = [float(regions_to_tree(similar, mask, tau, zeta)) for zeta in (0.0, 0.25, 0.5, 0.75, 1.0)]
    assert found == sorted(found)
    assert found[0] <= exact <= found[-1]


def test_padded_nodes_count_nothing_and_gradients_are_finite() -> None:
    regions, nodes = some(6, 4)
    padded = torch.cat([nodes, torch.full((2, nodes.shape[1]), 9.0, dtype=nodes.dtype)])
    mask = torch.tensor([[True] * 4 + [False] * 2])
    regions, padded = regions[None].requires_grad_(), padded[None].requires_grad_()
    similar = node_similarities(regions, padded)
    plain = node_similarities(regions, nodes[None])
    every = torch.ones(1, 4, dtype=torch.bool)
    for tau in (1e-3, 0.1):
        one = tree_to_regions(similar, mask, tau) + regions_to_tree(similar, mask, tau, 0.75)
        same = tree_to_regions(plain, every, tau) + regions_to_tree(plain, every, tau, 0.75)
        torch.testing.assert_close(one, same)
        slopes = torch.autograd.grad(one.sum(), (regions, padded), retain_graph=True)
        assert all(torch.isfinite(slope).all() for slope in slopes)
        assert not slopes[1][0, 4:].any()


def test_no_overflow_in_single_precision_with_many_regions() -> None:
    regions, nodes = some(256, 5)
    similar = node_similarities(regions[None].float(), nodes[None].float()).requires_grad_()
    mask = torch.ones(1, 5, dtype=torch.bool)
    found = tree_to_regions(similar, mask, 1e-3) + regions_to_tree(similar, mask, 1e-3, 0.75)
    assert torch.isfinite(found).all()
    assert torch.isfinite(torch.autograd.grad(found.sum(), similar)[0]).all()


def test_hardest_triplets_are_those_of_loops() -> None:
    scores = torch.randn(5, 5, generator=torch.Generator().manual_seed(3))
    same = torch.eye(5, dtype=torch.bool)
    same[0, 1] = same[1, 0] = True
    wanted = 0.0
    for i in range(5):
        others = [j for j in range(5) if not same[i, j]]
        wanted += max(0.0, 0.2 - float(scores[i, i]) + max(float(scores[i, j]) for j in others)) / 5
        wanted += max(0.0, 0.2 - float(scores[i, i]) + max(float(scores[j, i]) for j in others)) / 5
    assert float(hardest_triplets(scores, same, 0.2)) == pytest.approx(wanted, rel=1e-5)
    alone = torch.ones(1, 1)
    assert float(hardest_triplets(alone, torch.ones(1, 1, dtype=torch.bool), 0.2)) == 0


def test_the_tree_of_a_prompt() -> None:
    tree = phrase_tree(THREE)
    said = [THREE.prompt[slice(*span)] for span in tree.leaves]
    assert said == ["red", "cube", "small", "blue", "ring", "dog", "next to"]
    assert [" ".join(said[leaf] for leaf in node) for node in tree.nodes] == [
        *("red cube", "small blue ring", "dog"),
        *("next to small blue ring", "red cube next to small blue ring"),
        "red cube small blue ring dog next to",
    ]
    assert phrase_tree(parse("hello")).nodes == ((0,),)
    assert "ring" not in [
        parse(p).prompt[slice(*span)] for p in ["a cube without a ring"] for span in phrase_tree(parse(p)).leaves
    ]


def test_random_boxes_are_boxes_of_a_patch_at_least() -> None:
    for row in random_boxes(5, 7, 30, np.random.default_rng(0)).view(30, 5, 7):
        rows, columns = row.any(dim=1), row.any(dim=0)
        assert int(rows.sum() * columns.sum()) == int(row.sum()) >= 1
        for line in (rows, columns):
            there = line.nonzero()[:, 0]
            assert int(there[-1] - there[0]) + 1 == len(there)
    with pytest.raises(UsageError, match="13 regions on a grid of 3 x 4 patches"):
        random_boxes(3, 4, 13, np.random.default_rng(0))


def test_powerclip_is_its_loops(backbone: DualEncoder) -> None:
    settings = PowerSettings(regions=6)
    scorer, picture = PowerClipScorer(backbone, settings), images(1)[0]
    features = backbone.encode_images([picture])
    rows, columns = features.grids[0]
    boxes = random_boxes(rows, columns, 6, np.random.default_rng(0))
    phi = [F.normalize(sum(features.patches[0][p] for p in range(rows * columns) if box[p]), dim=-1) for box in boxes]
    tokens, tree = backbone.encode_tokens([THREE.prompt])[0], phrase_tree(THREE)
    psi = [F.normalize(sum(tokens.states[i] for i in tokens.indices(span)), dim=-1) for span in tree.leaves]
    nodes = torch.stack([sum(psi[leaf] for leaf in node) for node in tree.nodes])
    exact = float(subsets(torch.stack(phi), nodes).amax(dim=0).mean())
    prepared = scorer.prepare([THREE])
    found = scorer.terms(scorer.encode([picture]), prepared)
    assert float(found[0]) == pytest.approx(exact, abs=0.01)
    score = scorer.explain([picture], THREE)[0]
    assert score.value == pytest.approx(float(found[0] + found[1]), abs=1e-5)
    assert score.pairs == ()


def test_more_regions_than_patches_are_a_usage_error(clip: DualEncoder) -> None:
    with pytest.raises(UsageError, match="17 regions on a grid of 4 x 4 patches"):
        make_scorer("powerclip", clip, PowerSettings(regions=17)).score(images(1), [THREE])
    for wrong in ({"regions": 0}, {"tau_tree": 0.0}, {"zeta": 1.5}, {"tau_regions": float("nan")}):
        with pytest.raises(UsageError):
            PowerSettings(**wrong)


def test_work_is_linear_in_the_number_of_regions() -> None:
    """Counted, not timed: the values that the aggregators hold, four times as many for four times the regions."""
    counts = []
    for m in (64, 256):
        similar = node_similarities(*(x[None] for x in some(m, 5)))
        counts.append(similar.numel())
    assert counts[1] == 4 * counts[0]
