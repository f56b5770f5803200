"""The training of the proving backbones against loops, and that a resumed training is the same training."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn import functional as F

from abe_rerank.backbones import load_backbone
from abe_rerank.shapes.training import proving
from abe_rerank.shapes.training.pools import Pool
from abe_rerank.shapes.training.proving import KINDS, TOKENS, Kind, ProvingTraining, contrast, embed, framed, new_model
from abe_rerank.shapes.training.tokenizer import word_tokenizer

SMALL = {
    name: Kind(kind.family, image=24, patch=8, layers=2, width=64, heads=2, seed=kind.seed)
    for name, kind in KINDS.items()
}
CAPTIONS = ["a red cube", "a blue ring and a star", "a red cube", "a striped heart"]


@pytest.fixture
def pool() -> Pool:
    ids = word_tokenizer(TOKENS)(CAPTIONS, padding="max_length", max_length=TOKENS)["input_ids"]
    images = np.random.default_rng(0).integers(0, 256, (4, 24, 24, 3), dtype=np.uint8)
    return Pool(images, np.array(ids, np.int16)[:, None])


def test_framed_ids_are_those_of_the_folders_tokenizer():
    plain, whole = word_tokenizer(TOKENS), word_tokenizer(TOKENS + 2, framed=True)
    ids = torch.tensor(plain(CAPTIONS, padding="max_length", max_length=TOKENS)["input_ids"])
    wanted = whole(CAPTIONS, padding="max_length", max_length=TOKENS + 2)["input_ids"]
    assert framed(ids).tolist() == wanted


def test_patches_start_whitened_and_the_class_token_reads_them_alike(pool: Pool):
    kind = Kind("clip", image=24, patch=8, layers=1, width=160, heads=5)
    model = new_model(kind, len(word_tokenizer(TOKENS)))
    model.set_attn_implementation("eager")
    proving.start(model, kind, pool)
    pixels = proving.to_pixels(pool.images, *proving.normalisation(kind))
    patches = F.unfold(pixels, 8, stride=8).transpose(1, 2).flatten(0, 1)
    content = model.vision_model.embeddings(pixels).detach()[:, 1:, 32:].flatten(0, 1)
    assert content.mean(0).abs().max() < 1e-4  # 36 patches of which the positions alone know the mean
    centred = patches - patches.mean(0)
    values = torch.linalg.eigvalsh(centred.T @ centred / len(patches)).flip(0)[:128]
    wanted = (values / (values + 1e-2)).clamp(min=0)
    torch.testing.assert_close(content.pow(2).mean(0), wanted, atol=1e-3, rtol=0)
    looks = model.vision_model(pixels, output_attentions=True).attentions[0][:, :, 0, 1:]
    assert float(looks.detach().max()) < 3 / 9  # nine patches


@pytest.mark.parametrize("kind", ["clip", "siglip"])
def test_losses_against_loops(kind: str, pool: Pool):
    torch.manual_seed(0)
    model = new_model(SMALL[kind], len(word_tokenizer(TOKENS))).eval()
    image, text = F.normalize(torch.randn(4, 8), dim=-1), F.normalize(torch.randn(4, 8), dim=-1)
    ids = torch.from_numpy(pool.ids[:, 0]).long()
    scale = float(model.logit_scale.detach().exp())
    logits = scale * image @ text.T
    total = 0.0
    for i in range(4):
        for j in range(4):
            same = CAPTIONS[i] == CAPTIONS[j]
            if kind == "siglip":
                logit = logits[i, j] + float(model.logit_bias.detach())
                total -= float(F.logsigmoid(logit if same else -logit)) / 4
            elif i == j:
                others = [k for k in range(4) if k == i or CAPTIONS[k] != CAPTIONS[i]]
                total -= float(logits[i, i] - logits[i, others].logsumexp(0)) / 8
                total -= float(logits[i, i] - logits[others, i].logsumexp(0)) / 8
    assert float(contrast(model, image, text, ids).detach()) == pytest.approx(total, rel=1e-5)


@pytest.mark.parametrize("kind", list(KINDS))
@pytest.mark.slow
def test_a_resumed_training_is_the_same_and_its_folder_is_a_backbone(
    kind: str, pool: Pool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(proving, "BATCH", 3)
    monkeypatch.setattr(proving, "SAVE_EVERY", 2)
    whole = ProvingTraining(tmp_path / "whole", SMALL[kind], [pool, pool], 4, half=False)
    whole.run(snapshot_every=2)
    part = ProvingTraining(tmp_path / "part", SMALL[kind], [pool, pool], 4, half=False)
    stepped = part._train_step
    monkeypatch.setattr(part, "_train_step", lambda: stepped() if part.step < 3 else sys.exit("killed"))
    with pytest.raises(SystemExit):
        part.run(snapshot_every=2)
    again = ProvingTraining(tmp_path / "part", SMALL[kind], [pool, pool], 4, half=False)
    again.resume()
    assert again.step == 2
    again.run(snapshot_every=2)
    for one, same in zip(whole.model.parameters(), again.model.parameters(), strict=True):
        assert torch.equal(one, same)
    backbone = load_backbone(tmp_path / "whole", device="cpu")
    other = load_backbone(tmp_path / "part", device="cpu")
    assert (tmp_path / "whole" / "work" / "step-00002" / "config.json").is_file()
    ids = torch.from_numpy(pool.ids[:, 0]).long()
    pixels = proving.to_pixels(pool.images, *proving.normalisation(SMALL[kind]))
    with torch.no_grad():
        image, text = embed(whole.model.eval(), pixels, ids)
    pictures = [Image.fromarray(picture) for picture in pool.images]
    for found in (backbone, other):
        torch.testing.assert_close(found.encode_global(pictures), image, atol=5e-3, rtol=0)
        torch.testing.assert_close(found.encode_texts(CAPTIONS), text, atol=5e-3, rtol=0)
    assert backbone.weights_hash != load_backbone(tmp_path / "whole" / "work" / "step-00002").weights_hash
