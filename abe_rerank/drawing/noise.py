"""Noise that is partly renewed: the first latents of a recipe, made by the pipeline's own ``prepare_latents``."""

from __future__ import annotations

import inspect
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from abe_rerank.errors import UsageError
from abe_rerank.recipes import Recipe


@contextmanager
def renewed_noise(pipeline: Any, recipes: Sequence[Recipe]) -> Iterator[None]:
    """Within the block, each image of a batch begins with the noise of its recipe; nothing changes where no recipe has
    a renewal.

    The pipeline makes noise of each seed by itself, one after the other, and these are mixed; whatever scale it gives
    to noise or order to its values, a mixture has them, too. Later draws of a sampler are those of the recipe's first
    seed. Raises UsageError for a pipeline without ``prepare_latents`` that takes generators.
    """
    if not any(recipe.renewed for recipe in recipes):
        yield
        return
    prepare = getattr(pipeline, "prepare_latents", None)
    if prepare is None or not {"generator", "latents"} <= set(inspect.signature(prepare).parameters):
        raise UsageError(
            f"{type(pipeline).__name__} does not make its noise by prepare_latents, so noise cannot be renewed; use "
            "another strategy than search"
        )

    def mixed(*values: Any, **named: Any) -> Any:
        noise = prepare(*values, **named)
        call = inspect.signature(prepare).bind(*values, **named)
        for place in range(max(len(recipe.renewed) for recipe in recipes)):
            turns = [recipe.renewed[place] if place < len(recipe.renewed) else (0, 0.0) for recipe in recipes]
            call.arguments["generator"] = [_generator(seed) for seed, _ in turns]
            noise = _mixture(noise, prepare(*call.args, **call.kwargs), [share for _, share in turns])
        return noise

    pipeline.prepare_latents = mixed
    try:
        yield
    finally:
        del pipeline.prepare_latents


def _generator(seed: int) -> Any:
    import torch

    return torch.Generator("cpu").manual_seed(seed)


def _mixture(first: Any, second: Any, shares: Sequence[float]) -> Any:
    """sqrt(1 - share^2) of the first tensor [B, ...] and ``share`` of the second; of a tuple the first part is mixed,
    the others (places, sizes) stay."""
    if isinstance(first, tuple):
        return (_mixture(first[0], second[0], shares), *first[1:])
    weight = first.new_tensor(shares).reshape(-1, *[1] * (first.ndim - 1))
    kept = first.new_tensor([math.sqrt(1 - share**2) for share in shares]).reshape(weight.shape)
    return kept * first + weight * second
