"""Real image-text-to-text classes at tiny random configs, saved with their processors as ordinary folders.

Processors that work with Pillow alone; that of Qwen2.5-VL without its part for videos, which needs torchvision.
"""

from __future__ import annotations

from pathlib import Path

import torch
import transformers
from tokenizers import Tokenizer, models, pre_tokenizers

from abe_rerank.backbones.processors import without_videos

WORDS = [
    *("<pad>", "<unk>", "<s>", "</s>", "yes", "Yes", "▁YES", "no", "▁No", "yesterday", "north", "maybe"),
    *("a", "an", "the", "is", "Is", "there", "in", "picture", "red", "blue", "cube", "ring", "star", "next", "to"),
    *("Does", "this", "figure", "show", "Please", "answer", "or", "and", "?", ".", "'", "USER", "ASSISTANT", ":"),
]
FAMILIES = ("llava", "paligemma", "idefics3", "qwen2_5_vl")
QWEN = ("<|vision_start|>", "<|image_pad|>", "<|vision_end|>", "<|video_pad|>")
CHAT = (
    "{% for message in messages %}USER : {% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}<image>{% else %} {{ part['text'] }}{% endif %}"
    "{% endfor %} ASSISTANT :{% endfor %}"
)


def tokenizer(special: list[str], words: list[str] | None = None) -> transformers.PreTrainedTokenizerFast:
    known = {word: k for k, word in enumerate([*(words or WORDS), *special])}
    raw = Tokenizer(models.WordLevel(known, unk_token="<unk>"))
    raw.pre_tokenizer = pre_tokenizers.Whitespace()
    fast = transformers.PreTrainedTokenizerFast(
        tokenizer_object=raw, pad_token="<pad>", unk_token="<unk>", bos_token="<s>", eos_token="</s>"
    )
    fast.add_special_tokens({"additional_special_tokens": special})
    return fast


def save_answerer(family: str, folder: Path, words: list[str] | None = None) -> Path:
    """Write a tiny random model of a family with its processor into ``folder``."""
    size = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4}
    text = size | {"num_key_value_heads": 2, "vocab_size": 80, "pad_token_id": 0, "bos_token_id": 2, "eos_token_id": 3}
    vision = size | {"image_size": 32, "patch_size": 8}
    square = {"height": 32, "width": 32}
    torch.manual_seed(0)
    if family == "llava":
        tokens = tokenizer(["<image>"], words)
        model = transformers.LlavaForConditionalGeneration(
            transformers.LlavaConfig(
                text_config=transformers.LlamaConfig(**text),
                vision_config=transformers.CLIPVisionConfig(**vision, projection_dim=32),
                image_token_index=tokens.convert_tokens_to_ids("<image>"),
                vision_feature_layer=-1,
            )
        )
        images = transformers.CLIPImageProcessorPil(size={"shortest_edge": 32}, crop_size=square)
        sizes = {"patch_size": 8, "vision_feature_select_strategy": "default", "num_additional_image_tokens": 1}
        processor = transformers.LlavaProcessor(images, tokens, chat_template=CHAT, **sizes)
    elif family == "paligemma":
        tokens = tokenizer(["<image>"], words)
        model = transformers.PaliGemmaForConditionalGeneration(
            transformers.PaliGemmaConfig(
                text_config=transformers.GemmaConfig(**text | {"head_dim": 8, "vocab_size": 1500}),
                vision_config=transformers.SiglipVisionConfig(**vision),
                image_token_index=tokens.convert_tokens_to_ids("<image>"),
                projection_dim=32,
            )
        )
        images = transformers.SiglipImageProcessorPil(size=square)
        images.image_seq_length = 16
        processor = transformers.PaliGemmaProcessor(images, tokens)
    elif family == "qwen2_5_vl":
        tokens = tokenizer(list(QWEN), words)
        start, picture, end, video = tokens.convert_tokens_to_ids(list(QWEN))
        turning = {"rope_type": "default", "rope_theta": 10_000.0, "mrope_section": [1, 1, 2]}
        seeing = {"depth": 2, "hidden_size": 32, "intermediate_size": 48, "num_heads": 4, "out_hidden_size": 32}
        windows = {"patch_size": 8, "spatial_merge_size": 2, "window_size": 32, "fullatt_block_indexes": [1]}
        model = transformers.Qwen2_5_VLForConditionalGeneration(
            transformers.Qwen2_5_VLConfig(
                text_config=text | {"rope_parameters": turning},
                vision_config=seeing | windows,
                image_token_id=picture,
                video_token_id=video,
                vision_start_token_id=start,
                vision_end_token_id=end,
            )
        )
        images = transformers.Qwen2VLImageProcessorPil(patch_size=8, merge_size=2, min_pixels=256, max_pixels=1024)
        chat = CHAT.replace("<image>", "".join(QWEN[:3]))
        processor = without_videos(transformers.Qwen2_5_VLProcessor)(images, tokens, chat_template=chat)
    else:
        tokens = tokenizer(["<image>", "<fake_token_around_image>", "<global-img>", "<end_of_utterance>"], words)
        model = transformers.Idefics3ForConditionalGeneration(
            transformers.Idefics3Config(
                text_config=transformers.LlamaConfig(**text),
                vision_config=vision,
                image_token_id=tokens.convert_tokens_to_ids("<image>"),
                scale_factor=2,
            )
        )
        edge = {"longest_edge": 32}
        images = transformers.Idefics3ImageProcessorPil(size=edge, max_image_size=edge, do_image_splitting=False)
        processor = transformers.Idefics3Processor(images, tokens, image_seq_len=4, chat_template=CHAT)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(3)  # else all answers are nearly alike
    model.eval().save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder
