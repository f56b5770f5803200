"""Training of the text-to-image model at tiny configurations, against plain references."""

import itertools
import subprocess
import sys

import numpy as np
import pytest
import torch
from diffusers import StableDiffusionPipeline
from torch.nn import functional as F

from abe_rerank.shapes.render import render
from abe_rerank.shapes.training.calm_scenes import PLACES, placed_scene
from abe_rerank.shapes.training.common import learning_rate, load_checkpoint, rendered_scenes, save_checkpoint
from abe_rerank.shapes.training.identity_start import KEPT, hold, start_as_identity
from abe_rerank.shapes.training.latents import fold_normalisation, scene_latents
from abe_rerank.shapes.training.muon import Muon, orthogonalised
from abe_rerank.shapes.training.pipeline_folder import save_pipeline
from abe_rerank.shapes.training.text_to_image import (
    Training,
    captions_of,
    new_networks,
    placed_examples,
    predict,
    tokens_of,
)
from abe_rerank.shapes.training.vae import FACTOR, SIDE, mosaics, new_vae, to_tensor, training_scene


@pytest.fixture(scope="module")
def images():
    return np.stack([render(training_scene(k), SIDE)[0] for k in range(4)])


@pytest.fixture(scope="module")
def started(images):
    torch.manual_seed(0)
    vae = new_vae()
    return vae, start_as_identity(vae, to_tensor(images), FACTOR)


def tiny_training(steps=6):
    torch.manual_seed(0)
    latents = np.random.default_rng(0).standard_normal((8, 3, 32, 32)).astype(np.float16)
    networks = new_networks((8, 8, 16, 16), groups=4)
    return Training(networks, placed_examples(latents, networks.tokenizer), steps, peak=1e-3, seed=0)


def test_the_autoencoder_starts_as_averaging_and_repeating(started, images):
    vae, _ = started
    x = to_tensor(images)
    small = F.avg_pool2d(x, FACTOR)
    with torch.no_grad():
        assert (vae.encode(x).latent_dist.mean - small).abs().mean() < 0.03
        decoded = vae.decode(small).sample
    repeated = F.interpolate(small, scale_factor=FACTOR)
    assert (decoded - repeated).abs().mean() < 0.05
    assert (decoded - x).abs().mean() < 0.5 * (x.mean((2, 3), keepdim=True) - x).abs().mean()


def test_held_rows_get_no_gradient_and_the_others_do(started, images):
    vae, held = started
    vae.zero_grad()
    vae.decode(F.avg_pool2d(to_tensor(images[:1]), FACTOR)).sample.square().mean().backward()
    hold(held)
    learnt = [p for p in held if p.grad is not None]
    assert learnt
    assert all(p.grad[:KEPT].abs().max() == 0 for p in learnt)
    assert any(p.grad[KEPT:].abs().max() > 0 for p in learnt)


def test_folding_the_normalisation_changes_latents_but_not_pictures(images):
    torch.manual_seed(1)
    vae, x = new_vae().eval(), to_tensor(images[:2])
    mean, std = torch.tensor([0.3, -0.2, 0.1]), torch.tensor([0.5, 2.0, 0.7])
    with torch.no_grad():
        before = vae.encode(x).latent_dist
        picture = vae.decode(before.mean).sample
        fold_normalisation(vae, mean, std)
        after = vae.encode(x).latent_dist
        wanted = (before.mean - mean[:, None, None]) / std[:, None, None]
        torch.testing.assert_close(after.mean, wanted, atol=1e-4, rtol=1e-4)
        torch.testing.assert_close(after.std, before.std / std[:, None, None], atol=1e-4, rtol=1e-3)
        torch.testing.assert_close(vae.decode(after.mean).sample, picture, atol=1e-3, rtol=1e-3)


def test_mosaics_are_pictures_of_the_scenes(images):
    whole = mosaics(images, 3, 1.0, np.random.default_rng(0))
    assert all(any((picture == image).all() for image in images) for picture in whole)
    crops = mosaics(images, 2, 0.0, np.random.default_rng(0))
    assert crops.shape == (2, SIDE, SIDE, 3)
    assert set(crops.reshape(-1, 3).sum(1)) <= set(images.reshape(-1, 3).sum(1))


def test_latents_are_the_normalised_mean_colours(tmp_path):
    latents = scene_latents(tmp_path, 3)
    image = render(placed_scene(1), SIDE)[0].astype(np.float64) / 127.5 - 1
    wanted = np.array([[image[4 * r : 4 * r + 4, 4 * c : 4 * c + 4, 0].mean() for c in range(32)] for r in range(32)])
    np.testing.assert_allclose(latents[1, 0] * 0.44 + 0.23, wanted, atol=3e-3)
    assert (scene_latents(tmp_path, 3) == latents).all()


@pytest.mark.parametrize("shape", [(6, 20), (20, 6), (9, 9)])
def test_muon_keeps_the_singular_vectors_and_evens_the_values(shape):
    matrix = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    u, _, v = torch.linalg.svd(matrix, full_matrices=False)
    out = orthogonalised(matrix)
    assert out.shape == matrix.shape
    values = torch.linalg.svdvals(out)
    assert values.min() > 0.3
    assert values.max() < 1.4
    assert F.cosine_similarity(out.flatten(), (u @ v).flatten(), dim=0) > 0.95


def test_muon_goes_downhill_on_convolutions():
    torch.manual_seed(0)
    layer, x = torch.nn.Conv2d(3, 5, 3, bias=False), torch.randn(4, 3, 6, 6)
    optimizer = Muon(layer.parameters(), lr=0.02)
    losses = []
    for _ in range(20):
        loss = layer(x).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.5 * losses[0]


def test_resumed_training_takes_the_very_steps_of_an_uninterrupted_one(tmp_path):
    straight = tiny_training()
    for _ in range(3):
        straight.advance(4, predict, half=False)
    broken = tiny_training()
    for _ in range(2):
        broken.advance(4, predict, half=False)
    save_checkpoint(tmp_path / "last.pt", broken.state())
    resumed = tiny_training()
    resumed.restore(load_checkpoint(tmp_path / "last.pt"))
    resumed.advance(4, predict, half=False)
    assert resumed.step == 3
    for ours, theirs in zip(resumed.state()["average"].values(), straight.state()["average"].values(), strict=True):
        torch.testing.assert_close(ours, theirs)


def test_captions_are_whole_and_sometimes_empty():
    networks = new_networks((8, 8, 16, 16), groups=4)
    texts = captions_of(list(range(200)), np.random.default_rng(0))
    assert 5 < texts.count("") < 45
    ids = tokens_of(networks.tokenizer, texts)
    assert ids.shape == (200, 32)
    assert not (ids == networks.tokenizer.unk_token_id).any()
    assert (ids == networks.tokenizer.eos_token_id).any(1).float().mean() > 0.98


def test_the_folder_loads_unmodified_in_single_precision_and_draws(tmp_path):
    torch.manual_seed(0)
    networks = new_networks((8, 8, 16, 16), groups=4)
    save_pipeline(tmp_path, new_vae(), networks.unet, networks.text, networks.tokenizer)
    pipeline = StableDiffusionPipeline.from_pretrained(tmp_path)
    pipeline.set_progress_bar_config(disable=True)
    assert {m.dtype for m in (pipeline.unet, pipeline.vae, pipeline.text_encoder)} == {torch.float32}
    assert pipeline("a red cube", num_inference_steps=2).images[0].size == (SIDE, SIDE)


def test_rendering_goes_on_where_it_stopped(tmp_path):
    seen = []

    def scene_of(index):
        seen.append(index)
        return training_scene(index)

    first = np.array(rendered_scenes(tmp_path, 3, scene_of, 16))
    (tmp_path / "images_3_16.done").write_text("2")
    again = rendered_scenes(tmp_path, 3, scene_of, 16)
    assert seen == [0, 1, 2, 2]
    assert (first == again).all()


def test_the_learning_rate_rises_then_falls_to_nothing():
    rates = [learning_rate(step, 100, 1.0, warmup=10) for step in range(101)]
    assert rates[9] == 1.0
    assert all(a < b for a, b in itertools.pairwise(rates[:10]))
    assert all(a >= b for a, b in itertools.pairwise(rates[10:]))
    assert rates[100] == pytest.approx(0)


def test_an_unknown_model_is_refused_with_the_known_names():
    call = [sys.executable, "-m", "abe_rerank.shapes.training", "nonsense"]
    result = subprocess.run(call, capture_output=True, text=True, check=False)
    assert result.returncode == 2
    assert "text-to-image" in result.stderr


def test_placed_scenes_stand_from_left_to_right_as_named():
    for index in range(30):
        things = placed_scene(index).objects
        assert len(things) in PLACES
        assert [t.x for t in things] == sorted(t.x for t in things)
        assert all(0.0 < edge < 1.0 for t in things for edge in t.box)


def test_every_weight_of_the_unet_is_trained():
    training = tiny_training()
    before = {name: p.detach().clone() for name, p in training.networks.unet.named_parameters()}
    for _ in range(2):
        training.advance(4, predict, half=True)
    still = [name for name, p in training.networks.unet.named_parameters() if torch.equal(p, before[name])]
    assert still == []
