"""Real classes at tiny random configurations: a StableDiffusionPipeline and a SigLIP backbone, as ordinary folders."""

from __future__ import annotations

import os
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import pytest

WORDS = [
    *("a", "an", "and", "the", "next", "to", "that", "is"),
    *("red", "green", "blue", "yellow", "small", "large", "striped", "cube", "sphere", "cylinder", "star"),
]
WINDOW = 16


def word_tokenizer(path: Path, length: int = WINDOW):
    """A word-level tokenizer with <unk>, <pad> and </s>, as the built-in models have."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    vocabulary = {word: k for k, word in enumerate(["<pad>", "</s>", "<unk>", *WORDS])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, unk_token="<unk>", pad_token="<pad>", eos_token="</s>", model_max_length=length
    )
    fast.save_pretrained(path)
    return fast


def tiny_pipeline(tokenizer, seed: int = 0):
    """A StableDiffusionPipeline with random weights that draws 16x16 images."""
    import torch
    from diffusers import AutoencoderKL, DDIMScheduler, StableDiffusionPipeline, UNet2DConditionModel
    from transformers import CLIPTextConfig, CLIPTextModel

    torch.manual_seed(seed)
    text = CLIPTextConfig(
        vocab_size=len(tokenizer),
        hidden_size=16,
        intermediate_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        max_position_embeddings=WINDOW,
        bos_token_id=1,
        eos_token_id=1,
        pad_token_id=0,
    )
    unet = UNet2DConditionModel(
        sample_size=8,
        in_channels=4,
        out_channels=4,
        block_out_channels=(8, 16),
        layers_per_block=1,
        norm_num_groups=4,
        attention_head_dim=4,
        cross_attention_dim=16,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
    )
    vae = AutoencoderKL(
        block_out_channels=(8, 8),
        norm_num_groups=4,
        latent_channels=4,
        sample_size=16,
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
    )
    return StableDiffusionPipeline(
        vae=vae,
        text_encoder=CLIPTextModel(text).eval(),
        tokenizer=tokenizer,
        unet=unet.eval(),
        scheduler=DDIMScheduler(clip_sample=False, steps_offset=1),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )


def tiny_backbone(path: Path, seed: int = 0) -> None:
    """A SiglipModel with random weights, saved with its tokenizer and image processor."""
    import torch
    from transformers import SiglipConfig, SiglipModel

    try:
        from transformers import SiglipImageProcessorPil as SiglipImageProcessor
    except ImportError:
        from transformers import SiglipImageProcessor

    torch.manual_seed(seed)
    tokenizer = word_tokenizer(path)
    layers = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    text = layers | {
        "vocab_size": len(tokenizer),
        "max_position_embeddings": WINDOW,
        "pad_token_id": 0,
        "eos_token_id": 1,
    }
    config = SiglipConfig(
        text_config=text | {"bos_token_id": 1, "projection_size": 16},
        vision_config=layers | {"image_size": 16, "patch_size": 4},
    )
    SiglipModel(config).eval().save_pretrained(path)
    SiglipImageProcessor(size={"height": 16, "width": 16}).save_pretrained(path)


@pytest.fixture(scope="session")
def pipeline_folder(tmp_path_factory) -> Path:
    """A folder with a tiny random StableDiffusionPipeline."""
    folder = tmp_path_factory.mktemp("models") / "text-to-image"
    tiny_pipeline(word_tokenizer(folder / "raw-tokenizer")).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def pipeline(pipeline_folder):
    """The tiny pipeline, loaded."""
    from abe_rerank.generation import load_pipeline

    return load_pipeline(pipeline_folder, device="cpu")


@pytest.fixture(scope="session")
def backbone_folder(tmp_path_factory) -> Path:
    """A folder with a tiny random SigLIP backbone."""
    folder = tmp_path_factory.mktemp("models") / "backbone"
    folder.mkdir()
    tiny_backbone(folder)
    return folder


@pytest.fixture(scope="session")
def reranker(backbone_folder):
    """An ABE reranker on the tiny backbone."""
    from abe_rerank import Reranker

    return Reranker.from_pretrained(backbone_folder, device="cpu")
