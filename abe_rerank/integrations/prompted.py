"""Images with one prompt each, as metrics and rewards get them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from abe_rerank.errors import UsageError
from abe_rerank.images import as_list, to_pil_list
from abe_rerank.parsing import parse
from abe_rerank.scoring.stream import explain_asked
from abe_rerank.types import Score

if TYPE_CHECKING:
    from abe_rerank.images import ImageLike
    from abe_rerank.reranker import Reranker

CHUNK = 64
"""Images that are held encoded at once."""


def explain_each(
    reranker: Reranker, images: ImageLike | Iterable[ImageLike], prompts: str | Sequence[str]
) -> list[Score]:
    """The score of each image for its own prompt, in their order. An empty prompt is a prompt like others.

    ``images`` is what :func:`abe_rerank.images.to_pil_list` takes, a tensor [N, C, H, W] too. Raises UsageError unless
    there is one prompt for each image, and for what is not a picture.
    """
    listed = [prompts] if isinstance(prompts, str) else list(prompts)
    pictures = as_list(_on_cpu(images))
    if len(listed) != len(pictures):
        raise UsageError(f"{len(pictures)} images and {len(listed)} prompts: give one prompt for each image")
    if wrong := [prompt for prompt in listed if not isinstance(prompt, str)]:
        raise UsageError(f"a prompt is a {type(wrong[0]).__name__}; prompts are texts")
    drawn, specs = to_pil_list(pictures), {prompt: parse(prompt) for prompt in dict.fromkeys(listed)}
    scores: list[Score] = []
    for start in range(0, len(drawn), CHUNK):
        asked = [(k, specs[prompt]) for k, prompt in enumerate(listed[start : start + CHUNK])]
        scores += explain_asked(reranker.scorer, drawn[start : start + CHUNK], asked)
    return scores


def _on_cpu(images: ImageLike | Iterable[ImageLike]) -> ImageLike | Iterable[ImageLike]:
    """A batch on a GPU fetched at once, not image by image."""
    import torch

    return images.detach().cpu() if isinstance(images, torch.Tensor) else images
