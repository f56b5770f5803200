"""Which patches belong to which phrase, and what is read there: pure functions of tensors.

Axes: n images, p patches, t prompts, k objects of a prompt, q queries of an object, j (attribute, object) pairs of a
prompt, c candidate values of a pair (0 is the one the prompt asks for), d the shared space. A mask is True where an
entry is real, and is filled in before a max or a softmax, never multiplied: a padded zero beats a negative cosine.

Local Token-Patch Alignment and the binding difference are named by ABE-CLIP (arXiv 2512.17178, abstract); the
equations here are our reading of it (design notes, methods.md section 1).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

_FLOOR = -1e9
"""Stands for minus infinity: far below any cosine times a scale, and a padded row stays finite."""


def query_maps(patches: Tensor, queries: Tensor, query_mask: Tensor, scale: float) -> Tensor:
    """How much each patch looks like each object: [n, p, t, k], cosines times ``scale``.

    ``patches`` [n, p, d], ``queries`` [t, k, q, d], ``query_mask`` [t, k, q]. The queries of one object are joined by
    the mean over q of exp(scale · cosine), so that "a red cube" and "a blue cube" together look for a cube of
    either colour. Objects without a query (padding) are 0 everywhere.
    """
    cosines = torch.einsum("npd,tkqd->nptkq", patches, queries) * scale
    joined = cosines.masked_fill(~query_mask, _FLOOR).logsumexp(dim=-1)
    count = query_mask.sum(dim=-1)
    return torch.where(count > 0, joined - count.clamp(min=1).log(), torch.zeros_like(joined))


def neighbour_means(maps: Tensor, grids: Sequence[tuple[int, int]], share: float) -> Tensor:
    """The mean of each patch's and its neighbours' maps [n, p, t, k], in a square window around it. Ours.

    An object covers patches that lie together, and what one patch says of its shape is noisy. ``grids`` are the (rows,
    columns) of each image; later patches are padding, and stay. The window's side is the odd number nearest to
    ``share`` of the grid's shorter side, so that it means the same at every resolution; 1 patch changes nothing. At
    the border it is cut to the grid.
    """
    found = maps
    for rows, columns in dict.fromkeys(grids):
        reach = math.floor(share * min(rows, columns) / 2)
        if reach > 0:
            mine = torch.tensor([n for n, grid in enumerate(grids) if grid == (rows, columns)], device=maps.device)
            laid = maps[mine, : rows * columns].flatten(2).transpose(1, 2).unflatten(2, (rows, columns))
            means = F.avg_pool2d(laid, 2 * reach + 1, stride=1, padding=reach, count_include_pad=False)
            found = found.clone() if found is maps else found
            found[mine, : rows * columns] = means.flatten(2).transpose(1, 2).unflatten(2, maps.shape[2:])
    return found


def compete(maps: Tensor, object_mask: Tensor, strength: float) -> Tensor:
    """Let the objects of one prompt compete for each patch: maps [n, p, t, k] plus ``strength`` · log softmax over k.

    ``object_mask`` [t, k]. With strength 0 nothing changes, and nothing does for a prompt of one object. Ours: a patch
    that looks more like another object of the prompt counts less for this one.
    """
    if strength == 0:
        return maps
    shares = maps.masked_fill(~object_mask, _FLOOR).log_softmax(dim=-1)
    return maps + strength * shares.masked_fill(~object_mask, 0.0)


def soft_regions(maps: Tensor, patch_mask: Tensor) -> Tensor:
    """Softmax over the patches: weights [n, p, t, k] that sum to 1 over p. ``patch_mask`` [n, p]."""
    weights: Tensor = maps.masked_fill(~patch_mask[:, :, None, None], _FLOOR).softmax(dim=1)
    return weights


def top_regions(maps: Tensor, patch_mask: Tensor, share: float) -> Tensor:
    """The best patches with equal weights [n, p, t, k]: ``share`` of the image's real patches, at least one.

    Of equal patches the first come first. ``patch_mask`` [n, p].
    """
    filled = maps.masked_fill(~patch_mask[:, :, None, None], _FLOOR)
    order = filled.argsort(dim=1, descending=True, stable=True)
    rank = torch.empty_like(order)
    places = torch.arange(maps.shape[1], device=maps.device)[None, :, None, None].expand_as(order)
    rank.scatter_(1, order, places)
    size = (patch_mask.sum(dim=1) * share).round().clamp(min=1)[:, None, None, None]
    chosen = (rank < size) & patch_mask[:, :, None, None]
    return chosen / chosen.sum(dim=1, keepdim=True)


def whole_image(maps: Tensor, patch_mask: Tensor) -> Tensor:
    """No region at all: equal weights [n, p, t, k] on every real patch (the ablation)."""
    real = patch_mask[:, :, None, None].expand_as(maps)
    return real / real.sum(dim=1, keepdim=True)


def read_regions(patches: Tensor, regions: Tensor) -> Tensor:
    """The mean patch vector of each region [n, t, k, d]; times a phrase it is the phrase's mean cosine there."""
    return torch.einsum("npd,nptk->ntkd", patches, regions)


def somewhere(patches: Tensor, patch_mask: Tensor, phrases: Tensor, scale: float) -> Tensor:
    """Evidence that each object's phrase is true of some place, nobody knows which: [n, t, k], a cosine.

    log of the mean over p of exp(scale · cosine), over scale; ``patches`` [n, p, d], ``phrases`` [t, k, d]. Ours: with
    a model's logit scale exp(scale · cosine) is the odds that it was trained to give, and an object of unknown place
    is a mixture of the places.
    """
    logits = torch.einsum("npd,tkd->nptk", patches, phrases) * scale
    joined = logits.masked_fill(~patch_mask[:, :, None, None], _FLOOR).logsumexp(dim=1)
    found: Tensor = (joined - patch_mask.sum(dim=1).log()[:, None, None]) / scale
    return found


def own_and_lead(region_vectors: Tensor, nouns: Tensor, rivals: Tensor) -> tuple[Tensor, Tensor]:
    """(evidence of each object's noun in its own region, its lead over the other objects' nouns there), [n, t, k] each.

    ``region_vectors`` [n, t, k, d], ``nouns`` [t, k, d], ``rivals`` [t, k, k], True where the second object is
    of another kind than the first. A negative lead says that the region shows another object of the prompt; without a
    rival the lead is very large.
    """
    cosines = torch.einsum("ntkd,tmd->ntkm", region_vectors, nouns)
    own = cosines.diagonal(dim1=-2, dim2=-1)
    others = cosines.masked_fill(~rivals, _FLOOR)
    return own, own - others.amax(dim=-1)


def pair_evidence(region_vectors: Tensor, pair_objects: Tensor, phrases: Tensor) -> Tensor:
    """Evidence of every candidate value in its own object's region: [n, t, j, c].

    ``region_vectors`` [n, t, k, d], ``pair_objects`` [t, j] (index k of each pair's object), ``phrases`` [t, j, c, d].
    """
    index = pair_objects[None, :, :, None].expand(region_vectors.shape[0], -1, -1, region_vectors.shape[-1])
    mine = region_vectors.gather(2, index)
    return torch.einsum("ntjd,tjcd->ntjc", mine, phrases)


def pair_margins(evidence: Tensor, candidate_mask: Tensor) -> tuple[Tensor, Tensor]:
    """(margin [n, t, j], strongest competitor's index c [n, t, j]) from evidence [n, t, j, c].

    The margin is the evidence of what the prompt asks for (c = 0) minus that of its strongest competitor.
    ``candidate_mask`` [t, j, c]; every real pair has at least one competitor.
    """
    others = evidence.masked_fill(~candidate_mask, _FLOOR)[..., 1:]
    strongest, index = others.max(dim=-1)
    return evidence[..., 0] - strongest, index + 1


def masked_sum(values: Tensor, mask: Tensor) -> Tensor:
    """Sum over the last axis of the entries where ``mask`` is True; NaN where there are none."""
    total = torch.where(mask, values, torch.zeros_like(values)).sum(dim=-1)
    return torch.where(mask.any(dim=-1), total, torch.nan)


def masked_mean(values: Tensor, mask: Tensor) -> Tensor:
    """Mean over the last axis of the entries where ``mask`` is True; NaN where there are none."""
    kept = torch.where(mask, values, torch.zeros_like(values))
    mean: Tensor = kept.sum(dim=-1) / mask.sum(dim=-1)
    return mean


def subtract_competitors(phrases: Tensor, candidate_mask: Tensor, beta: float) -> Tensor:
    """z_i - beta · sum over the other candidates c of <z_i, c> c, scaled to length 1 again: [t, j, c, d].

    The semantic refinement's second part (our reading). Each candidate is treated alike, so that refinement does not
    favour the asked value over its competitors.
    """
    if beta == 0:
        return phrases
    cosines = torch.einsum("tjcd,tjed->tjce", phrases, phrases)
    others = candidate_mask[..., None, :] & ~torch.eye(phrases.shape[2], dtype=torch.bool, device=phrases.device)
    weights = torch.where(others, cosines, torch.zeros_like(cosines))
    return F.normalize(phrases - beta * torch.einsum("tjce,tjed->tjcd", weights, phrases), dim=-1)


def best_patch_means(patches: Tensor, patch_mask: Tensor, tokens: Tensor, token_mask: Tensor) -> Tensor:
    """FILIP's text-to-image similarity (arXiv 2111.07783, equation 4): mean over tokens of the max over patches.

    ``patches`` [n, p, d], ``patch_mask`` [n, p], ``tokens`` [t, l, d], ``token_mask`` [t, l]; returns [n, t].
    """
    cosines = torch.einsum("npd,tld->nptl", patches, tokens)
    best = cosines.masked_fill(~patch_mask[:, :, None, None], -torch.inf).amax(dim=1)
    return masked_mean(best, token_mask)
