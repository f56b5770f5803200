"""Images with one prompt each, as metrics and rewards get them: grouped by prompt, so that each group is one batch."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from abe_rerank.errors import UsageError
from abe_rerank.images import as_list, to_pil_list
from abe_rerank.parsing import parse
from abe_rerank.types import Score, Spec

if TYPE_CHECKING:
    from PIL.Image import Image

    from abe_rerank.images import ImageLike
    from abe_rerank.reranker import Reranker


@dataclass(frozen=True)
class Group:
    """The images of one prompt, and their places in the list that was given."""

    spec: Spec
    places: tuple[int, ...]
    images: tuple[Image, ...]


def groups_of(images: ImageLike | Iterable[ImageLike], prompts: str | Sequence[str]) -> list[Group]:
    """Images grouped by equal prompts, in the order in which these come first. An empty prompt is a prompt like others.

    ``images`` is what :func:`abe_rerank.images.to_pil_list` takes, a tensor [N, C, H, W] too. Raises UsageError unless
    there is one prompt for each image, and for what is not a picture.
    """
    listed = [prompts] if isinstance(prompts, str) else list(prompts)
    pictures = as_list(_on_cpu(images))
    if len(listed) != len(pictures):
        raise UsageError(f"{len(pictures)} images and {len(listed)} prompts: give one prompt for each image")
    if wrong := [prompt for prompt in listed if not isinstance(prompt, str)]:
        raise UsageError(f"a prompt is a {type(wrong[0]).__name__}; prompts are texts")
    drawn = to_pil_list(pictures)
    places: dict[str, list[int]] = {}
    for place, prompt in enumerate(listed):
        places.setdefault(prompt, []).append(place)
    return [Group(parse(prompt), tuple(ks), tuple(drawn[k] for k in ks)) for prompt, ks in places.items()]


def explain_each(
    reranker: Reranker, images: ImageLike | Iterable[ImageLike], prompts: str | Sequence[str]
) -> list[Score]:
    """The score of each image for its own prompt, in their order. Raises what :func:`groups_of` raises."""
    found: dict[int, Score] = {}
    for group in groups_of(images, prompts):
        found |= zip(group.places, reranker.scorer.explain(group.images, group.spec), strict=True)
    return [found[place] for place in range(len(found))]


def _on_cpu(images: ImageLike | Iterable[ImageLike]) -> ImageLike | Iterable[ImageLike]:
    """A batch on a GPU fetched at once, not image by image."""
    import torch

    return images.detach().cpu() if isinstance(images, torch.Tensor) else images
