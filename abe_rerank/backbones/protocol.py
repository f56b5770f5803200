"""What a scorer asks of a CLIP-like model. A model that is no Hugging Face dual encoder can be one, too."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import torch
from PIL import Image
from torch import Tensor

from abe_rerank.backbones.devices import ImageSize
from abe_rerank.backbones.features import ImageFeatures, TokenStates
from abe_rerank.types import Span


class Backbone(Protocol):
    """Images and texts in, float32 vectors of length 1 in a space of D dimensions that both share out.

    A vector depends on its own image or text alone. :class:`abe_rerank.backbones.DualEncoder` is the implementation
    for the models of transformers.
    """

    @property
    def name(self) -> str:
        """What it was asked for by: a folder, a hub id, ..."""
        ...

    @property
    def kind(self) -> str:
        """The class of the model, for records."""
        ...

    @property
    def weights_hash(self) -> str:
        """Hex digits that differ for other weights; a part of every stamp."""
        ...

    @property
    def folder(self) -> Path | None:
        """Where ``abe.json`` and ``calibration.json`` of the model lie; None if it has no folder."""
        ...

    @property
    def image_size(self) -> ImageSize | None:
        """The size in pixels to which images are scaled; None is the model's own."""
        ...

    @property
    def device(self) -> torch.device:
        """Where it computes, and where the vectors that it returns are."""
        ...

    @property
    def dtype(self) -> torch.dtype:
        """The floating-point type it computes with."""
        ...

    @property
    def readouts(self) -> tuple[str, ...]:
        """The names of the ways to read its patches, the default one first; at least one."""
        ...

    @property
    def tokenizer(self) -> Any:
        """The Hugging Face tokenizer that tells which words it has no token for; None if there is none."""
        ...

    def encode_images(self, images: Sequence[Image.Image], readout: str | None = None) -> ImageFeatures:
        """Global and patch features of ``images``, their patches by ``readout``, None the default one.

        Raises UsageError for an unknown readout, or no images.
        """
        ...

    def encode_global(self, images: Sequence[Image.Image]) -> Tensor:
        """The global vectors [N, D] alone."""
        ...

    def encode_texts(self, texts: Sequence[str]) -> Tensor:
        """The vector of each whole text, [T, D]."""
        ...

    def encode_tokens(self, texts: Sequence[str]) -> list[TokenStates]:
        """The vectors of the tokens of each text."""
        ...

    def text_windows(self, text: str) -> list[Span]:
        """The spans of the parts in which ``text`` is read: one if it is read at once."""
        ...
