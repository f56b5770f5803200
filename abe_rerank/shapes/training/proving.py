"""Trains small backbones of public kinds, on which readouts for models that this project was not made for are proved.

They are trained as public models are: whole pictures and web-like captions, a contrastive loss on the global
embeddings, nothing else: no windows, no self-distillation. So their patches mean little one by one, and their global
score cannot tell which attribute belongs to which object. Half of the pictures show one object or two that fill much of
them, as product pictures do, and a training begins with these alone. As in the built-in's first stage, attention starts
as a convolution and the text encoder as a bag of words.

Measured, CLIP type, one processor core: with random weights but positions as sines, AdamW and colours mostly said
(2,200 steps of 128, half of each kind), single-object shapes of 12 were told in 0.21, colours in 0.98. With the start,
Muon and colours mostly left out, 1,400 steps (800 of 64 products, 600 of 128; 20 minutes beside other work) told shapes
in 0.36, colours in 0.90: better, and still far from done (loss 2.70). That run had a course for 2,000 steps
until its 800th, and its class token began by looking at a few places, not at all alike as now (a trial of that:
loss 3.36 over steps 100 to 200 of 64 products, 3.57 without), so the command as it stands has not been run to its end.

``clip``: class token, causal text encoder, softmax loss. ``siglip``: attention-pooling head, sigmoid loss, the same
pictures. ``clip-coarse``: as ``clip``, of another input size, patch size, depth and width.
"""

from __future__ import annotations

import copy
import json
import logging
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import torch.nn.functional as F
import typer
from torch import Tensor, nn
from transformers import CLIPConfig, CLIPModel, SiglipConfig, SiglipModel

from abe_rerank.shapes.training.captions import WORDINGS
from abe_rerank.shapes.training.common import learning_rate, load_checkpoint, log_to, save_checkpoint
from abe_rerank.shapes.training.first_weights import (
    start_as_bag_of_words,
    start_as_convolution,
    start_as_prefix_sums,
)
from abe_rerank.shapes.training.muon import muon_and_adam
from abe_rerank.shapes.training.pools import Pool, PoolPlan, open_pool
from abe_rerank.shapes.training.tokenizer import save_tokenizer, word_tokenizer
from abe_rerank.shapes.world import SCENES, WorldSettings

log = logging.getLogger(__name__)

TOKENS = 24
"""Words of a caption; a framed one has a start and an end token beside them."""
PAD_ID, START_ID, END_ID = 0, 2, 3
RATE, WARMUP, BATCH, SAVE_EVERY = 1e-3, 40, 64, 100
"""``BATCH`` is the number of pictures of each pool in a step."""
PRODUCTS = WorldSettings(counts=((1, 0.7), (2, 0.3)), diameters=(0.3, 0.9), patterned=0.2, twins=0.0, style=0.5)
NOUNS = replace(WORDINGS["web"], drop_colour=0.6)
POOLS = (
    PoolPlan(PRODUCTS, count=24_000, size=64, style="terse", first=61_000_000),
    PoolPlan(SCENES, count=40_000, size=64, style=NOUNS, first=60_000_000),
)
PRODUCTS_ALONE = 0.4
"""For the first part of the training there are only products."""
MEAN, DEVIATION = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
"""How CLIP's image processors normalise red, green and blue."""


@dataclass(frozen=True)
class Kind:
    """The shape of a model: ``family`` "clip" or "siglip", sizes in pixels, depth and width of the vision tower."""

    family: str
    image: int = 64
    patch: int = 8
    layers: int = 4
    width: int = 160
    heads: int = 5
    seed: int = 0


KINDS = {
    "clip": Kind("clip"),
    "siglip": Kind("siglip", seed=1),
    "clip-coarse": Kind("clip", image=96, patch=12, layers=6, width=128, heads=4, seed=2),
}


def new_model(kind: Kind, vocabulary_size: int) -> Any:
    """The model as transformers starts it: 1.5 to 2 million parameters."""
    vision = {
        **{"hidden_size": kind.width, "intermediate_size": 4 * kind.width, "num_hidden_layers": kind.layers},
        **{"num_attention_heads": kind.heads, "image_size": kind.image, "patch_size": kind.patch, "hidden_act": "gelu"},
    }
    text = {
        **{"hidden_size": 128, "intermediate_size": 512, "num_hidden_layers": 2, "num_attention_heads": 4},
        **{"hidden_act": "gelu"},
        **{"vocab_size": vocabulary_size, "pad_token_id": PAD_ID, "bos_token_id": START_ID, "eos_token_id": END_ID},
    }
    if kind.family == "clip":
        text["max_position_embeddings"] = TOKENS + 2
        return CLIPModel(CLIPConfig(vision_config=vision, text_config=text, projection_dim=128))
    text.update({"max_position_embeddings": TOKENS, "projection_size": kind.width})
    model: Any = SiglipModel(SiglipConfig(vision_config=vision, text_config=text))
    with torch.no_grad():
        model.logit_scale.fill_(math.log(10.0))
        model.logit_bias.fill_(-10.0)
    return model


def start(model: Any, kind: Kind, pool: Pool) -> None:
    """First weights from the pool's pictures and captions: attention as a convolution, text as a bag of words."""
    pixels = to_pixels(pool.images[:1500], *normalisation(kind))
    patches = F.unfold(pixels, kind.patch, stride=kind.patch).transpose(1, 2).flatten(0, 1)
    start_as_convolution(model.vision_model, patches)
    ids, vocabulary = pool.ids.reshape(-1, TOKENS), word_tokenizer(TOKENS).get_vocab()
    if kind.family == "clip":
        start_as_prefix_sums(model.text_model, framed(torch.from_numpy(ids).long()), vocabulary)
    else:
        start_as_bag_of_words(model.text_model, ids, vocabulary)


def framed(ids: Tensor) -> Tensor:
    """Token ids [n, tokens] between a start and an end token, padding behind: [n, tokens + 2]."""
    out = F.pad(ids, (1, 1), value=PAD_ID)
    out[:, 0] = START_ID
    out[torch.arange(len(ids)), 1 + (ids != PAD_ID).sum(1)] = END_ID
    return out


def embed(model: Any, pixels: Tensor, ids: Tensor) -> tuple[Tensor, Tensor]:
    """Global image embeddings [n, D] and text embeddings [n, D] of length 1, float32."""
    if isinstance(model, CLIPModel):
        text = model.text_projection(model.text_model(framed(ids)).pooler_output)
        image = model.visual_projection(model.vision_model(pixels).pooler_output)
    else:
        text, image = model.text_model(ids).pooler_output, model.vision_model(pixels).pooler_output
    return F.normalize(image.float(), dim=-1), F.normalize(text.float(), dim=-1)


def contrast(model: Any, image: Tensor, text: Tensor, ids: Tensor) -> Tensor:
    """The family's loss: softmax (InfoNCE both ways) or sigmoid. Equal captions are not each other's negatives."""
    same = (ids[:, None] == ids[None]).all(-1)
    logits = model.logit_scale.exp() * image @ text.T
    if isinstance(model, SiglipModel):
        signs = 2.0 * same - 1.0
        return -F.logsigmoid(signs * (logits + model.logit_bias)).sum() / len(ids)
    target = torch.arange(len(ids))
    logits = logits.masked_fill(same & ~torch.eye(len(ids), dtype=torch.bool), torch.finfo(logits.dtype).min)
    return (F.cross_entropy(logits, target) + F.cross_entropy(logits.T, target)) / 2


class ProvingTraining:
    """The state of a training: model, optimizer and step; the same seeds give the same batches after a restart."""

    def __init__(self, out: Path, kind: Kind, pools: Sequence[Pool], steps: int, half: bool):
        torch.manual_seed(kind.seed)
        self.out, self.kind, self.pools, self.steps, self.half = out, kind, pools, steps, half
        self.model: Any = new_model(kind, len(word_tokenizer(TOKENS)))
        self.model.set_attn_implementation("eager")  # its backward pass is four times as fast on a processor
        self.optimizers = muon_and_adam(self.model, RATE)
        self.step, self.spent = 0, 0.0

    def run(self, snapshot_every: int) -> None:
        """Trains from where it is to the end, with a checkpoint every 100 steps, and writes the model folder."""
        if self.step == 0:
            start(self.model, self.kind, self.pools[0])
        losses, begun = [], time.monotonic()
        while self.step < self.steps:
            losses.append(self._train_step())
            self.step += 1
            if self.step % SAVE_EVERY and self.step != self.steps:
                continue
            self.spent += time.monotonic() - begun
            pace, begun = self.spent / self.step, time.monotonic()
            mean = sum(losses) / len(losses)
            log.info("step %d/%d loss %.4f, %.2f s a step", self.step, self.steps, mean, pace)
            losses = []
            self._save()
            if self.step % snapshot_every == 0:
                save_folder(self.model, self.kind, self.out / "work" / f"step-{self.step:05d}")
        save_folder(self.model, self.kind, self.out)

    def _train_step(self) -> float:
        rng = np.random.default_rng((self.kind.seed, self.step))
        pools = self.pools[:1] if self.step < PRODUCTS_ALONE * self.steps else self.pools
        images, ids = (np.concatenate(p) for p in zip(*(pool.batch(rng, BATCH) for pool in pools), strict=True))
        pixels = to_pixels(images, *normalisation(self.kind))
        wanted = torch.from_numpy(ids).long()
        for group in (group for optimizer in self.optimizers for group in optimizer.param_groups):
            group["lr"] = learning_rate(self.step, self.steps, RATE, WARMUP)
        loss = self.loss(pixels, wanted)
        self.model.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        for optimizer in self.optimizers:
            optimizer.step()
        with torch.no_grad():
            self.model.logit_scale.clamp_(max=math.log(100.0))
        return loss.item()

    def loss(self, pixels: Tensor, wanted: Tensor) -> Tensor:
        """The loss of pictures [n, 3, h, w] and the token ids [n, tokens] of their captions."""
        with torch.autocast("cpu", torch.bfloat16, enabled=self.half):
            image, text = embed(self.model, pixels, wanted)
        return contrast(self.model, image, text, wanted)

    def _save(self) -> None:
        state = {
            **{"model": self.model.state_dict(), "optimizers": [o.state_dict() for o in self.optimizers]},
            **{"step": self.step, "spent": self.spent},
        }
        save_checkpoint(self.out / "work" / "checkpoint.pt", state)

    def resume(self) -> None:
        """Goes on from the checkpoint in the work folder, if there is one."""
        state = load_checkpoint(self.out / "work" / "checkpoint.pt")
        if state is not None:
            self.model.load_state_dict(state["model"])
            for optimizer, held in zip(self.optimizers, state["optimizers"], strict=True):
                optimizer.load_state_dict(held)
            self.step, self.spent = state["step"], state["spent"]


def normalisation(kind: Kind) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """(mean, deviation) of red, green and blue in a picture, as public models of the family have them."""
    return (MEAN, DEVIATION) if kind.family == "clip" else ((0.5,) * 3, (0.5,) * 3)


def to_pixels(images: np.ndarray, mean: tuple[float, ...], deviation: tuple[float, ...]) -> Tensor:
    """uint8 [n, h, w, 3] to float [n, 3, h, w], normalised as the image processor of the folder does."""
    pixels = torch.from_numpy(np.ascontiguousarray(images)).permute(0, 3, 1, 2).float() / 255
    return (pixels - torch.tensor(mean)[:, None, None]) / torch.tensor(deviation)[:, None, None]


def save_folder(model: Any, kind: Kind, folder: Path) -> None:
    """An ordinary transformers folder in half precision: config, safetensors, tokenizer and image processor."""
    from transformers import CLIPImageProcessorPil, SiglipImageProcessorPil

    copy.deepcopy(model).half().save_pretrained(folder)
    clip = kind.family == "clip"
    save_tokenizer(word_tokenizer(TOKENS + 2 * clip, framed=clip), folder)
    sides = {"height": kind.image, "width": kind.image}
    processor: Any = (
        CLIPImageProcessorPil(size={"shortest_edge": kind.image}, crop_size=sides)
        if clip
        else SiglipImageProcessorPil(size=sides)
    )
    processor.save_pretrained(folder)


def main(
    kind: Annotated[str, typer.Option(help=f"one of {', '.join(KINDS)}")],
    out: Annotated[Path, typer.Option(help="folder of the model that is written")],
    pools: Annotated[Path | None, typer.Option(help="folder of rendered scenes that several kinds share")] = None,
    steps: Annotated[int, typer.Option(help="the course of the learning rate is laid out for them")] = 2200,
    snapshot_every: Annotated[int, typer.Option(help="steps between model folders in OUT/work")] = 400,
    half: Annotated[bool, typer.Option(help="bfloat16, for processors that are fast at it")] = False,
) -> None:
    """Trains a proving backbone (under an hour on one core); the same command goes on from its checkpoint."""
    if kind not in KINDS:
        raise typer.BadParameter(f"no kind {kind!r}; choose from {', '.join(KINDS)}")
    log_to(out / "work")
    shape = KINDS[kind]
    folder, tokenizer = pools or out / "work" / "pools", word_tokenizer(TOKENS)
    drawn = [open_pool(folder, replace(plan, size=shape.image), tokenizer) for plan in POOLS]
    log.info("%s: %s, %d steps, half=%s", kind, json.dumps(shape.__dict__), steps, half)
    training = ProvingTraining(out, shape, drawn, steps, half)
    training.resume()
    training.run(snapshot_every)
