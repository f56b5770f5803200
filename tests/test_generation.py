"""Drawing with real diffusers pipelines at tiny random configurations."""

from __future__ import annotations

import json

import numpy as np
import pytest
from conftest import tiny_pipeline, tiny_xl_pipeline, word_tokenizer

from abe_rerank.drawing import sampling
from abe_rerank.drawing.pipelines import load_pipeline
from abe_rerank.drawing.prompt_fit import cut_off, prompt_warnings, tokenizers_of, unknown_words
from abe_rerank.drawing.sampling import Sampling, call_arguments, settle
from abe_rerank.errors import AbeRerankError, UsageError

PROMPT = "a red cube and a blue star"


def pixels(samples):
    return np.stack([np.asarray(s.image).astype(int) for s in samples])


def draw(pipeline, **settings):
    return sampling.draw(pipeline, PROMPT, settle(pipeline, Sampling(**({"steps": 2} | settings)))).images


def test_each_candidate_is_what_its_seed_alone_draws(pipeline):
    import torch

    drawn = draw(pipeline, n=3, seed=5)
    pipeline.set_progress_bar_config(disable=True)
    for k, found in enumerate(drawn):
        alone = pipeline(PROMPT, num_inference_steps=2, generator=torch.Generator().manual_seed(5 + k)).images[0]
        assert found.seed == 5 + k
        assert np.array_equal(found.image, alone)
    assert not np.array_equal(drawn[0].image, drawn[1].image)


@pytest.mark.parametrize("batch_size", [1, 2, 3])
def test_a_seed_gives_the_same_bits_whatever_n_at_equal_batch_size(pipeline, batch_size):
    many = pixels(draw(pipeline, n=5, seed=3, batch_size=batch_size))
    for k in range(5):
        assert np.array_equal(many[k], pixels(draw(pipeline, n=1, seed=3 + k, batch_size=batch_size))[0])


def test_the_batch_size_moves_a_pixel_by_one_grey_level_at_most(pipeline):
    one = pixels(draw(pipeline, n=5, batch_size=1))
    for batch_size in (2, 5):
        assert np.abs(one - pixels(draw(pipeline, n=5, batch_size=batch_size))).max() <= 1


def test_a_scheduler_that_draws_noise_at_every_step_keeps_seeds_apart(pipeline_folder):
    from diffusers import EulerAncestralDiscreteScheduler

    pipeline = load_pipeline(pipeline_folder, device="cpu")
    pipeline.scheduler = EulerAncestralDiscreteScheduler()
    together = pixels(draw(pipeline, n=4, steps=3, batch_size=4))
    alone = pixels(draw(pipeline, n=1, seed=2, steps=3, batch_size=4))
    assert np.array_equal(together[2], alone[0])


def test_another_pipeline_class_draws_as_well(tmp_path):
    tiny_xl_pipeline(word_tokenizer(tmp_path / "raw")).save_pretrained(tmp_path / "xl")
    pipeline = load_pipeline(tmp_path / "xl", device="cpu")
    assert type(pipeline).__name__ == "StableDiffusionXLPipeline"
    drawn = pixels(draw(pipeline, n=3, batch_size=2))
    assert drawn.shape == (3, 16, 16, 3)
    assert np.array_equal(drawn[1], pixels(draw(pipeline, n=1, seed=1, batch_size=2))[0])


def test_an_image_that_the_safety_checker_paints_over_is_marked(tmp_path):
    from diffusers.pipelines.stable_diffusion import StableDiffusionSafetyChecker
    from transformers import CLIPConfig

    try:
        from transformers import CLIPImageProcessorPil as CLIPImageProcessor
    except ImportError:
        from transformers import CLIPImageProcessor

    small = {"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2}
    vision = small | {"image_size": 16, "patch_size": 8, "projection_dim": 8}
    checker = StableDiffusionSafetyChecker(CLIPConfig(text_config=small, vision_config=vision, projection_dim=8)).eval()
    checker.concept_embeds_weights.data.fill_(-10.0)  # every image is nearer to every concept than that
    pipeline = tiny_pipeline(word_tokenizer(tmp_path))
    pipeline.register_modules(
        safety_checker=checker,
        feature_extractor=CLIPImageProcessor(size={"shortest_edge": 16}, crop_size={"height": 16, "width": 16}),
    )
    assert [s.blanked for s in draw(pipeline, n=2)] == [True, True]


def test_progress_bar_settings_of_the_caller_are_kept(pipeline):
    pipeline.set_progress_bar_config(desc="mine", disable=True)
    draw(pipeline, n=1)
    assert pipeline._progress_bar_config == {"desc": "mine", "disable": True}


def test_unknown_words_are_those_without_a_token(pipeline):
    tokenizers = tokenizers_of(pipeline)
    assert unknown_words(tokenizers, PROMPT) == ()
    assert unknown_words(tokenizers, "a red zebra, a Red-cube and an astronaut\N{GAME DIE}; zebra") == (
        "zebra",
        "astronaut",
        "\N{GAME DIE}",
    )


def test_a_prompt_longer_than_the_text_encoder_is_noticed(pipeline):
    assert cut_off(pipeline, PROMPT) is None
    assert cut_off(pipeline, "red " * 40) == (41, 16)


def test_what_the_models_cannot_read_is_said_once_for_one_prompt_and_for_many(pipeline, reranker):
    backbone = reranker.scorer.backbone
    assert prompt_warnings([PROMPT], backbone, pipeline) == []
    (unknown,) = prompt_warnings(["a red zebra"], backbone, pipeline)
    assert unknown.startswith("the text-to-image model and the backbone have no token for zebra: ")
    (scored,) = prompt_warnings(["a red zebra"], backbone)
    assert scored.startswith("the backbone has no token for zebra: ")
    long = "red " * 40
    drawn, parts = prompt_warnings([long], backbone, pipeline)
    assert drawn == "the prompt has 41 tokens, and the text-to-image model reads the first 16 only"
    assert "it is read in" in parts
    many = prompt_warnings([PROMPT, "a red zebra", long, "a zebra and a lynx", PROMPT], backbone, pipeline)
    assert [line.split(":")[0] for line in many] == [
        "the text-to-image model and the backbone have no token for zebra, lynx (in 2 of 4 prompts)",
        "1 of 4 prompts are longer than the text-to-image model reads, which cuts them",
        "1 of 4 prompts are longer than the backbone reads at once",
    ]


def test_prompt_syntax_that_drawing_takes_for_words_is_said_and_only_where_something_is_drawn(pipeline, reranker):
    backbone = reranker.scorer.backbone
    prompts = ["a (red:1.3) cube", "a red cube"]
    said = [line for line in prompt_warnings(prompts, backbone, pipeline) if "prompt syntax" in line]
    assert [line.split(":")[-1] for line in said] == [" prompt syntax of other tools has no effect here"]
    assert "(in 1 of 2 prompts)" in said[0]
    assert not any("prompt syntax" in line for line in prompt_warnings(prompts, backbone))


def test_everything_that_was_left_open_is_settled_once(pipeline):
    drawing = settle(pipeline, Sampling(n=3, seed=5, batch_size=2, steps=4, call={"height": 16}))
    assert drawing.arguments == {"num_inference_steps": 4, "guidance_scale": 7.5, "height": 16}
    assert (list(drawing.seeds), drawing.batch_size) == ([5, 6, 7], 2)
    assert (drawing.device, drawing.dtype) == ("cpu", "float32")


def test_steps_and_guidance_come_from_the_caller_then_the_folder_then_the_class(pipeline_folder, tmp_path):
    import shutil

    folder = shutil.copytree(pipeline_folder, tmp_path / "model")
    assert call_arguments(load_pipeline(folder, "cpu"), Sampling()) == {
        "num_inference_steps": 50,
        "guidance_scale": 7.5,
    }
    (folder / "sampling.json").write_text(json.dumps({"num_inference_steps": 7, "guidance_scale": 3.0}))
    pipeline = load_pipeline(folder, "cpu")
    assert call_arguments(pipeline, Sampling()) == {"num_inference_steps": 7, "guidance_scale": 3.0}
    assert call_arguments(pipeline, Sampling(steps=2))["num_inference_steps"] == 2


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"n": 0}, "n must be at least 1"),
        ({"batch_size": 0}, "batch size"),
        ({"steps": 0}, "steps"),
        ({"seed": -1}, "seeds"),
        ({"seed": 2**63 - 1, "n": 2}, "seeds"),
    ],
)
def test_settings_that_cannot_be_drawn_are_refused(settings, words):
    with pytest.raises(UsageError, match=words):
        Sampling(**settings)


def test_arguments_that_the_pipeline_does_not_take_are_named(pipeline):
    with pytest.raises(UsageError, match="does not take sharpness"):
        draw(pipeline, n=1, call={"sharpness": 3})


def test_a_model_that_is_not_there_is_named(tmp_path):
    with pytest.raises(UsageError, match=r"no text-to-image model at .*nowhere"):
        load_pipeline(tmp_path / "nowhere")
    with pytest.raises(UsageError, match=r"no text-to-image model at \./nowhere"):
        load_pipeline("./nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match=r"model_index\.json"):
        load_pipeline(tmp_path / "empty")


def test_a_damaged_model_folder_is_a_failure_in_one_line(pipeline_folder, tmp_path):
    import shutil

    folder = shutil.copytree(pipeline_folder, tmp_path / "model")
    next((folder / "unet").glob("*.safetensors")).write_bytes(b"broken")
    with pytest.raises(AbeRerankError, match="cannot be loaded") as caught:
        load_pipeline(folder, "cpu")
    assert "\n" not in str(caught.value)


def test_a_pipeline_that_needs_an_image_is_refused(pipeline_folder, tmp_path):
    import shutil

    folder = shutil.copytree(pipeline_folder, tmp_path / "model")
    index = json.loads((folder / "model_index.json").read_text())
    index["_class_name"] = "StableDiffusionInstructPix2PixPipeline"
    (folder / "model_index.json").write_text(json.dumps(index))
    with pytest.raises(UsageError, match="not a text-to-image pipeline"):
        load_pipeline(folder, "cpu")


def test_unknown_devices_and_dtypes_are_refused(pipeline_folder):
    with pytest.raises(UsageError, match="device 'nonsense'"):
        load_pipeline(pipeline_folder, device="nonsense")
    with pytest.raises(UsageError, match="dtype 'int8'"):
        load_pipeline(pipeline_folder, dtype="int8")
