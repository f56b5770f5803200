"""The reward of fine-tuning loops: each image for its own prompt, in batches, and a loop that learns by it."""

from __future__ import annotations

import doctest
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from abe_rerank import Reranker, UsageError, parse
from abe_rerank.integrations import rewards
from abe_rerank.integrations.rewards import binding_reward
from abe_rerank.scoring import make_scorer

PROMPTS = ["a red cube", "a blue star and a red cube", "a red cube", "a cube", "", "a blue star and a red cube"]


def pictures(count, seed=0):
    return torch.rand((count, 3, 16, 16), generator=torch.Generator().manual_seed(seed))


def alone(reranker, image, prompt):
    picture = Image.fromarray(np.rint(np.moveaxis(image.numpy(), 0, -1) * 255).astype(np.uint8))
    return reranker.scorer.explain([picture], parse(prompt))[0]


class Counting:
    """A scorer that writes down how many images come at once."""

    def __init__(self, scorer):
        self.scorer, self.calls = scorer, []

    def __getattr__(self, name):
        return getattr(self.scorer, name)

    def encode_to_explain(self, images):
        self.calls.append(len(images))
        return self.scorer.encode_to_explain(images)


def test_a_reward_is_the_value_of_each_image_for_its_own_prompt(reranker):
    images = pictures(6)
    found = binding_reward(reranker)(images, PROMPTS)
    assert found.dtype == torch.float32
    assert found.shape == (6,)
    assert not found.requires_grad
    for value, image, prompt in zip(found.tolist(), images, PROMPTS, strict=True):
        score = alone(reranker, image, prompt)
        assert np.isnan(value) if score.value is None else value == pytest.approx(score.value, abs=1e-5)
    assert found.isnan().tolist() == [not prompt for prompt in PROMPTS]


def test_the_other_terms_are_those_of_the_score(reranker):
    images = pictures(6)
    differences = binding_reward(reranker, "binding_difference")(images, PROMPTS).tolist()
    shares = binding_reward(reranker, "bound", unscored=-1.0)(images, PROMPTS).tolist()
    for difference, share, image, prompt in zip(differences, shares, images, PROMPTS, strict=True):
        score = alone(reranker, image, prompt)
        if score.status == "scored":
            assert difference == pytest.approx(score.binding_difference, abs=1e-5)
            assert share == pytest.approx(np.mean([pair.verdict == "bound" for pair in score.pairs]))
        else:
            assert np.isnan(difference)
            assert share == -1.0


def test_images_are_encoded_once_and_together_whatever_their_prompts(reranker):
    counting = Counting(reranker.scorer)
    binding_reward(replace(reranker, scorer=counting))(pictures(70), PROMPTS * 11 + PROMPTS[:4])
    assert counting.calls == [64, 6]


def test_pil_images_are_rewarded_like_their_tensors(reranker):
    images = (pictures(2) * 255).round().to(torch.uint8)
    pil = [Image.fromarray(np.moveaxis(image.numpy(), 0, -1)) for image in images]
    reward, prompts = binding_reward(reranker), ["a red cube", "a blue star"]
    torch.testing.assert_close(reward(images, prompts), reward(pil, prompts))
    torch.testing.assert_close(reward(images, prompts), reward(images / 255, prompts))


def test_a_trainer_that_hands_over_metadata_gets_rewards_and_info(reranker):
    """As TRL's DDPOTrainer and flow_grpo call it: three arguments by place, a pair back."""
    images, reward = pictures(3), binding_reward(reranker)
    found, info = reward(images, ["a red cube", "a cube", ""], ({}, {}, {}))
    torch.testing.assert_close(found, reward(images, ["a red cube", "a cube", ""]), equal_nan=True)
    assert torch.as_tensor(found, device="cpu").shape == (3,)
    assert info == {"status": ["scored", "nothing to bind", "unscored"]}
    assert reward(images, ["a red cube"] * 3, None)[1]["status"] == ["scored"] * 3
    assert reward.__name__ == "binding_reward"


def test_the_reward_of_the_built_in_model_is_called_alike():
    images, prompts = pictures(2), ["a red cube", "a cube"]
    found, info = rewards.reward(images, prompts, ({}, {}))
    torch.testing.assert_close(found, rewards.reward(images, prompts))
    assert info == {"status": ["scored", "nothing to bind"]}


@pytest.mark.parametrize(
    ("images", "prompts", "said"),
    [
        (pictures(2), ["a red cube"], "2 images and 1 prompts"),
        (pictures(2) * 2, ["a red cube"] * 2, "scale them to"),
        (pictures(1), [3], "a prompt is a int"),
        ([], [], "no images"),
    ],
)
def test_what_cannot_be_rewarded_is_refused(reranker, images, prompts, said):
    with pytest.raises(UsageError, match=said):
        binding_reward(reranker)(images, prompts)


def test_a_term_that_is_not_there_is_refused(reranker):
    with pytest.raises(UsageError, match="unknown term 'beauty'; choose from value, binding_difference, bound"):
        binding_reward(reranker, "beauty")
    clip = Reranker(make_scorer("clip", reranker.scorer.backbone))
    assert binding_reward(clip)(pictures(1), ["a red cube"]).isfinite().all()
    with pytest.raises(UsageError, match="the scorer clip has no bound"):
        binding_reward(clip, "bound")(pictures(1), ["a red cube"])


def test_the_documented_loop_learns_the_colours_of_its_prompt_and_does_so_again():
    found = []
    for _ in range(2):
        loop = next(test for test in doctest.DocTestFinder().find(rewards, "rewards") if test.name == "rewards")
        assert doctest.DocTestRunner(verbose=False).run(loop, clear_globs=False).failed == 0
        found.append(loop.globs)
    assert found[0]["history"] == found[1]["history"]
    assert found[0]["history"][-1] > found[0]["history"][0] + 0.3
    chosen = found[0]["logits"].detach().softmax(dim=1)
    assert float(chosen[0, 0]) > 0.9
    assert float(chosen[1, 1]) > 0.9


def test_the_built_in_reward_is_loaded_once():
    assert rewards._built_in() is rewards._built_in()
    images = [Image.new("RGB", (32, 32), "red")]
    expected = Reranker.from_pretrained().score(images, "a red cube")[:, 0]
    np.testing.assert_allclose(rewards.reward(images, ["a red cube"]).numpy(), expected, atol=1e-5)
