"""Writes the finished text-to-image model as an ordinary ``StableDiffusionPipeline`` folder."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL, DPMSolverMultistepScheduler, StableDiffusionPipeline, UNet2DConditionModel
from transformers import CLIPTextModel, PreTrainedTokenizerFast

from abe_rerank.shapes.training.tokenizer import save_tokenizer

NOISE: dict[str, Any] = {
    **{"num_train_timesteps": 1000, "beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"},
    **{"rescale_betas_zero_snr": True, "prediction_type": "v_prediction", "timestep_spacing": "trailing"},
}
"""The noise of training and sampling."""


def save_pipeline(
    folder: Path,
    vae: AutoencoderKL,
    unet: UNet2DConditionModel,
    text: CLIPTextModel,
    tokenizer: PreTrainedTokenizerFast,
) -> None:
    """UNet and autoencoder in half precision on disk; they load as float32 unless a dtype is asked for.

    transformers loads a text encoder in the dtype of its file: that one is written as float32.
    """
    pipeline = StableDiffusionPipeline(
        vae=copy.deepcopy(vae).to(torch.float16),
        text_encoder=text,
        tokenizer=tokenizer,
        unet=copy.deepcopy(unet).to(torch.float16),
        scheduler=DPMSolverMultistepScheduler(**NOISE, steps_offset=1),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipeline.save_pretrained(folder)
    save_tokenizer(tokenizer, folder / "tokenizer")
    index = folder / "model_index.json"
    content = {**json.loads(index.read_text()), "tokenizer": ["transformers", "PreTrainedTokenizerFast"]}
    index.write_text(json.dumps(content, indent=2) + "\n")
