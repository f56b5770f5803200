"""PowerCLIP's loss (arXiv 2511.23170) on the CLIP-type proving architecture, and its twin without it.

The whole is CLIP's contrastive loss + ``triplet`` · a triplet margin loss on T2R + R2T, both ways, against the hardest
negative of the batch; T2R and R2T are the non-linear aggregators of :mod:`abe_rerank.scoring.powerset`. Both global
embeddings are means, of the patches' and of the words' projected states, as published. ``--triplet 0`` is the twin:
the same pictures, captions, first weights, steps and seeds, so that what differs is the loss alone.

The paper's: M = 10 random boxes per picture, weight 0.2, tau 0.001 for T1, zeta 0.75. Ours: phrases come from
the project's own parser, T2's tau is ``TAU_REGIONS``, and the triplets' margin is that of VSE++ (arXiv 1707.05612).
"""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import torch.nn.functional as F
import typer
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from transformers import CLIPModel

from abe_rerank.backbones import Backbone
from abe_rerank.parsing import parse
from abe_rerank.scoring.phrase_tree import PhraseTree, node_vectors, phrase_tree, random_boxes
from abe_rerank.scoring.powerset import hardest_triplets, node_similarities, regions_to_tree, tree_to_regions
from abe_rerank.shapes.training.common import log_to
from abe_rerank.shapes.training.pools import Pool, open_pool
from abe_rerank.shapes.training.proving import (
    END_ID,
    KINDS,
    PAD_ID,
    POOLS,
    START_ID,
    TOKENS,
    Kind,
    ProvingTraining,
    contrast,
    framed,
)
from abe_rerank.shapes.training.tokenizer import word_tokenizer

log = logging.getLogger(__name__)

REGIONS, TAU_TREE, TAU_REGIONS, ZETA, MARGIN = 10, 0.001, 0.1, 0.75, 0.2


class AveragedClip(CLIPModel):
    """CLIP whose embeddings are the means of its patches' and of its words' projected states."""

    def get_image_features(self, pixel_values: Any = None, **options: Any) -> Any:
        """[n, D], not normalised."""
        return self.patch_states(pixel_values, **options).mean(dim=1)

    def get_text_features(self, input_ids: Any = None, attention_mask: Any = None, **options: Any) -> Any:
        """[n, D], not normalised; ``attention_mask`` is not needed: padding is known by its id."""
        return word_means(self.word_states(input_ids), input_ids)

    def patch_states(self, pixels: Tensor, **options: Any) -> Tensor:
        """[n, patches, D]."""
        tower: Any = self.vision_model
        states = tower(pixels, **options).last_hidden_state[:, 1:]
        projected: Tensor = self.visual_projection(tower.post_layernorm(states))
        return projected

    def word_states(self, ids: Tensor) -> Tensor:
        """[n, tokens, D] of framed ids, those of the frame and of padding too."""
        tower: Any = self.text_model
        projected: Tensor = self.text_projection(tower(ids).last_hidden_state)
        return projected


def word_means(states: Tensor, ids: Tensor) -> Tensor:
    """The means [n, D] of the states [n, tokens, D] of words alone."""
    real = (ids != PAD_ID) & (ids != START_ID) & (ids != END_ID)
    return (states * real[..., None]).sum(dim=1) / real.sum(dim=1).clamp(min=1)[:, None]


class PowerTraining(ProvingTraining):
    """A training of the proving kind with PowerCLIP's loss of weight ``triplet``; 0 is the CLIP-only twin."""

    def __init__(self, out: Path, kind: Kind, pools: Sequence[Pool], steps: int, half: bool, triplet: float):
        super().__init__(out, kind, pools, steps, half)
        self.model.__class__ = AveragedClip
        self.triplet = triplet
        self.words = {k: word for word, k in word_tokenizer(TOKENS).get_vocab().items()}

    def loss(self, pixels: Tensor, wanted: Tensor) -> Tensor:
        """CLIP's loss and the weighted triplets'."""
        ids = framed(wanted)
        with torch.autocast("cpu", torch.bfloat16, enabled=self.half):
            patches, tokens = self.model.patch_states(pixels), self.model.word_states(ids)
        patches, tokens = patches.float(), tokens.float()
        image, text = F.normalize(patches.mean(dim=1), dim=-1), F.normalize(word_means(tokens, ids), dim=-1)
        plain = contrast(self.model, image, text, wanted)
        if self.triplet == 0:
            return plain
        same = (wanted[:, None] == wanted[None]).all(-1)
        side = self.kind.image // self.kind.patch
        rng = np.random.default_rng((self.kind.seed, self.step, 1))
        boxes = torch.stack([random_boxes(side, side, REGIONS, rng) for _ in range(len(patches))])
        scores = powerset_scores(patches, boxes, tokens[:, 1:], [self._words_of(row) for row in wanted.tolist()])
        return plain + self.triplet * hardest_triplets(scores, same, MARGIN)

    def _words_of(self, ids: list[int]) -> tuple[str, ...]:
        return tuple(self.words[k] for k in ids if k != PAD_ID)


def powerset_scores(patches: Tensor, boxes: Tensor, tokens: Tensor, captions: Sequence[tuple[str, ...]]) -> Tensor:
    """T2R + R2T of all pictures and all captions, [n, t].

    ``patches`` [n, p, d], ``boxes`` [n, m, p] bool, ``tokens`` [t, words, d], ``captions`` the words of each.
    """
    regions = F.normalize(boxes.to(patches.dtype) @ patches, dim=-1)
    nodes = []
    for words, states in zip(captions, tokens, strict=True):
        tree, members = _read(words)
        nodes.append(node_vectors(tree, states[: members.shape[1]], members))
    counts = torch.tensor([len(node) for node in nodes])
    padded = pad_sequence(nodes, batch_first=True)
    mask = torch.arange(padded.shape[1]) < counts[:, None]
    similar = node_similarities(regions, padded)
    return tree_to_regions(similar, mask, TAU_TREE) + regions_to_tree(similar, mask, TAU_REGIONS, ZETA)


@lru_cache(200_000)
def _read(words: tuple[str, ...]) -> tuple[PhraseTree, Tensor]:
    """The tree of a caption, and which words belong to each leaf: bool [leaves, words]."""
    text = " ".join(words)
    tree = phrase_tree(parse(text))
    starts = np.cumsum([0, *(len(word) + 1 for word in words)])[:-1]
    spans = [(start, start + len(word)) for start, word in zip(starts, words, strict=True)]
    inside = [[a < end and b > start for a, b in spans] for start, end in tree.leaves]
    return tree, torch.tensor(inside, dtype=torch.bool).view(len(tree.leaves), len(words))


def load_averaged(folder: Path) -> Backbone:
    """The backbone of a folder that this training wrote: ``load_backbone`` would pool it at its class token."""
    from abe_rerank.backbones import load_backbone
    from abe_rerank.backbones.dual_encoder import DualEncoder

    found = load_backbone(folder, device="cpu")
    assert isinstance(found, DualEncoder)
    found.model.__class__ = AveragedClip
    return found


def main(
    out: Annotated[Path, typer.Option(help="folder of the model that is written")],
    triplet: Annotated[float, typer.Option(help="weight of the triplets; 0 trains the CLIP-only twin", min=0)] = 0.2,
    pools: Annotated[Path | None, typer.Option(help="folder of rendered scenes that trainings share")] = None,
    steps: Annotated[int, typer.Option(help="the course of the learning rate is laid out for them")] = 1000,
    half: Annotated[bool, typer.Option(help="bfloat16, for processors that are fast at it")] = False,
) -> None:
    """Trains PowerCLIP or its twin on the CLIP-type proving architecture; the same command goes on where it was."""
    log_to(out / "work")
    shape = KINDS["clip"]
    folder, tokenizer = pools or out / "work" / "pools", word_tokenizer(TOKENS)
    drawn = [open_pool(folder, replace(plan, size=shape.image), tokenizer) for plan in POOLS]
    log.info("power-clip: %s, %d steps, triplet=%g, half=%s", json.dumps(shape.__dict__), steps, triplet, half)
    training = PowerTraining(out, shape, drawn, steps, half, triplet)
    training.resume()
    training.run(snapshot_every=steps)
