"""Real image-text-to-text classes at tiny random configs, saved with their processors as ordinary folders.

Processors that work with Pillow alone: those of Qwen2.5-VL and SmolVLM need torchvision for their videos.
"""

from __future__ import annotations

from pathlib import Path

import torch
import transformers
from tokenizers import Tokenizer, models, pre_tokenizers

WORDS = [
    *("<pad>", "<unk>", "<s>", "</s>", "yes", "Yes", "▁YES", "no", "▁No", "yesterday", "north", "maybe"),
    *("a", "an", "the", "is", "Is", "there", "in", "picture", "red", "blue", "cube", "ring", "star", "next", "to"),
    *("Does", "this", "figure", "show", "Please", "answer", "or", "and", "?", ".", "'", "USER", "ASSISTANT", ":"),
]
FAMILIES = ("llava", "paligemma", "idefics3")
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
