"""Vectors that are kept: the right ones, read once while there is room, in so many bytes and no more."""

from __future__ import annotations

import random
import sys
from collections.abc import Sequence

import numpy as np
import pytest
import torch
from PIL import Image

from abe_rerank import Reranker
from abe_rerank.backbones.kept import Kept
from abe_rerank.shapes.world import COLOURS, SHAPES


def vector(key: str) -> torch.Tensor:
    return torch.full((16,), float(key))


def test_what_is_given_is_what_is_read_and_no_more_is_kept_than_there_is_room_for():
    one = 64 + sys.getsizeof("10") + 700
    kept: Kept[str] = Kept(sys.getsizeof, most=10 * one)
    lot, used = random.Random(0), []
    for _ in range(300):
        keys = [str(lot.randrange(10, 40)) for _ in range(lot.choice([0, 1, 2, 5, 20]))]
        there = list(dict.fromkeys(reversed(used)))[:10]  # those used last
        asked: list[str] = []

        def read(missing: Sequence[str], asked: list[str] = asked) -> torch.Tensor:
            asked.extend(missing)
            return torch.stack([vector(key) for key in missing])

        found = kept.of(keys, read)
        assert list(found) == list(dict.fromkeys(keys))
        assert all(torch.equal(found[key], vector(key)) for key in keys)
        assert asked == [key for key in found if key not in there]
        assert kept.size <= 10 * one
        used += found
    kept.forget()
    assert kept.size == 0


def test_a_vector_that_is_kept_holds_no_other_that_was_read_beside_it():
    kept: Kept[str] = Kept(sys.getsizeof)
    kept.of(["1", "2", "3"], lambda missing: torch.stack([vector(key) for key in missing]))
    again = kept.of(["2"], lambda missing: [])
    assert again["2"].untyped_storage().nbytes() == 64


def test_more_than_there_is_room_for_is_given_and_not_kept():
    kept: Kept[str] = Kept(sys.getsizeof, most=100)
    found = kept.of(["1", "2"], lambda missing: map(vector, missing))
    assert [float(found[key][0]) for key in ("1", "2")] == [1.0, 2.0]
    assert kept.size == 0


@pytest.mark.parametrize("name", ["abe", "clip", "filip"])
def test_no_scorer_keeps_more_of_many_prompts_than_a_store_holds(name: str) -> None:
    reranker = Reranker.from_pretrained(scorer=name)
    holders = [holder for holder in vars(reranker.scorer).values() if hasattr(holder, "__dict__")]
    stores = [one for holder in (reranker.scorer, *holders) for one in vars(holder).values() if isinstance(one, Kept)]
    for store in stores:
        store.most = 50_000
    picture = Image.new("RGB", (32, 32), "red")
    prompts = [f"a {colour} {shape} and a dog" for colour in COLOURS for shape in SHAPES[:3]]
    values = reranker.score([picture], prompts)
    assert 0 < max(store.size for store in stores) <= 50_000
    np.testing.assert_allclose(values, [[reranker.score([picture], [p])[0, 0] for p in prompts]], atol=1e-5)
    reranker.scorer.forget()
    assert [store.size for store in stores] == [0] * len(stores)
