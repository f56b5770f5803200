"""Alignment against naive loops over every image, prompt, object and patch."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from abe_rerank.scoring import alignment

N, P, T, K, Q, J, C, D = 3, 10, 4, 3, 2, 4, 3, 6


def unit(*shape: int, seed: int = 0) -> Tensor:
    return torch.nn.functional.normalize(torch.randn(*shape, generator=torch.Generator().manual_seed(seed)), dim=-1)


def random_mask(*shape: int, seed: int = 1) -> Tensor:
    """True at the first place of the last axis, and by chance elsewhere."""
    mask = torch.rand(*shape, generator=torch.Generator().manual_seed(seed)) < 0.6
    mask[..., 0] = True
    return mask


@pytest.fixture
def patches() -> Tensor:
    return unit(N, P, D)


def test_query_maps_are_the_log_of_a_mean_of_exponentials(patches: Tensor) -> None:
    queries, mask = unit(T, K, Q, D, seed=2), random_mask(T, K, Q)
    mask[1, 2] = False
    maps = alignment.query_maps(patches, queries, mask, 5.0)
    for n in range(N):
        for p in range(P):
            for t in range(T):
                for k in range(K):
                    terms = [math.exp(float(patches[n, p] @ queries[t, k, q]) / 0.2) for q in range(Q) if mask[t, k, q]]
                    expected = math.log(sum(terms) / len(terms)) if terms else 0.0
                    assert maps[n, p, t, k] == pytest.approx(expected, abs=1e-4)


def test_one_query_is_its_cosine_times_the_scale(patches: Tensor) -> None:
    queries = unit(T, K, 1, D, seed=2)
    maps = alignment.query_maps(patches, queries, torch.ones(T, K, 1, dtype=torch.bool), 2.0)
    torch.testing.assert_close(maps, torch.einsum("npd,tkd->nptk", patches, queries[:, :, 0]) / 0.5)


def test_a_phrase_that_fits_somewhere_is_a_mixture_of_the_real_places(patches: Tensor) -> None:
    phrases, mask = unit(T, K, D, seed=2), random_mask(N, P)
    found = alignment.somewhere(patches, mask, phrases, 7.0)
    for n in range(N):
        for t in range(T):
            for k in range(K):
                odds = [math.exp(7 * float(patches[n, p] @ phrases[t, k])) for p in range(P) if mask[n, p]]
                assert found[n, t, k] == pytest.approx(math.log(sum(odds) / len(odds)) / 7, abs=1e-5)
    sums = alignment.masked_sum(found, random_mask(T, K))
    expected = sum(float(found[0, 1, k]) for k in range(K) if random_mask(T, K)[1, k])
    assert sums[0, 1] == pytest.approx(expected, abs=1e-5)
    assert alignment.masked_sum(found, torch.zeros(T, K, dtype=torch.bool)).isnan().all()


def test_competition_gives_a_patch_to_the_object_it_looks_most_like() -> None:
    maps = torch.tensor([[2.0, 1.0], [0.0, 3.0]]).reshape(1, 2, 1, 2)
    both = torch.ones(1, 2, dtype=torch.bool)
    shared = alignment.compete(maps, both, 1.0)
    for p in range(2):
        row = maps[0, p, 0]
        total = sum(math.exp(float(v)) for v in row)
        for k in range(2):
            assert shared[0, p, 0, k] == pytest.approx(
                float(row[k]) + math.log(math.exp(float(row[k])) / total), abs=1e-5
            )
    torch.testing.assert_close(alignment.compete(maps, both, 0.0), maps)


def test_a_single_object_has_no_competition() -> None:
    maps = torch.randn(2, 5, 3, 2)
    alone = torch.tensor([[True, False]] * 3)
    torch.testing.assert_close(alignment.compete(maps, alone, 1.0)[..., 0], maps[..., 0])


@pytest.mark.parametrize("kind", ["soft", "top", "whole"])
def test_regions_sum_to_one_and_leave_padding_out(kind: str) -> None:
    maps, mask = torch.randn(N, P, T, K), random_mask(N, P)
    regions = {
        "soft": lambda: alignment.soft_regions(maps, mask),
        "top": lambda: alignment.top_regions(maps, mask, 0.3),
        "whole": lambda: alignment.whole_image(maps, mask),
    }[kind]()
    torch.testing.assert_close(regions.sum(dim=1), torch.ones(N, T, K))
    assert regions.permute(0, 2, 3, 1)[(~mask)[:, None, None, :].expand(N, T, K, P)].abs().sum() == 0


def test_soft_regions_are_a_softmax_over_real_patches() -> None:
    maps, mask = torch.randn(N, P, T, K), random_mask(N, P)
    regions = alignment.soft_regions(maps, mask)
    for n in range(N):
        real = [p for p in range(P) if mask[n, p]]
        total = sum(math.exp(float(maps[n, p, 0, 0])) for p in real)
        for p in real:
            assert regions[n, p, 0, 0] == pytest.approx(math.exp(float(maps[n, p, 0, 0])) / total, rel=1e-4)


def test_top_regions_hold_the_best_patches_and_break_ties_by_place() -> None:
    maps = torch.tensor([0.1, 0.5, 0.5, 0.9, 0.5]).reshape(1, 5, 1, 1)
    real = torch.ones(1, 5, dtype=torch.bool)
    assert alignment.top_regions(maps, real, 0.4)[0, :, 0, 0].tolist() == [0, 0.5, 0, 0.5, 0]
    real[0, 3] = False
    assert alignment.top_regions(maps, real, 0.01)[0, :, 0, 0].tolist() == [0, 1, 0, 0, 0]


def test_evidence_is_the_mean_cosine_over_the_pairs_own_region(patches: Tensor) -> None:
    regions = torch.rand(N, P, T, K)
    regions = regions / regions.sum(dim=1, keepdim=True)
    owners = torch.randint(0, K, (T, J), generator=torch.Generator().manual_seed(3))
    phrases = unit(T, J, C, D, seed=4)
    evidence = alignment.pair_evidence(alignment.read_regions(patches, regions), owners, phrases)
    for n in range(N):
        for t in range(T):
            for j in range(J):
                for c in range(C):
                    k = int(owners[t, j])
                    expected = sum(
                        float(regions[n, p, t, k]) * float(patches[n, p] @ phrases[t, j, c]) for p in range(P)
                    )
                    assert evidence[n, t, j, c] == pytest.approx(expected, abs=1e-5)


def test_margins_ignore_padded_candidates_even_when_all_cosines_are_negative() -> None:
    evidence = -torch.rand(N, T, J, C) - 0.1
    evidence[..., 2] = 0.0  # what a masked competitor would bring by multiplication
    mask = torch.tensor([True, True, False]).expand(T, J, C)
    margin, strongest = alignment.pair_margins(evidence, mask)
    torch.testing.assert_close(margin, evidence[..., 0] - evidence[..., 1])
    assert (strongest == 1).all()


def test_a_swap_of_two_objects_changes_the_sign_of_the_difference(patches: Tensor) -> None:
    """Same regions, one attribute each, two values: the prompt with the values swapped has minus the difference."""
    regions = torch.rand(N, P, 1, 2)
    vectors = alignment.read_regions(patches, regions / regions.sum(dim=1, keepdim=True))
    phrases = unit(1, 2, 2, D, seed=5)
    owners, real = torch.tensor([[0, 1]]), torch.ones(1, 2, 2, dtype=torch.bool)
    right, _ = alignment.pair_margins(alignment.pair_evidence(vectors, owners, phrases), real)
    swapped, _ = alignment.pair_margins(alignment.pair_evidence(vectors, owners, phrases.flip(2)), real)
    torch.testing.assert_close(right, -swapped)


def test_masked_mean_of_nothing_is_nan() -> None:
    values = torch.tensor([[1.0, 3.0], [5.0, 7.0]])
    mean = alignment.masked_mean(values, torch.tensor([[True, True], [False, False]]))
    assert mean[0] == 2
    assert torch.isnan(mean[1])


def test_subtracting_competitors_matches_loops_and_keeps_length_one() -> None:
    phrases, mask = unit(T, J, C, D, seed=6), random_mask(T, J, C)
    refined = alignment.subtract_competitors(phrases, mask, 0.4)
    for t in range(T):
        for j in range(J):
            for c in range(C):
                z = phrases[t, j, c].clone()
                for e in range(C):
                    if e != c and mask[t, j, e]:
                        z -= 0.4 * float(phrases[t, j, c] @ phrases[t, j, e]) * phrases[t, j, e]
                torch.testing.assert_close(refined[t, j, c], z / z.norm(), atol=1e-5, rtol=0)
    assert alignment.subtract_competitors(phrases, mask, 0.0) is phrases


def test_own_and_lead_compare_with_the_other_objects_only() -> None:
    vectors, nouns = unit(N, T, K, D, seed=7), unit(T, K, D, seed=8)
    rivals = random_mask(T, K, K, seed=12) & ~torch.eye(K, dtype=torch.bool)
    rivals[1, 0] = False
    own, lead = alignment.own_and_lead(vectors, nouns, rivals)
    for n in range(N):
        for t in range(T):
            for k in range(K):
                mine = float(vectors[n, t, k] @ nouns[t, k])
                rest = [float(vectors[n, t, k] @ nouns[t, m]) for m in range(K) if rivals[t, k, m]]
                assert own[n, t, k] == pytest.approx(mine, abs=1e-5)
                assert (
                    (lead[n, t, k] > 1000) if not rest else lead[n, t, k] == pytest.approx(mine - max(rest), abs=1e-4)
                )


def test_filip_means_are_loops_over_real_tokens_and_patches(patches: Tensor) -> None:
    tokens, token_mask, patch_mask = unit(T, 5, D, seed=9), random_mask(T, 5), random_mask(N, P, seed=10)
    scores = alignment.best_patch_means(patches, patch_mask, tokens, token_mask)
    for n in range(N):
        for t in range(T):
            best = [
                max(float(patches[n, p] @ tokens[t, w]) for p in range(P) if patch_mask[n, p])
                for w in range(5)
                if token_mask[t, w]
            ]
            assert scores[n, t] == pytest.approx(sum(best) / len(best), abs=1e-5)


def test_neighbour_means_against_a_loop() -> None:
    """Two grids in one batch, the second padded; the window is cut at the border and padding stays as it is."""
    grids = ((4, 6), (5, 4))
    maps = torch.randn(2, 24, 2, 3, generator=torch.Generator().manual_seed(5))
    got = alignment.neighbour_means(maps, grids, share=0.75)
    for n, (rows, columns) in enumerate(grids):
        for row in range(rows):
            for column in range(columns):
                window = [
                    maps[n, r * columns + c]
                    for r in range(max(0, row - 1), min(rows, row + 2))
                    for c in range(max(0, column - 1), min(columns, column + 2))
                ]
                wanted = torch.stack(window).mean(dim=0)
                torch.testing.assert_close(got[n, row * columns + column], wanted)
    assert torch.equal(got[1, 20:], maps[1, 20:])


@pytest.mark.parametrize(("side", "window"), [(4, 1), (7, 1), (12, 3), (16, 3), (24, 5)])
def test_the_window_of_neighbours_is_a_share_of_the_grid(side: int, window: int) -> None:
    maps = torch.zeros(1, side * side, 1, 1)
    middle = (side // 2) * side + side // 2
    maps[0, middle] = 1
    touched = alignment.neighbour_means(maps, [(side, side)], share=0.1875).count_nonzero()
    assert touched == window**2
