"""The word-level tokenizer of the built-in models: one token a word, ``<unk>`` for words no caption holds."""

from __future__ import annotations

import json
from pathlib import Path

from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

from abe_rerank.shapes.training.captions import vocabulary

PAD, UNKNOWN, START, END = "<pad>", "<unk>", "<s>", "</s>"


def word_tokenizer(max_length: int, *, framed: bool = False) -> PreTrainedTokenizerFast:
    """A tokenizer over :func:`abe_rerank.shapes.training.captions.vocabulary`.

    ``framed`` puts every text between a start and an end token, as CLIP's text encoder expects; SigLIP's needs none.
    """
    special = [PAD, UNKNOWN, START, END]
    ids = {word: k for k, word in enumerate([*special, *vocabulary()])}
    tokenizer = Tokenizer(models.WordLevel(ids, unk_token=UNKNOWN))
    tokenizer.normalizer = normalizers.Lowercase()
    words = pre_tokenizers.Split(Regex(r"[\p{L}\p{N}]+(?:-[\p{L}\p{N}]+)*|[^\s]"), "removed", invert=True)
    tokenizer.pre_tokenizer = words
    if framed:
        tokenizer.post_processor = processors.TemplateProcessing(
            single=f"{START} $A {END}", special_tokens=[(START, ids[START]), (END, ids[END])]
        )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        model_max_length=max_length,
        model_input_names=["input_ids"] if not framed else ["input_ids", "attention_mask"],
        pad_token=PAD,
        unk_token=UNKNOWN,
        bos_token=START,
        eos_token=END,
        clean_up_tokenization_spaces=False,
    )


def save_tokenizer(tokenizer: PreTrainedTokenizerFast, folder: Path) -> None:
    """Saves it under the class that transformers 4 and 5 both know it by."""
    tokenizer.save_pretrained(folder)
    path = folder / "tokenizer_config.json"
    content = {**json.loads(path.read_text(encoding="utf-8")), "tokenizer_class": "PreTrainedTokenizerFast"}
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
