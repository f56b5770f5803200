"""What the models do not read of a prompt, in words for who asked: words without a token, what is cut,
and guidance that does nothing."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from abe_rerank.drawing.pipelines import Pipeline, guidance_name
from abe_rerank.parsing.syntax import unread_syntax
from abe_rerank.types import Drawing

if TYPE_CHECKING:
    from abe_rerank.backbones import Backbone

_DRAWER = "the text-to-image model", "--model, a diffusers folder or hub id"
_READER = "the backbone", "--backbone, a transformers folder or hub id"
Cut = tuple[int, int] | None
_LISTED = 8
"""The most words that one line lists."""


@dataclass(frozen=True)
class Fit:
    """How a prompt fits its models: words that drawing and scoring have no token for, (tokens, tokens read) where
    drawing cuts it, and the number of parts in which scoring reads it."""

    undrawn: tuple[str, ...]
    unscored: tuple[str, ...]
    cut: tuple[int, int] | None
    parts: int


def prompt_warnings(
    prompts: Sequence[str], backbone: Backbone, pipeline: Pipeline | None = None, drawing: Drawing | None = None
) -> list[str]:
    """A line each for slow models, guidance that does nothing in a ``drawing``, syntax of other tools and words without
    a token, prompts cut in drawing (by ``pipeline``, if there is one) or read in parts in scoring (by ``backbone``)."""
    distinct = list(dict.fromkeys(prompts))
    fits = [fit(prompt, backbone, pipeline, drawing) for prompt in distinct]
    found = _slow_type(backbone) + _guidance(pipeline, drawing)
    return found + ([] if pipeline is None else _syntax(distinct)) + _of_prompts(fits)


def _syntax(prompts: Sequence[str]) -> list[str]:
    """A line about what other tools would obey in a prompt and a plain pipeline takes for words."""
    unread = [unread_syntax(prompt) for prompt in prompts]
    pieces = list(dict.fromkeys(piece for some in unread for piece in some))
    if not pieces:
        return []
    listed = ", ".join(pieces[:_LISTED]) + (", ..." if len(pieces) > _LISTED else "")
    where = "" if len(prompts) == 1 else f" (in {sum(map(bool, unread))} of {len(prompts)} prompts)"
    return [f"the text-to-image model takes {listed}{where} for words: prompt syntax of other tools has no effect here"]


def _guidance(pipeline: Pipeline | None, drawing: Drawing | None) -> list[str]:
    """A line if guidance, or the negative prompt that it would lead away from, does nothing."""
    if pipeline is None or drawing is None:
        return []
    name = guidance_name(pipeline)
    scale, negative = drawing.arguments.get(name), drawing.arguments.get("negative_prompt")
    if not isinstance(scale, (int, float)):
        return []
    if name == "true_cfg_scale" and scale > 1 and negative is None:
        return [f"{name} {scale} does nothing without a negative prompt; give --guidance or --negative-prompt"]
    if negative and str(negative).strip() and scale <= 1:
        return [f"the negative prompt does nothing at guidance {scale:g}; give a --guidance above 1"]
    return []


def _of_prompts(fits: Sequence[Fit]) -> list[str]:
    """The lines about prompts, for one of them or for many."""
    undrawn, unscored = ([getattr(f, name) for f in fits] for name in ("undrawn", "unscored"))
    if undrawn == unscored:
        who, way_out = f"{_DRAWER[0]} and {_READER[0]} have", f"{_DRAWER[1]}; {_READER[1]}"
        found = _no_token(undrawn, who, way_out)
    else:
        found = _no_token(undrawn, f"{_DRAWER[0]} has", _DRAWER[1])
        found += _no_token(unscored, f"{_READER[0]} has", _READER[1])
    if len(fits) == 1:
        return found + _of_one(fits[0])
    return (
        found
        + _of_some([f.cut is not None for f in fits], "are longer than the text-to-image model reads, which cuts them")
        + _of_some(
            [f.parts > 1 for f in fits],
            "are longer than the backbone reads at once: they are read in parts cut at phrases",
        )
    )


def _slow_type(backbone: Backbone) -> list[str]:
    if backbone.device.type != "cpu" or str(backbone.dtype) != "torch.float16":
        return []
    return ["float16 is slower than float32 on a CPU; leave --dtype out there"]


def fit(prompt: str, backbone: Backbone, pipeline: Pipeline | None = None, drawing: Drawing | None = None) -> Fit:
    """How one prompt fits a backbone and, if it is drawn, a pipeline with the arguments of a drawing."""
    return Fit(
        undrawn=() if pipeline is None else unknown_words(tokenizers_of(pipeline), prompt),
        unscored=() if backbone.tokenizer is None else unknown_words([backbone.tokenizer], prompt),
        cut=None if pipeline is None else cut_off(pipeline, prompt, {} if drawing is None else drawing.arguments),
        parts=len(backbone.text_windows(prompt)),
    )


def unknown_words(tokenizers: Iterable[Any], prompt: str) -> tuple[str, ...]:
    """The words of the prompt for which some of the tokenizers has no token, in order, each once."""
    words = dict.fromkeys(re.findall(r"[^\W_]+|[^\x00-\x7f\w\s]", prompt))
    known = list(tokenizers)
    return tuple(word for word in words if any(_is_unknown(tokenizer, word) for tokenizer in known))


def tokenizers_of(pipeline: Pipeline) -> list[Any]:
    """The tokenizers of the pipeline's text encoders."""
    return [part for name, part in pipeline.components.items() if name.startswith("tokenizer") and part is not None]


def cut_off(pipeline: Pipeline, prompt: str, arguments: Mapping[str, object] = MappingProxyType({})) -> Cut:
    """(tokens of the prompt, tokens read) if even the pipeline's longest text encoder cuts the prompt, else None.

    An encoder reads what its tokenizer gives at most, and no more than ``max_sequence_length`` of ``arguments``, else
    of the pipeline's ``__call__``, where that takes one.
    """
    tokenizers = tokenizers_of(pipeline)
    if not tokenizers:
        return None
    longest = max(tokenizers, key=lambda tokenizer: tokenizer.model_max_length)
    tokens = len(longest(prompt, truncation=False, verbose=False)["input_ids"])
    parameter = inspect.signature(pipeline.__call__).parameters.get("max_sequence_length")
    asked = arguments.get("max_sequence_length", None if parameter is None else parameter.default)
    read = min(longest.model_max_length, asked) if isinstance(asked, int) else longest.model_max_length
    return (tokens, read) if tokens > read else None


def _is_unknown(tokenizer: Any, word: str) -> bool:
    unknown = getattr(tokenizer, "unk_token_id", None)
    return unknown is not None and unknown in tokenizer(word, add_special_tokens=False)["input_ids"]


def _no_token(unknown: Sequence[tuple[str, ...]], who: str, way_out: str) -> list[str]:
    """A line about the words of all prompts that a model cannot read; none if it can read them all."""
    words = list(dict.fromkeys(word for some in unknown for word in some))
    if not words:
        return []
    listed = ", ".join(words[:_LISTED]) + (", ..." if len(words) > _LISTED else "")
    where = "" if len(unknown) == 1 else f" (in {sum(map(bool, unknown))} of {len(unknown)} prompts)"
    return [f"{who} no token for {listed}{where}: read as unknown; name a model that knows more ({way_out})"]


def _of_one(found: Fit) -> list[str]:
    lines = []
    if found.cut is not None:
        tokens, read = found.cut
        lines.append(f"the prompt has {tokens} tokens, and the text-to-image model reads the first {read} only")
    if found.parts > 1:
        lines.append(
            f"the prompt is longer than the backbone reads at once: it is read in {found.parts} parts cut at phrases"
        )
    return lines


def _of_some(which: Sequence[bool], what: str) -> list[str]:
    return [f"{sum(which)} of {len(which)} prompts {what}"] if any(which) else []
