"""Real model classes at tiny random configs, saved as ordinary transformers folders."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from PIL import Image
from tokenizers import Tokenizer, models, pre_tokenizers, processors

WORDS = [
    "a",
    "an",
    "the",
    "and",
    "of",
    "photo",
    "red",
    "green",
    "blue",
    "yellow",
    "purple",
    "orange",
    "white",
    "black",
    "small",
    "large",
    "striped",
    "dotted",
    "plain",
    "cube",
    "sphere",
    "cylinder",
    "cone",
    "ring",
    "star",
    "ball",
    "car",
    "dog",
    "wooden",
    "metal",
    "next",
    "to",
    "left",
    ",",
    ".",
]
IMAGE_SIZE, PATCH_SIZE, WINDOW = 32, 8, 16
FAMILIES = (
    "CLIPModel",
    "MetaClip2Model",
    "AltCLIPModel",
    "ChineseCLIPModel",
    "CLIPSegModel",
    "SiglipModel",
    "Siglip2Model",
)


def tokenizer() -> transformers.PreTrainedTokenizerFast:
    special = ["<pad>", "<unk>", "<bos>", "<eos>"]
    raw = Tokenizer(models.WordLevel({w: i for i, w in enumerate([*special, *WORDS])}, unk_token="<unk>"))
    raw.pre_tokenizer = pre_tokenizers.Whitespace()
    raw.post_processor = processors.TemplateProcessing(
        single="<bos> $A <eos>", special_tokens=[("<bos>", 2), ("<eos>", 3)]
    )
    names = dict(zip(("pad_token", "unk_token", "bos_token", "eos_token"), special, strict=True))
    return transformers.PreTrainedTokenizerFast(tokenizer_object=raw, model_max_length=WINDOW, **names)


def _model(family: str) -> Any:
    size = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4}
    text: dict[str, Any] = {
        **size,
        "vocab_size": len(WORDS) + 4,
        "max_position_embeddings": WINDOW,
        "projection_dim": 24,
        "pad_token_id": 0,
        "bos_token_id": 2,
        "eos_token_id": 3,
    }
    vision: dict[str, Any] = {**size, "image_size": IMAGE_SIZE, "patch_size": PATCH_SIZE, "projection_dim": 24}
    if family == "AltCLIPModel":  # RoBERTa counts positions from pad + 1
        text |= {"max_position_embeddings": WINDOW + 2, "project_dim": 20}
    if family in ("SiglipModel", "Siglip2Model"):
        text |= {"projection_size": 32}
    if family == "Siglip2Model":
        vision["num_patches"] = (IMAGE_SIZE // PATCH_SIZE) ** 2
    config_class = getattr(transformers, family).config_class
    config = config_class(text_config=text, vision_config=vision, projection_dim=24)
    torch.manual_seed(0)
    return getattr(transformers, family)(config).eval()


def _processor(family: str) -> Any:
    if family == "Siglip2Model":
        from transformers.models.siglip2.image_processing_pil_siglip2 import Siglip2ImageProcessorPil

        return Siglip2ImageProcessorPil(patch_size=PATCH_SIZE, max_num_patches=(IMAGE_SIZE // PATCH_SIZE) ** 2)
    square = {"height": IMAGE_SIZE, "width": IMAGE_SIZE}
    if family == "SiglipModel":
        from transformers.models.siglip.image_processing_pil_siglip import SiglipImageProcessorPil

        return SiglipImageProcessorPil(size=square)
    from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

    return CLIPImageProcessorPil(size={"shortest_edge": IMAGE_SIZE}, crop_size=square)


def save_tiny(family: str, folder: Path) -> Path:
    """Write a tiny random model of the class ``family`` with its tokenizer and image processor into ``folder``."""
    for part in (_model(family), tokenizer(), _processor(family)):
        part.save_pretrained(folder)
    return folder


def images(n: int, size: tuple[int, int] = (40, 40), seed: int = 0) -> list[Image.Image]:
    """``n`` images of coloured noise, (width, height) pixels."""
    rng = np.random.default_rng(seed)
    return [Image.fromarray(rng.integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)) for _ in range(n)]
