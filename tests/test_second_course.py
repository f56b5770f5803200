"""The second course of the text-to-image model: what its scenes say and show, and how its training goes on."""

import itertools
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import AutoencoderKL, StableDiffusionPipeline
from PIL import Image
from torch.nn import functional as F

from abe_rerank import builtin
from abe_rerank.parsing import parse
from abe_rerank.shapes.oracle import Detection, Oracle, is_right
from abe_rerank.shapes.render import render
from abe_rerank.shapes.training import drawn_right, second_course
from abe_rerank.shapes.training.asked_pool import WORDINGS_KEPT, asked_pool
from abe_rerank.shapes.training.asked_scenes import KINDS, asked_caption, asked_scene
from abe_rerank.shapes.training.common import load_checkpoint
from abe_rerank.shapes.training.drawn_right import choosing_prompts, is_right_and_beside
from abe_rerank.shapes.training.latents import MEAN, STD
from abe_rerank.shapes.training.pipeline_folder import save_pipeline
from abe_rerank.shapes.training.text_to_image import TOKENS, new_networks
from abe_rerank.shapes.training.tokenizer import word_tokenizer
from abe_rerank.shapes.training.vae import SIDE, new_vae, to_tensor
from abe_rerank.shapes.wishes import SHAPE_SYNONYMS
from abe_rerank.suites.generators.shapes_prompts import suite

ROOT = Path(builtin.__file__).parent
SCENES = [asked_scene(k) for k in range(120)]
BESIDE = {"left": (0, -1), "right": (0, 1), "above": (1, -1), "over": (1, -1)}
BESIDE |= {"below": (1, 1), "under": (1, 1), "beneath": (1, 1)}


def captions(index):
    rng = np.random.default_rng(index)
    return [asked_caption(SCENES[index], rng) for _ in range(3)]


def test_a_caption_asks_for_exactly_what_its_scene_shows():
    for index, asked in enumerate(SCENES):
        shown = [Detection(o.colour, o.shape, o.pattern, o.box, 1.0) for o in asked.scene.objects]
        for text in captions(index):
            spec = parse(text.replace("plus", "cross"))  # the parser takes "plus" for "and"
            assert is_right(shown, spec), text


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
            (first,) = [k for k in (0, 1) if names(asked.groups[k][0], front)]
            assert np.sign(middles[first] - middles[1 - first]) == sign, text
    assert said > 40


def names(thing, text):
    """Whether the text holds a word of the thing's shape; shapes differ within a scene."""
    return any(word in text for word in (thing.shape, *SHAPE_SYNONYMS.get(thing.shape, ())))


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


@pytest.mark.skipif(not (ROOT / "oracle").is_dir(), reason="the built-in models are not trained in this checkout")
def test_stripes_and_dots_survive_the_autoencoder_to_the_eye_of_the_oracle():
    scenes = [asked.scene for asked in SCENES if all(o.pattern != "plain" for o in asked.scene.objects)][:16]
    pictures = np.stack([render(scene, SIDE)[0] for scene in scenes])
    vae = AutoencoderKL.from_pretrained(ROOT / "text-to-image" / "vae").float().eval()
    with torch.inference_mode():
        decoded = vae.decode(vae.encode(to_tensor(pictures)).latent_dist.mean).sample.clamp(-1, 1)
    drawn = ((decoded + 1) * 127.5).round().byte().permute(0, 2, 3, 1).numpy()
    found = Oracle.load().detect([Image.fromarray(picture) for picture in drawn])
    kinds = [sorted((o.colour, o.shape, o.pattern) for o in scene.objects) for scene in scenes]
    right = [
        sorted((d.colour, d.shape, d.pattern) for d in seen) == kind for seen, kind in zip(found, kinds, strict=True)
    ]
    assert sum(right) >= 14, right


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
    assert all(a > b for a, b in itertools.pairwise(rates[150:]))
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
    cut_short = train("twice", 5)
    assert cut_short["step"] == 6
    drawn = StableDiffusionPipeline.from_pretrained(tmp_path / "twice", safety_checker=None)
    kept = drawn.unet.conv_in.weight.float()
    torch.testing.assert_close(kept, once["average"]["unet.conv_in.weight"], atol=1e-3, rtol=1e-2)
    assert not torch.equal(kept, networks.unet.conv_in.weight)


def seen(shape, x, colour="red"):
    return Detection(colour, shape, "plain", (x, 0.4, x + 0.2, 0.6), 1.0)


def test_choosing_prompts_are_not_those_of_the_suite():
    prompts = choosing_prompts(77, 20)
    assert all(len(texts) == 20 for texts in prompts.values())
    known = {prompt.prompt for prompt in suite()}
    shared = [text for category, texts in prompts.items() if category != "single" for text in texts if text in known]
    assert shared == []
    assert sum("left" in text for text in prompts["beside"]) == sum("right" in text for text in prompts["beside"]) == 10


def test_left_and_right_are_judged_by_the_places():
    picture = [seen("cube", 0.1), seen("ring", 0.7)]
    assert is_right_and_beside(picture, "a red cube to the left of a red ring")
    assert is_right_and_beside(picture, "a red ring to the right of a red cube")
    assert not is_right_and_beside(picture, "a red cube to the right of a red ring")
    assert not is_right_and_beside(picture, "a red ring to the left of a red cube")
    assert not is_right_and_beside(picture, "a blue cube to the left of a red ring")


def test_a_model_is_measured_on_every_category(tmp_path, capsys):
    networks = new_networks((8, 8, 16, 16), groups=4)
    save_pipeline(tmp_path / "m", new_vae((8, 8, 8)), networks.unet, networks.text, networks.tokenizer)
    (tmp_path / "m" / "sampling.json").write_text('{"num_inference_steps": 1, "guidance_scale": 1.0}')
    drawn_right.main(tmp_path / "m", number=2, sheet=tmp_path / "sheet.png")
    shares = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert set(shares) == {*KINDS, "beside"}
    assert Image.open(tmp_path / "sheet.png").size == (12 * 132, len(shares) * 132)
