"""The second course of the text-to-image model: what its scenes say and show, and how its training goes on."""

import numpy as np
import pytest
import torch
from diffusers import StableDiffusionPipeline
from torch.nn import functional as F

from abe_rerank.parsing import parse
from abe_rerank.shapes.oracle import Detection, is_right
from abe_rerank.shapes.render import render
from abe_rerank.shapes.training import second_course
from abe_rerank.shapes.training.asked_pool import WORDINGS_KEPT, asked_pool
from abe_rerank.shapes.training.asked_scenes import KINDS, asked_caption, asked_scene
from abe_rerank.shapes.training.common import load_checkpoint
from abe_rerank.shapes.training.latents import MEAN, STD
from abe_rerank.shapes.training.pipeline_folder import save_pipeline
from abe_rerank.shapes.training.text_to_image import TOKENS, new_networks
from abe_rerank.shapes.training.tokenizer import word_tokenizer
from abe_rerank.shapes.training.vae import SIDE, new_vae, to_tensor

SCENES = [asked_scene(k) for k in range(120)]
BESIDE = {"left": (0, -1), "right": (0, 1), "above": (1, -1), "over": (1, -1)}
BESIDE |= {"below": (1, 1), "under": (1, 1), "beneath": (1, 1)}


def captions(index):
    rng = np.random.default_rng(index)
    return [asked_caption(SCENES[index], rng) for _ in range(3)]


def test_a_caption_asks_for_exactly_what_its_scene_shows():
    for index, asked in enumerate(SCENES):
        seen = [Detection(o.colour, o.shape, o.pattern, o.box, 1.0) for o in asked.scene.objects]
        for text in captions(index):
            spec = parse(text.replace("plus", "cross"))  # the parser takes "plus" for "and"
            assert is_right(seen, spec), text
            assert spec.ignored == () or all(word.reason != "unknown" for word in spec.ignored)
            assert sum(phrase.count.value if phrase.count else 1 for phrase in spec.objects if not with_pattern(phrase))


def with_pattern(phrase):
    return phrase.text in ("dots", "stripes")


def test_a_relation_in_a_caption_is_true():
    said = 0
    for index, asked in enumerate(SCENES):
        for text in captions(index):
            words = text.split()
            known = [word for word in words if word in BESIDE]
            if not known:
                continue
            said += 1
            axis, sign = BESIDE[known[0]]
            middles = [np.mean([(o.x, o.y) for o in group], axis=0)[axis] for group in asked.groups]
            front = text.split(known[0])[0]
            first = max((0, 1), key=lambda k: names(asked.groups[k][0], front))
            if names(asked.groups[first][0], front) != names(asked.groups[1 - first][0], front):
                assert np.sign(middles[first] - middles[1 - first]) == sign, text
    assert said > 40


def names(thing, text):
    """How many of the thing's own words the text holds: shapes differ within a scene."""
    return sum(word in text for word in (thing.shape, *second_course_synonyms(thing.shape)))


def second_course_synonyms(shape):
    from abe_rerank.shapes.wishes import SHAPE_SYNONYMS

    return SHAPE_SYNONYMS.get(shape, ())


def test_the_objects_are_whole_and_every_kind_comes_up():
    for asked in SCENES:
        assert all(0 <= edge <= 1 for thing in asked.scene.objects for edge in thing.box)
        assert sorted(map(repr, asked.scene.objects)) == sorted(repr(t) for group in asked.groups for t in group)
    shown = [(len(a.scene.objects), len(a.groups), {t.pattern for g in a.groups for t in g}) for a in SCENES]
    assert {(1, 1), (2, 2), (3, 3), (3, 2)} == {(things, groups) for things, groups, _ in shown}
    assert any({"striped", "dotted"} <= patterns for _, _, patterns in shown)
    assert any({"small", "large"} <= {t.size for t in a.scene.objects} for a in SCENES)
    assert sum(KINDS.values()) == pytest.approx(1)


def test_the_pool_holds_the_mean_colours_and_the_captions(tmp_path):
    tokenizer = word_tokenizer(TOKENS, framed=True)
    pool = asked_pool(tmp_path, 3, tokenizer)
    image = to_tensor(render(SCENES[2].scene, SIDE)[0][None])
    wanted = (F.avg_pool2d(image, 4)[0] - torch.tensor(MEAN)[:, None, None]) / torch.tensor(STD)[:, None, None]
    np.testing.assert_allclose(pool.latents[2], wanted, atol=3e-3)
    assert pool.ids.shape == (3, WORDINGS_KEPT, TOKENS)
    rng = np.random.default_rng((8, 2))
    written = tokenizer([asked_caption(SCENES[2], rng) for _ in range(WORDINGS_KEPT)], padding="max_length")
    assert pool.ids[2].tolist() == written["input_ids"]
    again = asked_pool(tmp_path, 3, tokenizer)
    assert (again.latents == pool.latents).all()
    assert (again.ids == pool.ids).all()


def test_a_share_of_the_captions_is_empty(tmp_path):
    tokenizer = word_tokenizer(TOKENS, framed=True)
    pool = asked_pool(tmp_path, 2, tokenizer)
    latents, ids = pool.batch(np.random.default_rng(0), 400, 0.25)
    assert latents.shape == (400, 3, 32, 32)
    empty = torch.tensor(tokenizer("", padding="max_length")["input_ids"])
    share = (ids == empty).all(1).float().mean().item()
    assert share == pytest.approx(0.25, abs=0.06)
    assert not (torch.from_numpy(pool.ids.astype(np.int64)) == empty).all(-1).any()


def test_the_rate_stays_until_it_falls():
    rates = [second_course.falling_rate(step, 200, 2.0, cool=50) for step in range(201)]
    assert rates[0] == pytest.approx(2 / second_course.WARMUP)
    assert set(rates[second_course.WARMUP : 151]) == {2.0}
    assert all(a > b for a, b in zip(rates[150:], rates[151:], strict=False))
    assert rates[200] == 0


def test_more_steps_go_on_from_before_the_rate_fell(tmp_path):
    torch.manual_seed(0)
    networks = new_networks((8, 8, 16, 16), groups=4)
    start = tmp_path / "start"
    save_pipeline(start, new_vae((8, 8, 8)), networks.unet, networks.text, networks.tokenizer)

    def train(name, steps):
        second_course.main(tmp_path / name, tmp_path / f"{name}-work", start, steps, 2, batch=2, scenes=4, snapshot=2)
        return load_checkpoint(tmp_path / f"{name}-work" / "last.pt")

    train("twice", 4)
    twice, once = train("twice", 6), train("once", 6)
    assert twice["step"] == once["step"] == 6
    assert all(torch.equal(twice["average"][name], value) for name, value in once["average"].items())
    drawn = StableDiffusionPipeline.from_pretrained(tmp_path / "twice", safety_checker=None)
    kept = drawn.unet.conv_in.weight.float()
    torch.testing.assert_close(kept, once["average"]["unet.conv_in.weight"], atol=1e-3, rtol=1e-2)
    assert not torch.equal(kept, networks.unet.conv_in.weight)
