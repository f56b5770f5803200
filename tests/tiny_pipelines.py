"""Pipelines of other classes than Stable Diffusion, at tiny random configs, some with parts that are null."""

from __future__ import annotations

from typing import Any

import torch
from conftest import WINDOW, tiny_parts, tiny_pipeline, tiny_text_config, tiny_xl_pipeline

SMALL = {"num_layers": 1, "num_attention_heads": 2}


def _vae(channels: int = 4) -> Any:
    from diffusers import AutoencoderKL

    return AutoencoderKL(
        block_out_channels=(8, 8),
        norm_num_groups=4,
        latent_channels=channels,
        sample_size=16,
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        shift_factor=0.0,
        use_quant_conv=False,
        use_post_quant_conv=False,
    )


def _t5(tokenizer: Any) -> Any:
    from transformers import T5Config, T5EncoderModel

    sizes = {"d_model": 16, "d_ff": 16, "d_kv": 8, "num_layers": 1, "num_heads": 2}
    return T5EncoderModel(T5Config(vocab_size=len(tokenizer), pad_token_id=0, eos_token_id=1, **sizes)).eval()


def sd3(tokenizer: Any) -> Any:
    """Stable Diffusion 3 without its T5."""
    from diffusers import FlowMatchEulerDiscreteScheduler, SD3Transformer2DModel, StableDiffusion3Pipeline
    from transformers import CLIPTextModelWithProjection

    config = tiny_text_config(tokenizer, projection_dim=16)
    return StableDiffusion3Pipeline(
        transformer=SD3Transformer2DModel(
            sample_size=8,
            patch_size=1,
            in_channels=4,
            attention_head_dim=8,
            joint_attention_dim=32,
            caption_projection_dim=16,
            pooled_projection_dim=32,
            out_channels=4,
            **SMALL,
        ),
        scheduler=FlowMatchEulerDiscreteScheduler(),
        vae=_vae(),
        text_encoder=CLIPTextModelWithProjection(config).eval(),
        text_encoder_2=CLIPTextModelWithProjection(config).eval(),
        text_encoder_3=None,
        tokenizer=tokenizer,
        tokenizer_2=tokenizer,
        tokenizer_3=None,
    )


def flux(tokenizer: Any) -> Any:
    from diffusers import FlowMatchEulerDiscreteScheduler, FluxPipeline, FluxTransformer2DModel
    from transformers import CLIPTextModel

    return FluxPipeline(
        transformer=FluxTransformer2DModel(
            patch_size=1,
            in_channels=4,
            num_single_layers=1,
            attention_head_dim=16,
            joint_attention_dim=16,
            pooled_projection_dim=16,
            axes_dims_rope=[4, 4, 8],
            **SMALL,
        ),
        scheduler=FlowMatchEulerDiscreteScheduler(),
        vae=_vae(1),
        text_encoder=CLIPTextModel(tiny_text_config(tokenizer)).eval(),
        text_encoder_2=_t5(tokenizer),
        tokenizer=tokenizer,
        tokenizer_2=tokenizer,
    )


def pixart(tokenizer: Any) -> Any:
    from diffusers import DPMSolverMultistepScheduler, PixArtSigmaPipeline, PixArtTransformer2DModel

    return PixArtSigmaPipeline(
        transformer=PixArtTransformer2DModel(
            sample_size=8,
            patch_size=2,
            in_channels=4,
            attention_head_dim=8,
            out_channels=8,
            cross_attention_dim=16,
            caption_channels=16,
            use_additional_conditions=False,
            **SMALL,
        ),
        scheduler=DPMSolverMultistepScheduler(),
        vae=_vae(),
        text_encoder=_t5(tokenizer),
        tokenizer=tokenizer,
    )


def lcm(tokenizer: Any) -> Any:
    from diffusers import LatentConsistencyModelPipeline, LCMScheduler
    from transformers import CLIPTextModel

    parts = tiny_parts(16, time_cond_proj_dim=8) | {"scheduler": LCMScheduler(clip_sample=False)}
    return LatentConsistencyModelPipeline(
        text_encoder=CLIPTextModel(tiny_text_config(tokenizer)).eval(),
        tokenizer=tokenizer,
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
        **parts,
    )


def sana(tokenizer: Any) -> Any:
    from diffusers import AutoencoderDC, FlowMatchEulerDiscreteScheduler, SanaPipeline, SanaTransformer2DModel
    from transformers import Gemma2Config, Gemma2Model

    coder = AutoencoderDC(
        latent_channels=4,
        attention_head_dim=2,
        encoder_block_types=("ResBlock", "EfficientViTBlock"),
        decoder_block_types=("ResBlock", "EfficientViTBlock"),
        encoder_block_out_channels=(8, 8),
        decoder_block_out_channels=(8, 8),
        encoder_qkv_multiscales=((), (5,)),
        decoder_qkv_multiscales=((), (5,)),
        encoder_layers_per_block=(1, 1),
        decoder_layers_per_block=(1, 1),
        downsample_block_type="conv",
        upsample_block_type="interpolate",
        decoder_norm_types="rms_norm",
        decoder_act_fns="silu",
        scaling_factor=0.41407,
    )
    sizes = {"hidden_size": 8, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    text = Gemma2Config(
        vocab_size=len(tokenizer), head_dim=4, num_key_value_heads=1, max_position_embeddings=WINDOW, **sizes
    )
    return SanaPipeline(
        transformer=SanaTransformer2DModel(
            patch_size=1,
            in_channels=4,
            out_channels=4,
            attention_head_dim=4,
            num_cross_attention_heads=2,
            cross_attention_head_dim=4,
            cross_attention_dim=8,
            caption_channels=8,
            sample_size=8,
            **SMALL,
        ),
        scheduler=FlowMatchEulerDiscreteScheduler(shift=7.0),
        vae=coder,
        text_encoder=Gemma2Model(text).eval(),
        tokenizer=tokenizer,
    )


PIPELINES = {
    "StableDiffusion": tiny_pipeline,
    "StableDiffusionXL": tiny_xl_pipeline,
    "StableDiffusion3": sd3,
    "Flux": flux,
    "PixArtSigma": pixart,
    "LatentConsistency": lcm,
    "Sana": sana,
}


def save_tiny_pipeline(kind: str, tokenizer: Any, folder: Any) -> None:
    """Write a tiny random pipeline of a kind of :data:`PIPELINES` into ``folder``."""
    torch.manual_seed(0)
    PIPELINES[kind](tokenizer).save_pretrained(folder)
