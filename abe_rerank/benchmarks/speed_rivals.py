"""Other ways to score pictures with the same model, timed beside ours: a plain forward, torchmetrics' CLIPScore."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from abe_rerank.backbones.families.blocks import pooled
from abe_rerank.parsing import parse
from abe_rerank.scoring.stream import scores_of

if TYPE_CHECKING:
    from PIL.Image import Image
    from torch import Tensor

    from abe_rerank.scoring import Scorer

AT_ONCE = 32
"""Images of one prompt that are scored at once."""
METRIC = "torchmetrics CLIPScore"


def rivals(
    scorers: Mapping[str, Scorer], images: Sequence[Image]
) -> tuple[dict[str, Callable[[str], object]], tuple[str, ...]]:
    """Ways to score ``images`` for a prompt, "abe" first, all on its backbone, and what is left out and why.

    Each begins with decoded pictures and ends with numbers: the scorers explain every pair, the plain forward gives
    the logits of the images and the prompt, the metric is given the images as tensors uint8 [3, H, W] and the prompt
    once for each, as it wants them.
    """
    backbone = scorers["abe"].backbone
    ways: dict[str, Callable[[str], object]] = {name: _ours(scorer, images) for name, scorer in scorers.items()}
    model = getattr(backbone, "model", None)
    if model is None:
        return ways, ("the backbone is no model of transformers: the plain forward and torchmetrics are left out",)
    ways["plain forward of the model"] = _plain(backbone, images)
    if find_spec("torchmetrics") is None:
        return ways, (f"{METRIC} is left out: torchmetrics is not installed (pip install 'abe-rerank[metrics]')",)
    ways[METRIC] = _metric(backbone, images)
    return ways, ()


def _ours(scorer: Scorer, images: Sequence[Image]) -> Callable[[str], object]:
    return lambda prompt: [score.value for score in scores_of(scorer, parse(prompt), images)]


def _plain(backbone: Any, images: Sequence[Image]) -> Callable[[str], object]:
    @torch.no_grad()
    def forward(prompt: str) -> object:
        pixels = backbone.processor(images=list(images), return_tensors="pt").to(backbone.device)
        tokens = _tokens(backbone, [prompt]).to(backbone.device)
        texts = _read(backbone, tokens["input_ids"], tokens["attention_mask"])
        return backbone.model(**texts, **pixels).logits_per_image[:, 0].tolist()

    return forward


def _metric(backbone: Any, images: Sequence[Image]) -> Callable[[str], object]:
    from torchmetrics.multimodal.clip_score import CLIPScore

    class Features:
        """The model with features as tensors, which the metric expects and newer transformers wrap."""

        config = backbone.model.config

        def to(self, device: object) -> Features:
            return self

        def get_image_features(self, pixel_values: Tensor) -> Tensor:
            return pooled(backbone.model.get_image_features(pixel_values=pixel_values))

        def get_text_features(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
            return pooled(backbone.model.get_text_features(**_read(backbone, input_ids, attention_mask)))

    def processor(
        text: list[str] | None = None, images: list[Tensor] | None = None, **options: Any
    ) -> Mapping[str, Tensor]:
        if text is None:
            found: Mapping[str, Tensor] = backbone.processor(images=images, return_tensors="pt")
            return found
        return _tokens(backbone, text)  # type: ignore[no-any-return]

    made: Any = lambda: (Features(), processor)  # noqa: E731
    metric = CLIPScore(model_name_or_path=made)
    tensors = [torch.from_numpy(np.array(image.convert("RGB"))).permute(2, 0, 1) for image in images]

    @torch.no_grad()
    def update(prompt: str) -> object:
        metric.reset()
        metric.update([tensor.to(backbone.device) for tensor in tensors], [prompt] * len(tensors))
        return metric.compute().item()

    return update


def _tokens(backbone: Any, texts: list[str]) -> Any:
    """Tokens [T, L], padded as the text encoder reads them."""
    padding: dict[str, Any] = {"padding": True}
    if backbone.reader.pads_to_window:
        padding = {"padding": "max_length", "max_length": backbone.model.config.text_config.max_position_embeddings}
    return backbone.tokenizer(texts, return_tensors="pt", return_attention_mask=True, **padding)


def _read(backbone: Any, tokens: Tensor, mask: Tensor) -> dict[str, Tensor]:
    """What the model is given of tokens and their mask: no mask where it reads its whole window."""
    return {"input_ids": tokens} | ({} if backbone.reader.pads_to_window else {"attention_mask": mask})
