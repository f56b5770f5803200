"""What a text-to-image model does not read of a prompt: words without a token, and what is cut off."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from abe_rerank.drawing.pipelines import Pipeline


def unknown_words(tokenizers: Iterable[Any], prompt: str) -> tuple[str, ...]:
    """The words of the prompt for which some of the tokenizers has no token, in order, each once."""
    words = dict.fromkeys(re.findall(r"[^\W_]+|[^\x00-\x7f\w\s]", prompt))
    known = list(tokenizers)
    return tuple(word for word in words if any(_is_unknown(tokenizer, word) for tokenizer in known))


def tokenizers_of(pipeline: Pipeline) -> list[Any]:
    """The tokenizers of the pipeline's text encoders."""
    return [part for name, part in pipeline.components.items() if name.startswith("tokenizer") and part is not None]


def cut_off(pipeline: Pipeline, prompt: str) -> tuple[int, int] | None:
    """(tokens of the prompt, tokens read) if even the pipeline's longest text encoder cuts the prompt, else None."""
    tokenizers = tokenizers_of(pipeline)
    if not tokenizers:
        return None
    longest = max(tokenizers, key=lambda tokenizer: tokenizer.model_max_length)
    tokens = len(longest(prompt, truncation=False, verbose=False)["input_ids"])
    return (tokens, longest.model_max_length) if tokens > longest.model_max_length else None


def _is_unknown(tokenizer: Any, word: str) -> bool:
    unknown = getattr(tokenizer, "unk_token_id", None)
    return unknown is not None and unknown in tokenizer(word, add_special_tokens=False)["input_ids"]
