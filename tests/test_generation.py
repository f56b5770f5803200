"""Drawing with real diffusers pipelines at tiny random configurations."""

from __future__ import annotations

import inspect
import json
from dataclasses import replace

import numpy as np
import pytest
from conftest import tiny_pipeline, tiny_xl_pipeline, word_tokenizer
from PIL import Image
from tiny_pipelines import PIPELINES

from abe_rerank.drawing import sampling
from abe_rerank.drawing.failures import NOT_FINITE, ONE_COLOUR, failure_of
from abe_rerank.drawing.pipelines import load_pipeline, modules, settable
from abe_rerank.drawing.prompt_fit import cut_off, prompt_warnings, tokenizers_of, unknown_words
from abe_rerank.drawing.sampling import Sampling, call_arguments, settle
from abe_rerank.errors import AbeRerankError, UsageError
from abe_rerank.types import PAINTED_OVER, NoPicture

PROMPT = "a red cube and a blue star"


def pixels(samples):
    return np.stack([np.asarray(s.image).astype(int) for s in samples])


def draw(pipeline, **settings):
    return sampling.draw(pipeline, PROMPT, settle(pipeline, Sampling(**({"steps": 2} | settings)))).images


def tiny(kind, folder):
    """A pipeline of a class by its name, its networks as they are after loading."""
    pipeline = PIPELINES[kind](word_tokenizer(folder))
    for network in modules(pipeline).values():
        network.eval()
    return pipeline


def small(pipeline):
    """Pictures of 64 x 64 pixels, also of a class that would choose from a list of sizes."""
    return {"width": 64, "height": 64} | {n: False for n in settable(pipeline) if n == "use_resolution_binning"}


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
    assert [s.failure for s in draw(pipeline, n=2)] == [PAINTED_OVER, PAINTED_OVER]


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
    syntax, *_ = prompt_warnings(["a (red:1.3) cube AND a blue sphere"], backbone, pipeline)
    assert syntax.startswith("the text-to-image model takes (red:1.3), AND for words")
    assert not any("other tools" in line for line in prompt_warnings(["a (red:1.3) cube"], backbone))
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
    assert drawing.arguments == {"num_inference_steps": 4, "guidance_scale": 7.5, "height": 16, "width": 16}
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


@pytest.mark.parametrize("kind", PIPELINES)
def test_a_prompt_is_encoded_once_and_the_images_are_equal_to_the_bit(kind, tmp_path):
    pipeline = tiny(kind, tmp_path)
    pipeline.set_progress_bar_config(disable=True)
    calls = []
    encode = type(pipeline).encode_prompt
    handle = pipeline.components["text_encoder"].register_forward_hook(lambda *_: calls.append(1))
    drawing = settle(pipeline, Sampling(n=4, steps=2, batch_size=2, call=small(pipeline)))
    once = pixels(sampling.draw(pipeline, PROMPT, drawing).images)
    encodings = len(calls)
    calls.clear()
    each = pixels([s for k in (0, 2) for s in sampling.draw(pipeline, PROMPT, replace(drawing, n=2, seed=k)).images])
    handle.remove()
    assert np.array_equal(once, each)
    assert (len(calls), encodings > 0) == (2 * encodings, True)
    assert type(pipeline).encode_prompt is encode
    assert "encode_prompt" not in vars(pipeline)


@pytest.mark.parametrize("kind", PIPELINES)
def test_weights_that_turn_nan_are_known_before_scoring(kind, tmp_path):
    pipeline = tiny(kind, tmp_path)
    network = pipeline.components.get("transformer") or pipeline.components["unet"]
    next(network.parameters()).data.fill_(float("nan"))
    drawn = draw(pipeline, n=3, batch_size=2, call=small(pipeline))
    seen = "callback_on_step_end" in inspect.signature(pipeline.__call__).parameters  # else the picture tells
    assert [s.failure for s in drawn] == [NOT_FINITE if seen else ONE_COLOUR.format("#000000")] * 3
    assert all(isinstance(s.picture, NoPicture) for s in drawn)


def test_nan_of_the_decoder_is_a_picture_of_one_colour(tmp_path):
    pipeline = tiny_pipeline(word_tokenizer(tmp_path))
    pipeline.vae.decoder.conv_out.bias.data.fill_(float("nan"))
    assert [s.failure for s in draw(pipeline, n=1)] == ["drawing broke down: the picture is #000000 all over"]


def test_a_guidance_beyond_all_numbers_fails_and_others_do_not(pipeline):
    assert draw(pipeline, n=1, guidance=1e38, steps=4)[0].failure is not None
    assert draw(pipeline, n=1)[0].failure is None


def test_a_white_wall_passes_if_one_pixel_of_it_differs():
    wall = Image.new("RGB", (16, 16), (255, 255, 255))
    assert failure_of(wall, False, False) == "drawing broke down: the picture is #ffffff all over"
    wall.putpixel((3, 4), (254, 255, 255))
    assert failure_of(wall, False, False) is None


@pytest.mark.parametrize(("most", "used"), [(1, 1), (2, 2), (3, 3), (8, 5)])
def test_where_memory_runs_out_batches_halve_and_say_so(tmp_path, most, used):
    import torch

    pipeline = tiny_pipeline(word_tokenizer(tmp_path))

    def full(_, inputs):
        if len(inputs[0]) > 2 * most:  # with and without the prompt
            raise torch.OutOfMemoryError("full")

    hook = pipeline.unet.register_forward_pre_hook(full)
    drawing = settle(pipeline, Sampling(n=5, steps=2))
    samples = sampling.draw(pipeline, PROMPT, drawing)
    hook.remove()
    assert (drawing.batch_size, samples.drawing.batch_size) == (5, used)
    again = draw(pipeline, n=5, batch_size=used)
    assert np.array_equal(pixels(samples.images), pixels(again))


@pytest.mark.parametrize(("n", "size"), [(1, 1), (4, 4), (8, 8), (9, 5), (16, 8), (17, 6)])
def test_batches_are_equal_and_of_eight_at_most_where_images_are_small(pipeline, n, size):
    assert settle(pipeline, Sampling(n=n)).batch_size == size
    assert settle(pipeline, Sampling(n=n, width=512, height=512)).batch_size == 1
    assert settle(pipeline, Sampling(n=n, batch_size=3)).batch_size == 3


def test_one_side_alone_is_kept_beside_the_models_own_other_one(pipeline):
    assert draw(pipeline, n=1, width=32, steps=1)[0].image.size == (32, 16)
    assert draw(pipeline, n=1, height=24, steps=1)[0].image.size == (16, 24)
    with pytest.raises(UsageError, match="the width must be at most 8192 pixels, got 100000"):
        Sampling(1, width=100_000)


def test_arguments_are_read_by_the_signature_and_those_of_the_contract_are_refused(pipeline):
    call = {"eta": "0.5", "guidance_rescale": "1", "timesteps": "[900, 100]", "cross_attention_kwargs": "none"}
    found = settle(pipeline, Sampling(negative_prompt="a star", width=16, call=call)).arguments
    assert found["eta"] == 0.5
    assert (found["guidance_rescale"], found["cross_attention_kwargs"]) == (1.0, None)
    assert found["timesteps"] == [900, 100]
    assert (found["negative_prompt"], found["width"]) == ("a star", 16)
    with pytest.raises(UsageError, match="eta of StableDiffusionPipeline must be float, not 'much'"):
        settle(pipeline, Sampling(call={"eta": "much"}))
    with pytest.raises(UsageError, match="does not take colour; it takes height, width, "):
        settle(pipeline, Sampling(call={"colour": "1"}))
    for name in ("latents", "output_type", "num_images_per_prompt", "prompt_embeds", "callback_on_step_end"):
        with pytest.raises(UsageError, match=f"{name} of StableDiffusionPipeline is given by abe-rerank"):
            settle(pipeline, Sampling(call={name: "1"}))


@pytest.mark.parametrize("kind", ["StableDiffusion", "StableDiffusionXL", "StableDiffusion3", "PixArtSigma"])
def test_a_negative_prompt_is_that_of_the_pipeline_itself(kind, tmp_path):
    import torch

    pipeline = tiny(kind, tmp_path)
    settings = {"n": 3, "batch_size": 2, "guidance": 5.0, "call": small(pipeline)}
    drawn = draw(pipeline, negative_prompt="a blue star", **settings)
    generators = [torch.Generator().manual_seed(k) for k in (0, 1)]
    words = {"prompt": [PROMPT] * 2, "negative_prompt": ["a blue star"] * 2} | small(pipeline)
    expected = pipeline(**words, generator=generators, num_inference_steps=2, guidance_scale=5.0).images
    assert np.array_equal(pixels(drawn)[:2], np.stack([np.asarray(image) for image in expected]))
    assert not np.array_equal(pixels(drawn), pixels(draw(pipeline, **settings)))


def test_guidance_is_true_guidance_where_the_network_does_not_read_it(tmp_path):
    pipeline = tiny("Flux", tmp_path)
    found = settle(pipeline, Sampling(guidance=4.0)).arguments
    assert (found["true_cfg_scale"], found["negative_prompt"]) == (4.0, " ")
    assert settle(pipeline, Sampling(guidance=4.0, negative_prompt="a star")).arguments["negative_prompt"] == "a star"
    weak, strong = (pixels(draw(pipeline, n=1, guidance=g)) for g in (1.0, 9.0))
    assert not np.array_equal(weak, strong)
    pipeline.transformer.register_to_config(guidance_embeds=True)
    found = settle(pipeline, Sampling(guidance=4.0)).arguments
    assert (found["guidance_scale"], "true_cfg_scale" in found) == (4.0, False)


def test_guidance_that_does_nothing_says_so(pipeline, reranker, tmp_path):
    backbone = reranker.scorer.backbone

    def said(model, **settings):
        return prompt_warnings([PROMPT], backbone, model, settle(model, Sampling(**settings)))

    assert said(pipeline) == said(pipeline, negative_prompt="a star") == []
    (line,) = said(pipeline, negative_prompt="a star", guidance=1.0)
    assert line == "the negative prompt does nothing at guidance 1; give a --guidance above 1"
    flux = tiny("Flux", tmp_path)
    alone = replace(settle(flux, Sampling()), arguments={"true_cfg_scale": 4.0})  # the default of Qwen-Image
    (line,) = prompt_warnings([PROMPT], backbone, flux, alone)
    assert line.startswith("true_cfg_scale 4.0 does nothing without a negative prompt")
    assert said(flux, guidance=4.0) == []


def test_a_prompt_is_as_long_as_the_pipeline_reads_and_not_as_its_tokenizer_takes(tmp_path):
    pipeline = PIPELINES["PixArtSigma"](word_tokenizer(tmp_path, length=1000))
    assert cut_off(pipeline, "red " * 250) is None
    assert cut_off(pipeline, "red " * 350) == (351, 300)
    assert cut_off(pipeline, "red " * 40, {"max_sequence_length": 20}) == (41, 20)
    short = PIPELINES["PixArtSigma"](word_tokenizer(tmp_path, length=30))
    assert cut_off(short, "red " * 40) == (41, 30)


def test_a_scheduler_is_exchanged_or_those_that_fit_are_listed(pipeline_folder):
    from diffusers import EulerDiscreteScheduler, StableDiffusionPipeline

    pipeline = load_pipeline(pipeline_folder, device="cpu", scheduler="EulerDiscreteScheduler")
    expected = StableDiffusionPipeline.from_pretrained(pipeline_folder, safety_checker=None)
    expected.scheduler = EulerDiscreteScheduler.from_config(expected.scheduler.config)
    assert settle(pipeline, Sampling()).scheduler == "EulerDiscreteScheduler"
    assert np.array_equal(pixels(draw(pipeline, n=2)), pixels(draw(expected, n=2)))
    with pytest.raises(UsageError, match=r"takes no scheduler 'Flow'; those that fit: DDIMScheduler, DDPM"):
        load_pipeline(pipeline_folder, device="cpu", scheduler="Flow")


def test_loras_that_cannot_be_used_are_refused(pipeline_folder, tmp_path):
    from safetensors.torch import save_file

    with pytest.raises(UsageError, match=r"no such LoRA file: nowhere"):
        load_pipeline(pipeline_folder, device="cpu", lora=["nowhere.safetensors:0.5"])
    import torch

    save_file({"odd": torch.zeros(2)}, tmp_path / "odd.safetensors")
    with pytest.raises(UsageError, match="lora"):
        load_pipeline(pipeline_folder, device="cpu", lora=[str(tmp_path / "odd.safetensors")])


def test_loras_change_the_images_by_their_weights(pipeline_folder, tmp_path):
    peft = pytest.importorskip("peft", reason="LoRAs need peft")
    import torch
    from diffusers import StableDiffusionPipeline

    trained = load_pipeline(pipeline_folder, device="cpu")
    trained.unet.add_adapter(peft.LoraConfig(r=2, target_modules=["to_q", "to_v"], init_lora_weights=False))
    torch.manual_seed(1)
    layers = {k: 30 * torch.randn_like(v) for k, v in peft.get_peft_model_state_dict(trained.unet).items()}
    StableDiffusionPipeline.save_lora_weights(tmp_path, unet_lora_layers=layers, weight_name="a.safetensors")
    file = tmp_path / "a.safetensors"

    def drawn(*lora):
        return pixels(draw(load_pipeline(pipeline_folder, device="cpu", lora=lora), n=1))

    plain = drawn()
    assert np.array_equal(drawn(f"{file}:0"), plain)
    assert not np.array_equal(drawn(str(file)), plain)
    assert np.abs(drawn(f"{file}:0.5", f"{file}:0.5") - drawn(str(file))).max() <= 1


def test_a_revision_is_of_a_hub_id_alone(pipeline_folder):
    for model in (None, pipeline_folder, "owner/name@old"):
        with pytest.raises(UsageError, match="a revision is that of a hub id"):
            load_pipeline(model, device="cpu", revision="new")
