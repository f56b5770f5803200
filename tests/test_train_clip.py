"""The training of the built-in CLIP against loops, and that a resumed training is the same training."""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from transformers import SiglipImageProcessorPil, SiglipModel

from abe_rerank.shapes.training import clip, pools
from abe_rerank.shapes.training.clip import (
    ClipTraining,
    contrastive_loss,
    new_model,
    pooled,
    read_patches,
    see_at,
    value_path,
    window_positions,
)
from abe_rerank.shapes.training.clip_pictures import WARP, cut_out, relit, stretched, warped
from abe_rerank.shapes.training.clip_stages import GRID, LARGER, PATCH, STAGES, TOKENS, TWIN_STAGES
from abe_rerank.shapes.training.first_weights import OFFSETS, start_as_bag_of_words, start_as_convolution
from abe_rerank.shapes.training.tokenizer import word_tokenizer
from abe_rerank.shapes.world import CLOSE_UPS, SMALL_BELOW, sample_scene, split_rng


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return new_model(40).eval()


@pytest.mark.parametrize(("side", "grid"), [(1, 12), (3, 12), (6, 16)])
def test_window_positions(side, grid):
    rows, columns = torch.tensor([0, 4]), torch.tensor([2, 5])
    got = window_positions(rows, columns, side, grid)
    for n in range(2):
        wanted = [(rows[n] + r) * grid + columns[n] + c for r in range(side) for c in range(side)]
        assert got[n].tolist() == [int(w) for w in wanted]


def test_cut_outs_are_slices():
    pixels = torch.rand(3, 3, GRID * PATCH, GRID * PATCH)
    corner = torch.tensor([[0, 3, 7], [1, 9, 0]])
    got = cut_out(pixels, corner, 3)
    for n in range(3):
        top, left = (int(c) * PATCH for c in corner[:, n])
        assert torch.equal(got[n], pixels[n, :, top : top + 3 * PATCH, left : left + 3 * PATCH])


def test_relighting_leaves_half_of_the_pictures_and_keeps_the_order_of_brightness():
    ramp = torch.linspace(-1, 1, 9).expand(60, 3, 1, 9)
    lit = relit(ramp, np.random.default_rng(0))
    same = [torch.allclose(a, b, atol=1e-6) for a, b in zip(lit, ramp, strict=True)]
    assert 15 < sum(same) < 45
    assert lit.min() >= -1
    assert lit.max() <= 1
    assert (lit.diff(dim=-1) >= 0).all()


def test_stretching_cuts_rows_or_columns_at_the_edges():
    pixels = torch.arange(48 * 48.0).reshape(1, 1, 48, 48)
    shapes = set()
    for k in range(60):
        cut = stretched(pixels, np.random.default_rng(k))
        top, left = divmod(int(cut[0, 0, 0, 0]), 48)
        height, width = cut.shape[-2:]
        assert torch.equal(cut, pixels[..., top : top + height, left : left + width])
        assert min(height, width) >= 36
        assert max(height, width) == 48
        shapes.add((height == 48, width == 48))
    assert shapes == {(True, True), (True, False), (False, True)}


def test_warping_leaves_half_of_the_pictures_and_pushes_the_others_about_smoothly():
    places = torch.stack(torch.meshgrid(torch.linspace(-1, 1, 64), torch.linspace(-1, 1, 48), indexing="ij"))
    pixels = torch.cat([places, torch.full((1, 64, 48), 0.3)]).expand(60, 3, 64, 48)
    seen = warped(pixels, np.random.default_rng(0))
    same = [torch.allclose(a, b, atol=1e-5) for a, b in zip(seen, pixels, strict=True)]
    assert 15 < sum(same) < 45
    assert torch.allclose(seen[:, 2], pixels[:, 2], atol=1e-5), "one colour stays one colour"
    pushes = (seen - pixels)[:, :2]
    assert pushes.std() < 2 * WARP
    assert max(pushes.diff(dim=2).abs().max(), pushes.diff(dim=3).abs().max()) < 0.05


def test_sizes_in_captions_of_close_ups_are_those_of_a_scene(tmp_path):
    tokenizer = word_tokenizer(TOKENS)
    plan = replace(STAGES[1].close_ups[0].pool, count=60)
    ids = pools.open_pool(tmp_path, plan, tokenizer).ids
    texts = tokenizer.batch_decode(ids.reshape(-1, TOKENS), skip_special_tokens=True)
    smallest = {
        k: min((o.diameter for o in sample_scene(split_rng("train", k), CLOSE_UPS).objects), default=1)
        for k in range(60)
    }
    said = [k // pools.WORDINGS_KEPT for k, text in enumerate(texts) if {"small", "little", "tiny"} & set(text.split())]
    assert said
    assert all(smallest[k] * plan.scale < SMALL_BELOW for k in said)


@torch.no_grad()
def test_reading_patches_is_the_models_own_forward(model):
    pixels = torch.rand(2, 3, GRID * PATCH, GRID * PATCH)
    hidden = read_patches(model, pixels, torch.arange(GRID * GRID))
    own = model.vision_model(pixels)
    assert torch.allclose(hidden, own.last_hidden_state, atol=1e-5)
    assert torch.allclose(pooled(model, hidden), own.pooler_output, atol=1e-5)


@torch.no_grad()
def test_a_larger_scene_is_seen_as_transformers_interpolates_it(tmp_path):
    model = new_model(40)
    pixels = torch.rand(2, 3, LARGER, LARGER)
    before = model.vision_model(pixels, interpolate_pos_encoding=True).last_hidden_state
    see_at(model, LARGER)
    grid = LARGER // PATCH
    assert torch.allclose(read_patches(model, pixels, torch.arange(grid * grid)), before, atol=1e-5)
    clip.save_folder(model, tmp_path)
    loaded = SiglipModel.from_pretrained(tmp_path)
    assert torch.allclose(loaded.vision_model(pixels).last_hidden_state, before, atol=1e-5)
    assert SiglipImageProcessorPil.from_pretrained(tmp_path).size == {"height": LARGER, "width": LARGER}
    assert all(p.requires_grad for name, p in model.named_parameters() if name != "logit_bias")


@torch.no_grad()
def test_value_path_is_the_head_on_one_patch(model):
    hidden = torch.randn(2, 5, model.config.vision_config.hidden_size)
    got = value_path(model, hidden)
    for k in range(5):
        assert torch.allclose(got[:, k], pooled(model, hidden[:, k : k + 1]), atol=1e-5)


@torch.no_grad()
def test_contrastive_loss_against_a_loop(model):
    ids = torch.randint(4, 40, (6, TOKENS), generator=torch.Generator().manual_seed(1))
    ids[3] = ids[0]
    image = torch.randn(6, model.config.vision_config.hidden_size)
    text = F.normalize(model.text_model(ids).pooler_output, dim=-1)
    cosines = model.logit_scale.exp() * F.normalize(image, dim=-1) @ text.T
    terms = []
    for n in range(6):
        rivals = [m for m in range(6) if m == n or not torch.equal(ids[m], ids[n])]
        terms.append(torch.logsumexp(cosines[n, rivals], 0) - cosines[n, n])
        terms.append(torch.logsumexp(cosines[rivals, n], 0) - cosines[n, n])
    assert contrastive_loss(model, image, ids).item() == pytest.approx(torch.stack(terms).mean().item(), abs=1e-4)


@torch.no_grad()
def test_heads_start_by_looking_at_their_neighbours():
    model = new_model(40)
    start_as_convolution(model.vision_model, torch.randn(500, 3 * PATCH * PATCH))
    states = model.vision_model.embeddings(torch.zeros(1, 3, GRID * PATCH, GRID * PATCH))
    layer = model.vision_model.encoder.layers[0]
    states = layer.layer_norm1(states)[0]
    queries, keys = (
        p(states).view(GRID * GRID, len(OFFSETS), -1) for p in (layer.self_attn.q_proj, layer.self_attn.k_proj)
    )
    looks = torch.einsum("phd,qhd->hpq", queries, keys).argmax(-1)
    for head, (rows, columns) in enumerate(OFFSETS):
        for row in range(1, GRID - 1):
            for column in range(1, GRID - 1):
                assert looks[head, row * GRID + column] == (row + rows) * GRID + column + columns


def test_bag_of_words_start_tells_words_apart():
    training = ClipTraining(None, STAGES, torch.device("cpu"))
    texts = ["a red cube", "a blue cube", "a red star", "a photo of a blue star", "a star", "a cube"]
    ids = np.array(training.tokenizer(texts, padding="max_length")["input_ids"], np.int16)
    start_as_bag_of_words(training.model.text_model, ids, training.tokenizer.get_vocab(), steps=60, batch=6)
    with torch.no_grad():
        text = F.normalize(training.model.text_model(torch.from_numpy(ids).long()).pooler_output, dim=-1)
    near, far = text[0] @ text[1], text[0] @ text[3]
    assert near > far + 0.2, "sharing a noun is more than sharing nothing"
    assert text[4] @ text[5] < 0.5


def test_close_ups_whose_sizes_are_told_are_read_at_their_own_size():
    told = next(stage for stage in STAGES if not all(share.scaled for share in stage.alone))
    stage = replace(told, warps=False)
    training = ClipTraining(None, STAGES, torch.device("cpu"))
    see_at(training.model, stage.image)
    side = stage.grid // 2
    pixels = torch.rand(4, 3, side * PATCH, side * PATCH, generator=torch.Generator().manual_seed(0)) * 2 - 1
    texts = ["a small cube", "a large cube", "a small star", "a large star"]
    ids = torch.tensor(training.tokenizer(texts, padding="max_length")["input_ids"])
    with torch.no_grad():
        loss = training._close_up_loss(stage, pixels, ids, np.random.default_rng(3), scaled=False)
        corner = torch.from_numpy(np.random.default_rng(3).integers(stage.grid - side + 1, size=(2, 4)))
        places = window_positions(corner[0], corner[1], side, stage.grid)
        wanted = contrastive_loss(
            training.model, pooled(training.model, read_patches(training.model, pixels, places)), ids
        )
    assert loss == pytest.approx(float(wanted), abs=1e-6)


@pytest.fixture
def short_start(monkeypatch):
    """A training that starts with text and pictures told apart less well, much sooner."""
    monkeypatch.setattr(clip, "start_as_bag_of_words", partial(start_as_bag_of_words, steps=10, batch=16))


def tiny_stages():
    def fewer(shares):
        return tuple(replace(share, pool=replace(share.pool, count=12), batch=3) for share in shares)

    steps = {
        "close-ups": 4,
        "scenes": 3,
        "patterns": 2,
        "larger": 4,
        "textures": 3,
        "solids": 2,
        "names": 2,
        "sizes": 2,
    }
    return tuple(
        replace(
            stage,
            **{"close_ups": fewer(stage.close_ups), "scenes": fewer(stage.scenes), "alone": fewer(stage.alone)},
            **{"steps": steps[stage.name], "boxes": 1},
        )
        for stage in STAGES
    )


def test_the_twin_sees_pictures_and_captions_of_the_other_without_self_distillation():
    def plans(stages):
        return {share.pool for stage in stages for share in (*stage.close_ups, *stage.scenes, *stage.alone)}

    assert plans(TWIN_STAGES) <= plans(STAGES)
    assert not any(stage.distil for stage in TWIN_STAGES)
    assert any(stage.distil for stage in STAGES)


def test_a_stage_may_end_with_the_mean_of_its_weights_and_those_before(tmp_path, short_start):
    torch.set_num_threads(1)
    first, second = tiny_stages()[:2]
    before, after, mean = (
        ClipTraining(tmp_path / name, stages, torch.device("cpu")).run().state_dict()
        for name, stages in (
            ("before", (first,)),
            ("after", (first, replace(second, keeps=0.0))),
            ("mean", (first, replace(second, keeps=0.25))),
        )
    )
    changed = [name for name in before if not torch.equal(before[name], after[name])]
    assert changed
    for name in changed:
        torch.testing.assert_close(mean[name], 0.25 * before[name] + 0.75 * after[name])


@pytest.fixture
def last_stage_from_a_folder(tmp_path):
    """A training at the start of its last stage, and the weights in the folder that it took."""
    torch.manual_seed(3)
    start = new_model(len(word_tokenizer(TOKENS)))
    see_at(start, LARGER)
    clip.save_folder(start, tmp_path / "start")
    training = ClipTraining(tmp_path / "work", tiny_stages(), torch.device("cpu"))
    training.start_last_stage(tmp_path / "start")
    return training, start.state_dict()


def test_the_last_stage_may_start_from_a_model_folder(last_stage_from_a_folder):
    torch.set_num_threads(1)
    training, start = last_stage_from_a_folder
    assert (training.stage, training.step) == (len(STAGES) - 1, 0)
    for network in (training.model, training.average, training.before):
        assert all(torch.equal(value, start[name]) for name, value in network.state_dict().items())
    trained = training.run().state_dict()
    assert any(not torch.equal(value, start[name]) for name, value in trained.items())
    assert training.stage == len(STAGES)


class KilledError(Exception):
    pass


KILLS = {(0, 2): (0, 2), (1, 1): (1, 0), (3, 2): (3, 2), (4, 0): (4, 0), (4, 2): (4, 2), (5, 1): (5, 0), (6, 1): (6, 0)}
"""The stage and step before which one training is killed, again and again, and those from which it goes on."""


@pytest.mark.slow
def test_a_training_that_is_killed_goes_on_as_if_nothing_had_happened(tmp_path, monkeypatch, short_start):
    torch.set_num_threads(1)
    monkeypatch.setattr(clip, "SAVE_EVERY", 2)
    finished = ClipTraining(tmp_path / "whole", tiny_stages(), torch.device("cpu")).run()

    again = ClipTraining(tmp_path / "cut", tiny_stages(), torch.device("cpu"))
    for killed_at, kept_at in KILLS.items():
        with monkeypatch.context() as patch:
            patch.setattr(again, "_train_step", killed_before(again, killed_at))
            with pytest.raises(KilledError):
                again.run()
        again = ClipTraining(tmp_path / "cut", tiny_stages(), torch.device("cpu"), seed=0)
        again.resume()
        assert (again.stage, again.step) == kept_at
    resumed = again.run()
    for (name, a), b in zip(finished.state_dict().items(), resumed.state_dict().values(), strict=True):
        assert torch.equal(a, b), name
    assert (tmp_path / "cut" / "model" / "model.safetensors").exists()
    again.resume()
    assert again.stage == len(STAGES)
    assert all(torch.equal(a, b) for a, b in zip(again.run().parameters(), finished.parameters(), strict=True))


def killed_before(training, place):
    """Its training step, which ends everything at a stage and step."""
    step = training._train_step

    def take(*arguments):
        if (training.stage, training.step) == place:
            raise KilledError
        return step(*arguments)

    return take
