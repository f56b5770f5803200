"""Trains the built-in CLIP-like model, a stock ``SiglipModel``, in eight stages without binding supervision.

1. *Close-ups*: small pictures of no object, one or two, of 3x3 to 6x6 patches, with terse captions, by the contrastive
   loss. Each picture sits at a random window of the position grid, so every position learns to read.
2. *Scenes*: whole pictures of one to eight objects with web-like captions by the same loss, close-ups with web-like
   captions beside them, and self-distillation (CLIPSelf, arXiv 2310.01403): the mean of the patches' readout inside a
   random box imitates what the model's running average says of that box cut out, which it reads as a close-up.
   The close-ups are at the scale of the scenes here, so that sizes can be told.
3. *Patterns*: the same once more, with more striped and dotted objects, whose patterns captions mostly name.
4. *Larger*: the same on scenes of 128x128 in place of 96x96, with captions that name colours less.
5. *Textures*: the same, and beside it close-ups whose captions name a pattern alone, with a contrastive loss of their
   own. Where shapes tell captions apart already, stripes and dots stay one word and one look, a saddle of the loss.
6. *Solids*: the same, with small metal-like solids among the scenes, and close-ups of one solid whose captions name its
   shape alone, likewise with losses of their own: cubes and cylinders are alike when seen small. It ends with the mean
   of its weights and those before it, which keeps what they could do.

7. *Names*: close-ups of one object of any shape, bent a little, whose captions name its shape alone; and the model's
   own pooling of a box of patches imitates the cut-out, too: verdicts are read in such windows.
8. *Sizes*: the same once more; close-ups that are enlarged or shrunk no longer have their sizes told, others at the
   scale of the scenes do.

Pictures are relit (gain, tint, contrast) and some close-ups stretched, for the sake of other renderers.

Ours: cut-outs read at their own size in place of enlarged ones, a teacher that learns along, distilling while the
contrastive training goes on. No hard negatives, no per-object labels or boxes. The twin without self-distillation
(``--no-distil``) goes through the first two stages, and through the pictures and captions of the last for longer.
"""

from __future__ import annotations

import copy
import logging
import math
import time
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import torch.nn.functional as F
import typer
from numpy.typing import NDArray
from torch import Tensor, nn
from transformers import SiglipConfig, SiglipModel

from abe_rerank.shapes.training.clip_pictures import cut_out, relit, stretched, warped, with_unknown_words
from abe_rerank.shapes.training.clip_stages import IMAGE, PATCH, STAGES, TOKENS, TWIN_STAGES, Stage
from abe_rerank.shapes.training.common import log_to
from abe_rerank.shapes.training.first_weights import start_as_bag_of_words, start_as_convolution
from abe_rerank.shapes.training.muon import muon_and_adam
from abe_rerank.shapes.training.pools import Pool, open_pool
from abe_rerank.shapes.training.tokenizer import save_tokenizer, word_tokenizer

log = logging.getLogger(__name__)

SAVE_EVERY = 100
"""Steps between checkpoints."""


def new_model(vocabulary_size: int) -> SiglipModel:
    """The model before training: about two million parameters."""
    width = 160
    vision = {
        **{"hidden_size": width, "intermediate_size": 480, "num_hidden_layers": 5, "num_attention_heads": 5},
        **{"image_size": IMAGE, "patch_size": PATCH},
    }
    text = {
        **{"hidden_size": 128, "intermediate_size": 384, "num_hidden_layers": 3, "num_attention_heads": 4},
        **{"max_position_embeddings": TOKENS, "projection_size": width, "vocab_size": vocabulary_size},
        **{"pad_token_id": 0, "bos_token_id": 2, "eos_token_id": 3},
    }
    model = SiglipModel(SiglipConfig(vision_config=vision, text_config=text))
    with torch.no_grad():
        model.logit_scale.fill_(math.log(10.0))
        model.logit_bias.zero_()
    model.logit_bias.requires_grad_(False)
    return model


def to_pixels(images: NDArray[np.uint8], device: torch.device) -> Tensor:
    """uint8 [n, h, w, 3] to float [n, 3, h, w] in [-1, 1], as the image processor of the folder does."""
    return torch.tensor(images, device=device).permute(0, 3, 1, 2).float() / 127.5 - 1


def see_at(model: SiglipModel, image: int) -> None:
    """Makes scenes of ``image`` pixels a side the model's own: its positions are interpolated as transformers does."""
    places: Any = model.vision_model.embeddings
    if places.image_size == image:
        return
    count, old = (image // PATCH) ** 2, places.position_embedding.weight
    with torch.no_grad():
        wanted = places.interpolate_pos_encoding(old.new_empty(1, count, old.shape[1]), image, image)[0]
    places.position_embedding = nn.Embedding.from_pretrained(wanted.clone(), freeze=not old.requires_grad)
    places.register_buffer("position_ids", torch.arange(count, device=old.device)[None], persistent=False)
    places.num_patches = places.num_positions = count
    places.image_size = model.vision_model.config.image_size = image


def window_positions(rows: Tensor, columns: Tensor, side: int, grid: int) -> Tensor:
    """Position indices [n, side * side] of square windows of a square grid, by their top left patches [n]."""
    steps = torch.arange(side, device=rows.device)
    at = (rows[:, None, None] + steps[:, None]) * grid + columns[:, None, None] + steps
    return at.flatten(1)


def read_patches(model: SiglipModel, pixels: Tensor, positions: Tensor) -> Tensor:
    """Last hidden states [n, patches, width] of pictures whose patches stand at the given positions of the grid."""
    vision = model.vision_model
    x = vision.embeddings.patch_embedding(pixels).flatten(2).transpose(1, 2)
    x = x + vision.embeddings.position_embedding.weight[positions]
    hidden: Tensor = vision.post_layernorm(vision.encoder(inputs_embeds=x).last_hidden_state)
    return hidden


def pooled(model: SiglipModel, hidden: Tensor) -> Tensor:
    """The global embedding [n, width] by the attention-pooling head."""
    out: Tensor = model.vision_model.head(hidden)
    return out


def value_path(model: SiglipModel, hidden: Tensor) -> Tensor:
    """What the pooling head would answer if all its attention were on one patch: [n, patches, width]."""
    head = model.vision_model.head
    width = hidden.shape[-1]
    weight, bias = head.attention.in_proj_weight[2 * width :], head.attention.in_proj_bias[2 * width :]
    x = head.attention.out_proj(F.linear(hidden, weight, bias))
    out: Tensor = x + head.mlp(head.layernorm(x))
    return out


def contrastive_loss(model: SiglipModel, image: Tensor, ids: Tensor) -> Tensor:
    """Symmetric InfoNCE of embeddings [n, width] and token ids [n, tokens].

    Equal captions are not each other's negatives.
    """
    distinct, which = torch.unique(ids, dim=0, return_inverse=True)
    text = F.normalize(model.text_model(distinct).pooler_output.float(), dim=-1)[which]
    with torch.autocast(image.device.type, enabled=False):
        logits = model.logit_scale.exp() * F.normalize(image.float(), dim=-1) @ text.T
        same = (which[:, None] == which) & ~torch.eye(len(which), dtype=torch.bool, device=which.device)
        logits = logits.masked_fill(same, torch.finfo(logits.dtype).min)
        target = torch.arange(len(which), device=which.device)
        return (F.cross_entropy(logits, target) + F.cross_entropy(logits.T, target)) / 2


class ClipTraining:
    """The state of a training: model, its running average (the teacher), optimizer, stage and step."""

    def __init__(self, work: Path, stages: tuple[Stage, ...], device: torch.device, seed: int = 0):
        torch.manual_seed(seed)
        self.work, self.stages, self.device, self.seed = work, stages, device, seed
        self.tokenizer = word_tokenizer(TOKENS)
        network: Any = new_model(len(self.tokenizer))
        self.model: SiglipModel = network.to(device)
        self.average: SiglipModel = copy.deepcopy(self.model).requires_grad_(False)
        self.before: SiglipModel = copy.deepcopy(self.average)
        self.stage, self.step = 0, 0
        self.optimizers = self._new_optimizers()

    def _new_optimizers(self) -> list[torch.optim.Optimizer]:
        stage = self.stages[self.stage]
        if stage.muon:
            return muon_and_adam(self.model, stage.rate)
        matrices = [p for p in self.model.parameters() if p.requires_grad and p.ndim > 1]
        others = [p for p in self.model.parameters() if p.requires_grad and p.ndim <= 1]
        groups = [{"params": matrices, "weight_decay": 0.05}, {"params": others, "weight_decay": 0.0}]
        return [torch.optim.AdamW(groups, lr=stage.rate, betas=(0.9, 0.98))]

    def run(self) -> SiglipModel:
        """Trains from where it is to the end; returns the running average of the model."""
        for stage in self.stages[self.stage :]:
            pools = self._pools(stage)
            self._see_as_in(stage)
            if self.stage == self.step == 0:
                self._start(pools[0][0])
            started, losses = time.monotonic(), []
            while self.step < stage.steps:
                losses.append(self._train_step(stage, pools))
                self.step += 1
                if self.step % 50 == 0:
                    mean = torch.tensor(losses).mean(0).tolist()
                    pace = (time.monotonic() - started) / len(losses)
                    log.info("%s %d/%d loss %s %.2f s/step", stage.name, self.step, stage.steps, mean, pace)
                    started, losses = time.monotonic(), []
                if self.step % SAVE_EVERY == 0:
                    self.save()
            self._finish_stage()
        return self.average

    def _see_as_in(self, stage: Stage) -> None:
        """At the start of a stage with scenes of another size: both networks see it, and the optimizer starts again."""
        if self.model.vision_model.config.image_size != stage.image:
            see_at(self.model, stage.image)
            see_at(self.average, stage.image)
            see_at(self.before, stage.image)
            self.optimizers = self._new_optimizers()

    def _pools(self, stage: Stage) -> list[tuple[Pool, int]]:
        """The pools of a stage, each with its part of a batch: close-ups, scenes, close-ups with captions alone."""
        return [
            (open_pool(self.work / "pools", share.pool, self.tokenizer), share.batch)
            for share in (*stage.close_ups, *stage.scenes, *stage.alone)
        ]

    def _start(self, pool: Pool) -> None:
        pixels = to_pixels(pool.images[: len(pool.images) : max(1, len(pool.images) // 2000)], self.device)
        patches = F.unfold(pixels, PATCH, stride=PATCH).transpose(1, 2).flatten(0, 1)
        start_as_convolution(self.model.vision_model, patches)
        start_as_bag_of_words(self.model.text_model, pool.ids.reshape(-1, TOKENS), self.tokenizer.get_vocab())
        self.average.load_state_dict(self.model.state_dict())

    @torch.no_grad()
    def _finish_stage(self) -> None:
        for mean, old in zip(self.average.parameters(), self.before.parameters(), strict=True):
            mean.lerp_(old, self.stages[self.stage].keeps)
        self.model.load_state_dict(self.average.state_dict())
        self.before.load_state_dict(self.average.state_dict())
        self.stage, self.step = self.stage + 1, 0
        if self.stage < len(self.stages):
            self.optimizers = self._new_optimizers()
        self.save()

    def _train_step(self, stage: Stage, pools: list[tuple[Pool, int]]) -> tuple[float, float]:
        rng = np.random.default_rng((self.seed, self.stage, self.step))
        generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
        for group in (group for optimizer in self.optimizers for group in optimizer.param_groups):
            group["lr"] = stage.rate * _warm_cosine(self.step, stage.course or stage.steps)
        close, wide = len(stage.close_ups), len(stage.scenes)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=stage.half):
            contrast = self._close_up_loss(stage, *self._batch(pools[:close], rng), rng)
            distil = torch.zeros((), device=self.device)
            if stage.scenes:
                on_scenes, distil = self._scene_loss(stage, *self._batch(pools[close : close + wide], rng), generator)
                contrast = contrast + on_scenes
            for share, alone in zip(stage.alone, pools[close + wide :], strict=True):
                contrast = contrast + self._close_up_loss(stage, *self._batch([alone], rng), rng, share.scaled)
        self.model.zero_grad(set_to_none=True)
        (contrast + stage.distil * distil).backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        for optimizer in self.optimizers:
            optimizer.step()
        self._follow(stage)
        return contrast.item(), distil.item()

    def _batch(self, pools: list[tuple[Pool, int]], rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        parts = [pool.batch(rng, size) for pool, size in pools]
        images, ids = (np.concatenate(part) for part in zip(*parts, strict=True))
        ids = with_unknown_words(ids, rng)
        return relit(to_pixels(images, self.device), rng), torch.from_numpy(ids).long().to(self.device)

    @torch.no_grad()
    def _follow(self, stage: Stage) -> None:
        """Moves the running average, whose memory is a tenth of the stage, and bounds the logit scale."""
        self.model.logit_scale.clamp_(max=math.log(60.0))
        keep = min(1 - 10 / (stage.course or stage.steps), (self.step + 1) / (self.step + 10))
        for mean, new in zip(self.average.parameters(), self.model.parameters(), strict=True):
            mean.lerp_(new, 1 - keep)

    def _close_up_loss(
        self, stage: Stage, pixels: Tensor, ids: Tensor, rng: np.random.Generator, scaled: bool = True
    ) -> Tensor:
        side = pixels.shape[-1] // PATCH
        if scaled:
            side = int(rng.choice(stage.sides, p=[odds for _, odds in stage.windows]))
            pixels = stretched(pixels, rng)
        if stage.warps:
            pixels = warped(pixels, rng)
        if pixels.shape[-2:] != (side * PATCH, side * PATCH):
            pixels = F.interpolate(pixels, size=side * PATCH, mode="bilinear", antialias=True, align_corners=False)
        corner = torch.from_numpy(rng.integers(stage.grid - side + 1, size=(2, len(pixels)))).to(self.device)
        hidden = read_patches(self.model, pixels, window_positions(corner[0], corner[1], side, stage.grid))
        return contrastive_loss(self.model, pooled(self.model, hidden), ids)

    def _scene_loss(
        self, stage: Stage, pixels: Tensor, ids: Tensor, generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        hidden = read_patches(self.model, pixels, torch.arange(stage.grid**2, device=self.device))
        contrast = contrastive_loss(self.model, pooled(self.model, hidden), ids)
        if not stage.distil:
            return contrast, torch.zeros((), device=self.device)
        losses = [self._box_loss(stage, pixels, hidden, generator) for _ in range(stage.boxes)]
        return contrast, torch.stack(losses).mean()

    def _box_loss(self, stage: Stage, pixels: Tensor, hidden: Tensor, generator: torch.Generator) -> Tensor:
        """1 - cosine(mean patch readout, running average on the cut-out) for a box by lot in each picture; where the
        stage ``pools``, also of the model's own pooling of the box's patches."""
        side = int(torch.randint(min(stage.sides), max(stage.sides) + stage.pools, (), generator=generator))
        corner = torch.randint(stage.grid - side + 1, (2, len(pixels)), generator=generator).to(self.device)
        steps, n = torch.arange(side, device=self.device), torch.arange(len(pixels), device=self.device)[:, None, None]
        rows, columns = corner[0][:, None] + steps, corner[1][:, None] + steps
        mine = hidden.unflatten(1, (stage.grid, stage.grid))[n, rows[:, :, None], columns[:, None, :]].flatten(1, 2)
        students = [value_path(self.model, mine).mean(1)]
        if stage.pools:
            students.append(pooled(self.model, mine))
        cut = cut_out(pixels, corner, side)
        with torch.no_grad():
            seen = read_patches(self.average, cut, window_positions(corner[0], corner[1], side, stage.grid))
            wanted = pooled(self.average, seen)
        return 1 - torch.stack([F.cosine_similarity(s.float(), wanted.float()).mean() for s in students]).mean()

    def save(self) -> None:
        """Writes a checkpoint, and the running average as an ordinary model folder beside it."""
        state = {
            **{"model": self.model.state_dict(), "average": self.average.state_dict()},
            "before": self.before.state_dict(),
            "optimizers": [optimizer.state_dict() for optimizer in self.optimizers],
            **{"stage": self.stage, "step": self.step},
        }
        self.work.mkdir(parents=True, exist_ok=True)
        torch.save(state, self.work / "checkpoint.tmp")
        (self.work / "checkpoint.tmp").replace(self.work / "checkpoint.pt")
        save_folder(self.average, self.work / "model")

    def start_last_stage(self, folder: Path) -> None:
        """Takes the weights of a model folder for those that the stage before the last one ended with."""
        weights = SiglipModel.from_pretrained(folder).state_dict()
        self.stage, self.step = len(self.stages) - 1, 0
        for model in (self.model, self.average, self.before):
            see_at(model, math.isqrt(len(weights["vision_model.embeddings.position_embedding.weight"])) * PATCH)
            model.load_state_dict(weights)
        self.optimizers = self._new_optimizers()

    def resume(self) -> None:
        """Goes on from the checkpoint in the work folder, if there is one."""
        if not (self.work / "checkpoint.pt").exists():
            return
        state = torch.load(self.work / "checkpoint.pt", map_location=self.device, weights_only=True)
        self.stage, self.step = state["stage"], state["step"]
        places = state["model"]["vision_model.embeddings.position_embedding.weight"]
        for model in (self.model, self.average, self.before):
            see_at(model, math.isqrt(len(places)) * PATCH)
        self.model.load_state_dict(state["model"])
        self.average.load_state_dict(state["average"])
        self.before.load_state_dict(state["before"])
        if self.stage < len(self.stages):
            self.optimizers = self._new_optimizers()
            for optimizer, held in zip(self.optimizers, state["optimizers"], strict=True):
                optimizer.load_state_dict(held)


def _warm_cosine(step: int, steps: int) -> float:
    warm = min(200, steps // 10)
    if step < warm:
        return (step + 1) / warm
    return 0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, steps - warm)))


def save_folder(model: SiglipModel, folder: Path) -> None:
    """An ordinary transformers folder: config, safetensors, tokenizer and image processor."""
    from transformers import SiglipImageProcessorPil

    model.save_pretrained(folder)
    save_tokenizer(word_tokenizer(TOKENS), folder)
    side = model.vision_model.config.image_size
    SiglipImageProcessorPil(size={"height": side, "width": side}).save_pretrained(folder)


def main(
    out: Annotated[Path, typer.Option(help="folder of the model that is written")] = Path("checkpoints/clip"),
    seed: int = 0,
    device: str = "cpu",
    distil: Annotated[bool, typer.Option(help="--no-distil trains the twin without self-distillation")] = True,
    half: Annotated[bool, typer.Option(help="every stage in bfloat16, for processors that are fast at it")] = False,
    start: Annotated[Path | None, typer.Option(help="a model folder to take the last stage alone from")] = None,
) -> None:
    """Trains the CLIP-like model (about five hours on one CPU core); the same command goes on from its checkpoint."""
    work = out / "work"
    log_to(work)
    stages = tuple(replace(stage, half=half or stage.half) for stage in (STAGES if distil else TWIN_STAGES))
    training = ClipTraining(work, stages, torch.device(device), seed)
    if start:
        training.start_last_stage(start)
    training.resume()
    save_folder(training.run(), out)
