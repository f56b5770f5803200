"""The tree of phrases of a prompt, as powerset alignment reads it, and the boxes of patches that it is read against.

PowerCLIP (arXiv 2511.23170) takes the noun phrases, prepositional and verb phrases and the sentence of a parser's tree.
Here they come from the project's own parse: leaves are the words of attributes, objects and relations; nodes are each
object with its attributes, each relation with the object behind it and with both its objects, and the whole.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from abe_rerank.errors import UsageError
from abe_rerank.types import Span, Spec


@dataclass(frozen=True)
class PhraseTree:
    """``leaves`` are spans of the prompt; each node of ``nodes`` is the indices of its leaves."""

    leaves: tuple[Span, ...]
    nodes: tuple[tuple[int, ...], ...]


def phrase_tree(spec: Spec) -> PhraseTree:
    """The tree of a prompt, negated objects left out. Without objects the prompt is its own only leaf."""
    leaves: list[Span] = []
    of_object: dict[int, tuple[int, ...]] = {}
    nodes: list[tuple[int, ...]] = []
    for k, thing in enumerate(spec.objects):
        if not thing.negated:
            spans = [*(a.span for a in thing.attributes), thing.span]
            of_object[k] = tuple(range(len(leaves), len(leaves) + len(spans)))
            leaves += spans
            nodes.append(of_object[k])
    for relation in spec.relations:
        if relation.subject in of_object and relation.object in of_object:
            predicate = (len(leaves), *of_object[relation.object])
            leaves.append(relation.span)
            nodes += [predicate, (*of_object[relation.subject], *predicate)]
    if not leaves:
        return PhraseTree(((0, len(spec.prompt)),), ((0,),))
    whole = tuple(range(len(leaves)))
    if all(set(node) != set(whole) for node in nodes):
        nodes.append(whole)
    return PhraseTree(tuple(leaves), tuple(nodes))


def node_vectors(tree: PhraseTree, states: Tensor, members: Tensor) -> Tensor:
    """p_B of each node [k, d]: the sum of its leaves' psi, each the sum of its tokens' states scaled to length 1.

    ``states`` [tokens, d], ``members`` [leaves, tokens], True where a token belongs to a leaf; a leaf without a token
    counts nothing.
    """
    leaves = F.normalize(members.to(states.dtype) @ states, dim=-1)
    inside = torch.zeros(len(tree.nodes), len(tree.leaves), dtype=states.dtype, device=states.device)
    for k, node in enumerate(tree.nodes):
        inside[k, list(node)] = 1
    return inside @ leaves


def random_boxes(rows: int, columns: int, count: int, rng: np.random.Generator) -> Tensor:
    """``count`` boxes on a grid of patches, their sides and centres uniform: bool [count, rows · columns].

    A box lies whole inside the grid and covers a patch at least. Raises UsageError for more boxes than patches.
    """
    if not 1 <= count <= rows * columns:
        raise UsageError(f"{count} regions on a grid of {rows} x {columns} patches: give 1 to {rows * columns}")
    height, width = rng.integers(1, rows + 1, count), rng.integers(1, columns + 1, count)
    top, left = rng.integers(0, rows - height + 1), rng.integers(0, columns - width + 1)
    down, across = np.arange(rows), np.arange(columns)
    tall = (down >= top[:, None]) & (down < (top + height)[:, None])
    wide = (across >= left[:, None]) & (across < (left + width)[:, None])
    return torch.from_numpy((tall[:, :, None] & wide[:, None, :]).reshape(count, rows * columns))
