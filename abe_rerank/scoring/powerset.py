"""Powerset alignment (PowerCLIP, arXiv 2511.23170): all subsets of regions against all nodes of a parse tree.

Pure functions of tensors. Axes: n images, m regions, t prompts, k nodes of a prompt's tree, d the shared space. A
subset A of regions has r_A = the sum of its phi_m, a node B has p_B = the sum of its leaves' psi, and Q(A, B) =
<r_A, p_B>, so that Q(A, B) is the sum over the regions m in A of s(m, B) = <phi_m, p_B>. There are 2^M subsets; the
paper's non-linear aggregators (NLA-T1, NLA-T2) take all of them into account at a cost that is linear in M.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F


def node_similarities(regions: Tensor, nodes: Tensor) -> Tensor:
    """s(m, B) of every region and every node, [n, m, t, k], from phi [n, m, d] and p [t, k, d]."""
    return torch.einsum("nmd,tkd->nmtk", regions, nodes)


def tree_to_regions(similarities: Tensor, node_mask: Tensor, tau: float) -> Tensor:
    """NLA-T1: mean over nodes of sum over regions of tau · softplus(s / tau), [n, t].

    ``similarities`` [n, m, t, k], ``node_mask`` [t, k], True where a node is real; each prompt has one at least. It is
    T2R, the mean over B of the max over A of Q(A, B), as tau goes to 0: the best subset is that of the positive terms.
    """
    best = (tau * F.softplus(similarities / tau)).sum(dim=1)
    kept = torch.where(node_mask, best, torch.zeros_like(best))
    return kept.sum(dim=-1) / node_mask.sum(dim=-1)


def regions_to_tree(similarities: Tensor, node_mask: Tensor, tau: float, zeta: float) -> Tensor:
    """NLA-T2: tau · log sum over B of exp(sum over m of [s / (2 tau) + zeta · log cosh(s / (2 tau))]), [n, t].

    ``zeta`` 0 is a lower and 1 an upper bound of the softened R2T, the mean over all A of tau · logsumexp over B of
    Q(A, B) / tau, which is the mean over A of the max over B of Q(A, B) as tau goes to 0.
    """
    half = similarities / (2 * tau)
    exponents = (half + zeta * log_cosh(half)).sum(dim=1)
    return tau * exponents.masked_fill(~node_mask, -torch.inf).logsumexp(dim=-1)


def log_cosh(x: Tensor) -> Tensor:
    """log cosh x without overflow; its gradient is tanh x."""
    return x.abs() + F.softplus(-2 * x.abs()) - math.log(2)


def hardest_triplets(scores: Tensor, same: Tensor, margin: float) -> Tensor:
    """The triplet margin loss on scores [n, n] of images and captions and on their transpose, hardest negatives.

    The diagonal holds what belongs together; ``same`` [n, n] is True where a pair belongs together, too, and is no
    negative. A row without a negative counts 0.
    """
    wanted = scores.diagonal()
    negatives = scores.masked_fill(same, -torch.inf)
    losses = [F.relu(margin - wanted + negatives.amax(dim=axis)) for axis in (1, 0)]
    return losses[0].mean() + losses[1].mean()
