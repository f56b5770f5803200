"""Prompt plans as padded tensors: every phrase read off the text encoder once, gathered by index."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from abe_rerank.backbones import Backbone
from abe_rerank.scoring.alignment import subtract_competitors
from abe_rerank.scoring.readings import PromptPlan, Reading

TextReadout = Literal["pooled", "token"]


@dataclass(frozen=True)
class PromptTable:
    """Text vectors of T prompts with K objects, Q queries, J pairs and C candidates at most; axes as in alignment.

    ``prompts`` [T, D], ``nouns`` and ``phrases`` [T, K, D], ``object_mask`` [T, K], ``rivals`` [T, K, K] (True where
    the second is an object of another kind), ``queries`` [T, K, Q, D], ``query_mask`` [T, K, Q],
    ``pair_objects`` [T, J], ``pair_mask`` [T, J], ``candidates`` [T, J, C, D], ``candidate_mask`` [T, J, C].
    ``relations``: of each prompt (subject, text, object), the objects by their index.
    """

    prompts: Tensor
    nouns: Tensor
    phrases: Tensor
    object_mask: Tensor
    rivals: Tensor
    queries: Tensor
    query_mask: Tensor
    pair_objects: Tensor
    pair_mask: Tensor
    candidates: Tensor
    candidate_mask: Tensor
    relations: tuple[tuple[tuple[int, str, int], ...], ...]


class PhraseReader:
    """Reads refined phrase vectors: norm((1 - alpha) · in the prompt + alpha · alone); each distinct one once.

    ``pooled`` takes the text encoder's pooled embedding of the phrase (of the whole prompt, for the part in the
    prompt), ``token`` the mean of the projected states of the words themselves.
    """

    def __init__(self, backbone: Backbone, readout: TextReadout, alpha: float) -> None:
        self.backbone, self.readout, self.alpha = backbone, readout, alpha

    def read(self, readings: Iterable[Reading]) -> dict[Reading, Tensor]:
        """The vector [D] of each reading, of length 1."""
        wanted = list(dict.fromkeys(readings))
        if not wanted:
            return {}
        alone = self._vectors([(r.text, r.span) for r in wanted]) if self.alpha > 0 else 0.0
        inside = self._vectors([(r.context, r.context_span) for r in wanted]) if self.alpha < 1 else 0.0
        refined = F.normalize(torch.as_tensor(self.alpha * alone + (1 - self.alpha) * inside), dim=-1)
        return dict(zip(wanted, refined, strict=True))

    def apart(self, readings: Iterable[Reading]) -> dict[Reading, Tensor]:
        """What :meth:`read` gives, to the bit the same whatever was read before; what is read after it does not depend
        on it: for phrases that no prompt asks for, which are read once."""
        self.backbone.forget_texts()
        vectors = self.read(readings)
        self.backbone.forget_texts()
        return vectors

    def _vectors(self, places: Sequence[tuple[str, tuple[int, int]]]) -> Tensor:
        """[R, D] of length 1: pooled embeddings of the texts, or mean token states at the spans."""
        texts = [text for text, _ in places]
        if self.readout == "pooled":
            return self.backbone.encode_texts(texts)
        rows = []
        for tokens, (_, span) in zip(self.backbone.encode_tokens(texts), places, strict=True):
            rows.append(tokens.states[tokens.indices(span) or slice(None)].mean(dim=0))
        return F.normalize(torch.stack(rows), dim=-1)


def tabulate(plans: Sequence[PromptPlan], reader: PhraseReader, beta: float) -> PromptTable:
    """Read all phrases of ``plans`` and pad them into one table on the backbone's device."""
    most_objects = max((1, *(len(p.objects) for p in plans)))
    most_pairs = max((1, *(len(p.pairs) for p in plans)))
    found = reader.read(reading for p in plans for reading in _readings(p))
    device = reader.backbone.device
    prompts = reader.backbone.encode_texts([p.prompt for p in plans])
    rows = {reading: i for i, reading in enumerate(found, start=1)}
    vectors = torch.cat([torch.zeros(1, prompts.shape[-1], device=device), *(v[None] for v in found.values())])

    def gather(nested: list[list[list[Reading]]], middle: int, least: int = 1) -> tuple[Tensor, Tensor]:
        inner = max((least, *(len(row) for prompt in nested for row in prompt)))
        index = torch.zeros(len(plans), middle, inner, dtype=torch.long)
        for t, prompt in enumerate(nested):
            for i, row in enumerate(prompt):
                index[t, i, : len(row)] = torch.tensor([rows[reading] for reading in row], dtype=torch.long)
        index = index.to(device)
        return vectors[index], index > 0

    nouns, object_mask = gather([[[noun] for noun in p.nouns] for p in plans], most_objects)
    phrases, _ = gather([[[phrase] for phrase in p.phrases] for p in plans], most_objects)
    queries, query_mask = gather([[list(row) for row in p.queries] for p in plans], most_objects)
    candidates, candidate_mask = gather([[list(pair.readings) for pair in p.pairs] for p in plans], most_pairs, 2)
    rivals = torch.zeros(len(plans), most_objects, most_objects, dtype=torch.bool)
    pair_objects = torch.zeros(len(plans), most_pairs, dtype=torch.long)
    for t, p in enumerate(plans):
        numbers = {kind: number for number, kind in enumerate(dict.fromkeys(p.kinds))}
        kinds = torch.tensor([numbers[kind] for kind in p.kinds], dtype=torch.long)
        rivals[t, : len(kinds), : len(kinds)] = kinds[:, None] != kinds
        pair_objects[t, : len(p.pairs)] = torch.tensor([pair.object for pair in p.pairs], dtype=torch.long)
    return PromptTable(
        prompts=prompts,
        nouns=nouns[:, :, 0],
        phrases=phrases[:, :, 0],
        object_mask=object_mask[:, :, 0],
        rivals=rivals.to(device),
        queries=queries,
        query_mask=query_mask,
        pair_objects=pair_objects.to(device),
        pair_mask=candidate_mask[:, :, 0],
        candidates=subtract_competitors(candidates, candidate_mask, beta),
        candidate_mask=candidate_mask,
        relations=tuple(tuple((r.subject, r.text, r.object) for r in p.relations) for p in plans),
    )


def _readings(plan: PromptPlan) -> Iterable[Reading]:
    yield from plan.nouns
    yield from plan.phrases
    for row in plan.queries:
        yield from row
    for pair in plan.pairs:
        yield from pair.readings
