"""The dual encoders of transformers as a :class:`~abe_rerank.backbones.Backbone`."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from abe_rerank.backbones.devices import ImageSize, overrides
from abe_rerank.backbones.families import Reader
from abe_rerank.backbones.families.blocks import pooled, read_global
from abe_rerank.backbones.features import ImageFeatures, RegionPlan, TokenStates, read_plan, window_count
from abe_rerank.backbones.kept import Kept
from abe_rerank.errors import UsageError
from abe_rerank.parsing import parse
from abe_rerank.parsing.tokens import token_offsets, windows
from abe_rerank.types import Box, Span

_ON_CPU, _ELSEWHERE = 8, 32
"""Images of one forward where nobody says: on a CPU few, whose states stay in its caches (the built-in model reads 32
images in 0.8 of the time at 8 at once)."""
_SPAN = 120
"""The bytes of a pair of numbers."""


class DualEncoder:
    """One CLIP-like model of transformers with its tokenizer and image processor; made by :func:`load_backbone`.

    Cosines of its vectors are the model's own: <image, text> = (logits_per_image - logit_bias) / exp(logit_scale).
    ``image_size`` is None for the size the model was trained at, else what images are scaled to (positions are
    interpolated), see :func:`abe_rerank.backbones.devices.overrides`.
    """

    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        processor: Any,
        reader: Reader,
        folder: Path,
        name: str,
        image_size: ImageSize | None = None,
        batch_size: int | None = None,
    ) -> None:
        self.model, self.tokenizer, self.processor, self.reader = model, tokenizer, processor, reader
        self.folder, self.name, self.image_size = folder, name, image_size
        self.batch_size = batch_size or (_ON_CPU if self.device.type == "cpu" else _ELSEWHERE)
        self._texts: Kept[Tensor] = Kept(lambda vector: vector.nbytes)
        self._tokens: Kept[TokenStates] = Kept(lambda tokens: tokens.states.nbytes + _SPAN * len(tokens.spans))

    @property
    def device(self) -> torch.device:
        """Where the model's weights are."""
        device: torch.device = next(self.model.parameters()).device
        return device

    @property
    def dtype(self) -> torch.dtype:
        """The model's floating-point type; what it returns is float32 whatever this is."""
        dtype: torch.dtype = next(self.model.parameters()).dtype
        return dtype

    @property
    def kind(self) -> str:
        """The class of the model."""
        return type(self.model).__name__

    @cached_property
    def logit_scale(self) -> float:
        """What the model multiplies its cosines by; learnt with it."""
        return float(self.model.logit_scale.detach().float().exp())

    @property
    def readouts(self) -> tuple[str, ...]:
        """The dense readouts of this model's patches, the default one first."""
        return self.reader.readouts

    @cached_property
    def weights_hash(self) -> str:
        """First 12 hex digits of the SHA-256 over the folder's weight files in the order of their names."""
        files = sorted(self.folder.glob("*.safetensors")) or sorted(self.folder.glob("*.bin"))
        digest = hashlib.sha256()
        for file in files:
            with file.open("rb") as stream:
                while block := stream.read(1 << 20):
                    digest.update(block)
        return digest.hexdigest()[:12]

    # -- images ------------------------------------------------------------------------------------------------

    @torch.no_grad()
    def encode_images(
        self, images: Sequence[Image.Image], readout: str | None = None, beside: Sequence[RegionPlan] = ()
    ) -> ImageFeatures:
        """Global and patch features of ``images``, one vision forward per image, ``batch_size`` at a time.

        ``readout`` names a dense readout of :attr:`readouts`; None is the default one. ``regions`` may be followed by
        its shares, see :func:`abe_rerank.backbones.features.read_plan`. The windows of the plans ``beside`` are read
        in the same forward. Raises UsageError for a readout that this model does not have, or no images.
        """
        readout = readout or self.readouts[0]
        plan = read_plan(readout)
        if readout not in self.readouts and plan is None:
            raise UsageError(f"{self.name} has no patch readout {readout!r}; choose from {', '.join(self.readouts)}")
        if not images:
            raise UsageError("no images to encode")
        chunks = [images[i : i + self.batch_size] for i in range(0, len(images), self.batch_size)]
        return ImageFeatures.cat([self._encode_chunk(chunk, (plan or readout, *beside)) for chunk in chunks])

    @torch.no_grad()
    def encode_global(self, images: Sequence[Image.Image]) -> Tensor:
        """Global embeddings [N, D] of length 1 alone, ``batch_size`` at a time: what a plain CLIP score needs."""
        if not images:
            raise UsageError("no images to encode")
        chunks = [images[i : i + self.batch_size] for i in range(0, len(images), self.batch_size)]
        return torch.cat(
            [F.normalize(read_global(self.model, self._pixels(chunk)).float(), dim=-1) for chunk in chunks]
        )

    def _encode_chunk(self, images: Sequence[Image.Image], readouts: Sequence[str | RegionPlan]) -> ImageFeatures:
        inputs = self._pixels(images)
        global_, vectors = self.reader.read_images(self.model, inputs, readouts)
        if "spatial_shapes" in inputs:
            grids = tuple((int(rows), int(columns)) for rows, columns in inputs["spatial_shapes"].tolist())
        else:
            size = self.model.config.vision_config.patch_size
            height, width = inputs["pixel_values"].shape[-2:]
            grids = ((height // size, width // size),) * len(images)
        whole, kept = F.normalize(global_.float(), dim=-1), tuple(self._window(image) for image in images)
        parts = []
        for readout, found in zip(readouts, vectors, strict=True):
            plan = readout if isinstance(readout, RegionPlan) else None
            counts = [math.prod(grid) if plan is None else window_count(*grid, plan) for grid in grids]
            real = (torch.arange(found.shape[1]) < torch.tensor(counts)[:, None]).to(found.device)
            parts.append(ImageFeatures(whole, F.normalize(found.float(), dim=-1), real, grids, kept, plan))
        return replace(parts[0], beside=tuple(parts[1:]))

    @torch.no_grad()
    def try_out(self) -> None:
        """Read a picture and a text once, so that files that do not fit together are found out where they are loaded.

        Raises UsageError for an image processor whose numbers are none, a tokenizer without room for words, and what
        the libraries raise.
        """
        pictures = [Image.new("RGB", (24, 16), "grey")]
        with np.errstate(all="ignore"):
            inputs = self._pixels(pictures)
        if not inputs["pixel_values"].isfinite().all():
            raise UsageError(f"the image processor of {self.name} makes pictures NaN or infinite; mend its image_std")
        if self._window_length <= self._special:
            raise UsageError(
                f"the tokenizer of {self.name} takes {self._window_length} tokens (model_max_length), which leaves no "
                "room for words; mend that"
            )
        self.encode_images(pictures)
        self._encode_windows(["a red cube"])

    def _pixels(self, images: Sequence[Image.Image]) -> dict[str, Tensor]:
        pictures = [image.convert("RGB") for image in images]
        inputs = self.processor(images=pictures, return_tensors="pt", **overrides(self.processor, self.image_size))
        inputs = {name: tensor.to(self.device) for name, tensor in inputs.items()}
        inputs["pixel_values"] = inputs["pixel_values"].to(self.dtype)
        return inputs

    def _window(self, image: Image.Image) -> Box:
        """The part of ``image`` that the processor keeps, as fractions of its width and height."""
        told = overrides(self.processor, self.image_size)
        if not told.get("do_center_crop", getattr(self.processor, "do_center_crop", False)):
            return (0.0, 0.0, 1.0, 1.0)
        size = told.get("size") or dict(self.processor.size)
        crop = told.get("crop_size") or dict(self.processor.crop_size)
        width, height = image.size
        if size.get("shortest_edge"):
            scale = size["shortest_edge"] / min(width, height)
            scaled = (width * scale, height * scale)
        else:
            scaled = (size["width"], size["height"])
        keep_x, keep_y = min(1.0, crop["width"] / scaled[0]), min(1.0, crop["height"] / scaled[1])
        return ((1 - keep_x) / 2, (1 - keep_y) / 2, (1 + keep_x) / 2, (1 + keep_y) / 2)

    # -- texts -------------------------------------------------------------------------------------------------

    @torch.no_grad()
    def encode_texts(self, texts: Sequence[str]) -> Tensor:
        """Pooled embeddings [T, D] of length 1, float32. Each distinct text is encoded once, and kept while there is
        room.

        A text longer than the encoder's window is encoded in the windows of :meth:`text_windows` and the mean of
        their embeddings, scaled to length 1, stands for it (our choice: nothing is cut off).
        """
        if not texts:
            return torch.empty(0, self._dimension, device=self.device)
        vectors = self._texts.of(texts, self._read_texts)
        return torch.stack([vectors[text] for text in texts])

    def _read_texts(self, texts: Sequence[str]) -> Iterator[Tensor]:
        cuts = [[text[a:b] for a, b in self.text_windows(text)] for text in texts]
        flat = [window for cut in cuts for window in cut]
        rows = iter(torch.cat([self._encode_windows(flat[i : i + 256]) for i in range(0, len(flat), 256)]))
        for cut in cuts:
            yield F.normalize(torch.stack([next(rows) for _ in cut]).mean(dim=0), dim=0)

    def forget_texts(self) -> None:
        """Forget what was kept of texts. Those that are encoded in another company differ in the last digit."""
        self._texts.forget()
        self._tokens.forget()

    @torch.no_grad()
    def encode_tokens(self, texts: Sequence[str]) -> list[TokenStates]:
        """The projected last states of each text's tokens, without special tokens and padding; windows are joined.
        Kept as :meth:`encode_texts` keeps its vectors."""
        tokens = self._tokens.of(texts, self._read_tokens)
        return [tokens[text] for text in texts]

    def _read_tokens(self, texts: Sequence[str]) -> Iterator[TokenStates]:
        cuts = [self.text_windows(text) for text in texts]
        rows = [(text[a:b], a) for text, cut in zip(texts, cuts, strict=True) for a, b in cut]
        found: list[TokenStates] = []
        for start in range(0, len(rows), 256):
            found.extend(self._token_rows(rows[start : start + 256]))
        parts = iter(found)
        for cut in cuts:
            mine = [next(parts) for _ in cut]
            yield TokenStates(torch.cat([p.states for p in mine]), tuple(s for p in mine for s in p.spans))

    def text_windows(self, text: str) -> list[Span]:
        """The spans in which ``text`` is encoded: one if it fits the text encoder's window.

        A longer text is cut where its parse allows it: never through an object's phrase or an attribute that fits.
        """
        if len(text.encode(errors="replace")) + self._special < self._window_length:  # a token is at least one byte
            return [(0, len(text))]
        return windows(parse(text), self.tokenizer, self._window_length) or [(0, len(text))]

    @cached_property
    def _special(self) -> int:
        return len(self.tokenizer("")["input_ids"])

    @cached_property
    def _window_length(self) -> int:
        positions = int(self.model.config.text_config.max_position_embeddings)
        return min(positions, int(self.tokenizer.model_max_length))

    @cached_property
    def _dimension(self) -> int:
        return int(self._encode_windows(["a"]).shape[-1])

    def _tokenize(self, texts: list[str]) -> Any:
        padding: dict[str, Any] = {"padding": True}
        if self.reader.pads_to_window:
            padding = {"padding": "max_length", "max_length": self._window_length}
        found = self.tokenizer(texts, return_tensors="pt", **padding)
        if int(found["input_ids"].max()) >= self.model.config.text_config.vocab_size:
            raise UsageError(f"the tokenizer of {self.name} has words that its model lacks; get the whole model again")
        return found

    def _text_inputs(self, encoding: Any) -> dict[str, Tensor]:
        names = ("input_ids",) if self.reader.pads_to_window else ("input_ids", "attention_mask")
        return {name: encoding[name].to(self.device) for name in names if name in encoding}

    def _encode_windows(self, texts: list[str]) -> Tensor:
        features = pooled(self.model.get_text_features(**self._text_inputs(self._tokenize(texts))))
        return F.normalize(features.float(), dim=-1)

    def _token_rows(self, rows: list[tuple[str, int]]) -> list[TokenStates]:
        encoding = self._tokenize([text for text, _ in rows])
        hidden = self.model.text_model(**self._text_inputs(encoding)).last_hidden_state
        states = F.normalize(self.reader.project_tokens(self.model, hidden).float(), dim=-1)
        found = []
        for row, (text, start) in enumerate(rows):
            offsets = token_offsets(self.tokenizer, text)
            first = states.shape[1] - len(offsets) if self.tokenizer.padding_side == "left" else 0
            keep = [i for i, (a, b) in enumerate(offsets) if a < b]
            spans = tuple((offsets[i][0] + start, offsets[i][1] + start) for i in keep)
            found.append(TokenStates(states[row, [first + i for i in keep]], spans))
        return found
