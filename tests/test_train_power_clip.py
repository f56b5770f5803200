"""PowerCLIP's loss in training against loops, its twin without it, and that a resumed training is the same training."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn import functional as F

from abe_rerank.parsing import parse
from abe_rerank.scoring.phrase_tree import phrase_tree
from abe_rerank.scoring.powerset import node_similarities, regions_to_tree, tree_to_regions
from abe_rerank.shapes.training import power_clip, proving
from abe_rerank.shapes.training.pools import Pool
from abe_rerank.shapes.training.power_clip import PowerTraining, load_averaged, powerset_scores
from abe_rerank.shapes.training.proving import TOKENS, Kind, contrast
from abe_rerank.shapes.training.tokenizer import word_tokenizer

SMALL = Kind("clip", image=32, patch=8, layers=1, width=64, heads=2)
CAPTIONS = ["a red cube", "a blue ring above a star", "a red cube", "a striped heart and a ring"]


@pytest.fixture
def pool() -> Pool:
    ids = word_tokenizer(TOKENS)(CAPTIONS, padding="max_length", max_length=TOKENS)["input_ids"]
    images = np.random.default_rng(0).integers(0, 256, (4, 32, 32, 3), dtype=np.uint8)
    return Pool(images, np.array(ids, np.int16)[:, None])


def test_the_scores_of_pictures_and_captions_are_those_of_loops() -> None:
    generator = torch.Generator().manual_seed(0)
    patches, tokens = torch.randn(2, 16, 8, generator=generator), torch.randn(4, 10, 8, generator=generator)
    boxes = torch.rand(2, 5, 16, generator=generator) < 0.4
    found = powerset_scores(patches, boxes, tokens, [tuple(caption.split()) for caption in CAPTIONS])
    for n in range(2):
        phi = torch.stack([F.normalize(patches[n][box].sum(0), dim=-1) for box in boxes[n]])
        for t, caption in enumerate(CAPTIONS):
            tree, words = phrase_tree(parse(caption)), caption.split()
            psi = []
            for start, end in tree.leaves:
                inside = [k for k, word in enumerate(words) if word in caption[start:end].split()]
                first = next(k for k in inside if caption.index(words[k]) >= 0)
                rows = range(first, first + len(caption[start:end].split()))
                psi.append(F.normalize(tokens[t][list(rows)].sum(0), dim=-1))
            nodes = torch.stack([torch.stack([psi[leaf] for leaf in node]).sum(0) for node in tree.nodes])
            similar = node_similarities(phi[None], nodes[None])
            mask = torch.ones(1, len(nodes), dtype=torch.bool)
            wanted = tree_to_regions(similar, mask, 0.001) + regions_to_tree(similar, mask, 0.1, 0.75)
            assert float(found[n, t]) == pytest.approx(float(wanted), rel=1e-4, abs=1e-5)


def test_the_twin_is_clips_loss_alone_and_starts_alike(pool: Pool, tmp_path: Path) -> None:
    pair = [PowerTraining(tmp_path, SMALL, [pool, pool], 4, half=False, triplet=w) for w in (0.2, 0.0)]
    for one, same in zip(pair[0].model.parameters(), pair[1].model.parameters(), strict=True):
        assert torch.equal(one, same)
    pixels = proving.to_pixels(pool.images, *proving.normalisation(SMALL))
    ids = torch.from_numpy(pool.ids[:, 0]).long()
    with torch.no_grad():
        image = F.normalize(pair[1].model.get_image_features(pixels), dim=-1)
        text = F.normalize(pair[1].model.get_text_features(proving.framed(ids)), dim=-1)
    twin = pair[1].loss(pixels, ids)
    assert float(twin.detach()) == pytest.approx(float(contrast(pair[1].model, image, text, ids).detach()), rel=1e-5)
    whole = pair[0].loss(pixels, ids)
    assert float(whole.detach()) > float(twin.detach())
    whole.backward()
    grads = [p.grad for p in pair[0].model.parameters() if p.grad is not None]
    assert all(torch.isfinite(grad).all() for grad in grads)


def test_a_resumed_training_is_the_same_and_its_folder_is_read_by_means(
    pool: Pool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(proving, "start", lambda *_: None)  # first weights are tested with the proving backbones
    monkeypatch.setattr(proving, "BATCH", 3)
    monkeypatch.setattr(proving, "SAVE_EVERY", 2)
    whole = PowerTraining(tmp_path / "whole", SMALL, [pool, pool], 4, half=False, triplet=0.2)
    whole.run(snapshot_every=4)
    part = PowerTraining(tmp_path / "part", SMALL, [pool, pool], 4, half=False, triplet=0.2)
    stepped = part._train_step
    monkeypatch.setattr(part, "_train_step", lambda: stepped() if part.step < 3 else sys.exit("killed"))
    with pytest.raises(SystemExit):
        part.run(snapshot_every=4)
    again = PowerTraining(tmp_path / "part", SMALL, [pool, pool], 4, half=False, triplet=0.2)
    again.resume()
    assert again.step == 2
    again.run(snapshot_every=4)
    for one, same in zip(whole.model.parameters(), again.model.parameters(), strict=True):
        assert torch.equal(one, same)
    backbone = load_averaged(tmp_path / "whole")
    pixels = proving.to_pixels(pool.images, *proving.normalisation(SMALL))
    with torch.no_grad():
        patches = whole.model.eval().patch_states(pixels)
        states = whole.model.word_states(proving.framed(torch.from_numpy(pool.ids[:, 0]).long()))
    image = F.normalize(patches.mean(dim=1), dim=-1)
    found = backbone.encode_images([Image.fromarray(picture) for picture in pool.images], "last")
    torch.testing.assert_close(found.global_, image, atol=1e-2, rtol=0)
    for row, caption in enumerate(CAPTIONS):
        mean = F.normalize(states[row, 1 : 1 + len(caption.split())].mean(dim=0), dim=-1)
        torch.testing.assert_close(backbone.encode_texts([caption])[0], mean, atol=1e-2, rtol=0)
    assert power_clip.REGIONS == 10
