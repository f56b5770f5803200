"""Models in one file, in the layout of the original latent diffusion code: loaded, refused, and drawn with."""

from __future__ import annotations

import json
import re
import shutil

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from abe_rerank import UsageError
from abe_rerank.drawing.pipelines import load_pipeline
from abe_rerank.drawing.sampling import Sampling, draw, settle

RESNET = (
    ("norm1", "in_layers.0"),
    ("conv1", "in_layers.2"),
    ("norm2", "out_layers.0"),
    ("conv2", "out_layers.3"),
    ("time_emb_proj", "emb_layers.1"),
    ("conv_shortcut", "skip_connection"),
)
UNET = (  # of two levels with a layer each, counted by hand from the original code
    (r"^conv_in", "input_blocks.0.0"),
    (r"^down_blocks\.0\.resnets\.0", "input_blocks.1.0"),
    (r"^down_blocks\.0\.downsamplers\.0\.conv", "input_blocks.2.0.op"),
    (r"^down_blocks\.1\.resnets\.0", "input_blocks.3.0"),
    (r"^down_blocks\.1\.attentions\.0", "input_blocks.3.1"),
    (r"^mid_block\.resnets\.0", "middle_block.0"),
    (r"^mid_block\.attentions\.0", "middle_block.1"),
    (r"^mid_block\.resnets\.1", "middle_block.2"),
    (r"^up_blocks\.0\.resnets\.0", "output_blocks.0.0"),
    (r"^up_blocks\.0\.attentions\.0", "output_blocks.0.1"),
    (r"^up_blocks\.0\.resnets\.1", "output_blocks.1.0"),
    (r"^up_blocks\.0\.attentions\.1", "output_blocks.1.1"),
    (r"^up_blocks\.0\.upsamplers\.0\.conv", "output_blocks.1.2.conv"),
    (r"^up_blocks\.1\.resnets\.0", "output_blocks.2.0"),
    (r"^up_blocks\.1\.resnets\.1", "output_blocks.3.0"),
    (r"^time_embedding\.linear_1", "time_embed.0"),
    (r"^time_embedding\.linear_2", "time_embed.2"),
    (r"^conv_norm_out", "out.0"),
    (r"^conv_out", "out.2"),
)
VAE = (
    (r"^(en|de)coder\.mid_block\.resnets\.(\d)", lambda m: f"{m[1]}coder.mid.block_{int(m[2]) + 1}"),
    (r"^(en|de)coder\.mid_block\.attentions\.0", r"\1coder.mid.attn_1"),
    (r"^encoder\.down_blocks\.(\d)\.resnets", r"encoder.down.\1.block"),
    (r"^encoder\.down_blocks\.(\d)\.downsamplers\.0", r"encoder.down.\1.downsample"),
    (r"^decoder\.up_blocks\.(\d)\.resnets", lambda m: f"decoder.up.{1 - int(m[1])}.block"),
    (r"^decoder\.up_blocks\.(\d)\.upsamplers\.0", lambda m: f"decoder.up.{1 - int(m[1])}.upsample"),
    (r"conv_norm_out", "norm_out"),
    (r"conv_shortcut", "nin_shortcut"),
    (r"attn_1\.group_norm", "attn_1.norm"),
    (r"attn_1\.to_([qkv])", r"attn_1.\1"),
    (r"attn_1\.to_out\.0", "attn_1.proj_out"),
)


def renamed(name, rules):
    for pattern, other in rules:
        name = re.sub(pattern, other, name)
    return name


def original(pipeline):
    """The weights of a tiny Stable Diffusion under the names, and in the shapes, of the original code."""
    found = {}
    for name, tensor in pipeline.unet.state_dict().items():
        place = renamed(name, UNET)
        if "resnets" in name:
            for ours, theirs in RESNET:
                place = place.replace(ours, theirs)
        found[f"model.diffusion_model.{place}"] = tensor
    for name, tensor in pipeline.vae.state_dict().items():
        place = renamed(name, VAE)
        weight = "attn_1." in place and ".norm." not in place and place.endswith("weight")
        found[f"first_stage_model.{place}"] = tensor[:, :, None, None] if weight else tensor
    for name, tensor in pipeline.text_encoder.state_dict().items():
        found[f"cond_stage_model.transformer.text_model.{name.removeprefix('text_model.')}"] = tensor
    return {name: tensor.clone().contiguous() for name, tensor in found.items()}


@pytest.fixture(scope="module")
def single(pipeline, tmp_path_factory):
    """One file with the tiny pipeline's weights."""
    file = tmp_path_factory.mktemp("single") / "model.safetensors"
    save_file(original(pipeline), file)
    return file


@pytest.fixture(scope="module")
def config(pipeline_folder, tmp_path_factory):
    """The pipeline's folder without its weights."""
    folder = tmp_path_factory.mktemp("config") / "config"
    shutil.copytree(pipeline_folder, folder, ignore=shutil.ignore_patterns("*.safetensors", "raw-tokenizer"))
    return folder


def test_a_single_file_is_the_same_model_and_draws_the_same(single, config, pipeline):
    loaded = load_pipeline(single, "cpu", model_config=config)
    for name in ("unet", "vae", "text_encoder"):
        before, after = (part.components[name].state_dict() for part in (pipeline, loaded))
        assert before.keys() == after.keys()
        assert all(torch.equal(before[key], after[key]) for key in before)
    drawing = settle(pipeline, Sampling(n=2, seed=1, steps=2))
    assert settle(loaded, Sampling(n=2, seed=1, steps=2)) == drawing
    pairs = zip(draw(pipeline, "a cube", drawing).images, draw(loaded, "a cube", drawing).images, strict=True)
    assert all(np.array_equal(np.asarray(one.image), np.asarray(other.image)) for one, other in pairs)


def test_generate_takes_a_single_file_and_draws_its_winner_again(cli, single, config, backbone_folder, tmp_path):
    words = ["generate", "a red cube", "-n", 2, "--steps", 1, "--model", single, "--backbone", backbone_folder]
    code, _, err = cli(*words, "--model-config", config, "--out", tmp_path / "run")
    assert code == 0, err
    report = json.loads((tmp_path / "run" / "report.json").read_text(encoding="utf-8"))
    assert report["settings"]["model_config"] == str(config)
    assert f"--model-config {config}" in report["commands"]["redraw"]
    code, _, err = cli(*words, "--out", tmp_path / "other")
    assert (code, "give --model-config DIR" in err, "stable-diffusion-v1-5" in err) == (2, True, True)


def test_a_known_model_in_the_cache_gives_its_configuration(single, config, tmp_path, monkeypatch):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    model = tmp_path / "models--stable-diffusion-v1-5--stable-diffusion-v1-5"
    (model / "refs").mkdir(parents=True)
    (model / "refs" / "main").write_text("c" * 40)
    shutil.copytree(config, model / "snapshots" / ("c" * 40))
    assert list(load_pipeline(single, "cpu").unet.config.block_out_channels) == [8, 16]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda w: w.pop("model.diffusion_model.out.2.bias"), "are missing in model.safetensors"),
        (lambda w: w.update({"first_stage_model.decoder.conv_in.bias": torch.zeros(3)}), "cannot be loaded"),
        (lambda w: w["model.diffusion_model.out.2.bias"].fill_(float("nan")), "NaN or infinity in conv_out.bias"),
        (lambda w: [w.pop(k) for k in list(w) if k.startswith("cond_stage")], "has its weights, too"),
    ],
)
def test_weights_that_do_not_fit_are_refused(single, config, pipeline, tmp_path, change, said):
    weights = original(pipeline)
    change(weights)
    save_file(weights, tmp_path / "model.safetensors")
    with pytest.raises(UsageError, match=said):
        load_pipeline(tmp_path / "model.safetensors", "cpu", model_config=config)


def test_what_does_not_go_with_a_single_file_is_refused(single, config, pipeline_folder, tmp_path):
    (tmp_path / "model.ckpt").write_bytes(b"pickle")
    (tmp_path / "cut.safetensors").write_bytes(single.read_bytes()[:-9])
    (tmp_path / "empty").mkdir()
    for model, options, said in (
        (tmp_path / "model.ckpt", {"model_config": config}, "save it as safetensors"),
        (tmp_path / "cut.safetensors", {"model_config": config}, "cannot be loaded"),
        (tmp_path / "cut.safetensors", {}, "it may be cut"),
        (single, {"model_config": tmp_path / "empty"}, "holds no diffusers pipeline"),
        (single, {"model_config": tmp_path / "nowhere"}, "no such folder"),
        (single, {"model_config": config, "variant": "fp16"}, "--variant is for a model of several files"),
        (pipeline_folder, {"model_config": config}, "leave it out"),
    ):
        with pytest.raises(UsageError, match=said):
            load_pipeline(model, "cpu", **options)
