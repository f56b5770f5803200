"""What is kept of texts: the right thing, read once while there is room, in so many bytes and no more."""

from __future__ import annotations

import random
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tiny_models import save_tiny

from abe_rerank import Reranker
from abe_rerank.backbones import load_backbone
from abe_rerank.backbones.kept import Kept
from abe_rerank.scoring.abe import AbeScorer
from abe_rerank.scoring.terms import AbeSettings
from abe_rerank.shapes.world import COLOURS, SHAPES


def test_what_is_given_is_what_is_read_and_no_more_is_kept_than_there_is_room_for():
    one = 8 + sys.getsizeof("10") + 700
    kept: Kept[float] = Kept(lambda value: 8, most=10 * one)
    lot, used = random.Random(0), []
    for _ in range(300):
        texts = [str(lot.randrange(10, 40)) for _ in range(lot.choice([0, 1, 2, 5, 20]))]
        there = list(dict.fromkeys(reversed(used)))[:10]  # those used last
        asked: list[str] = []

        def read(missing: Sequence[str], asked: list[str] = asked) -> list[float]:
            asked.extend(missing)
            return [float(text) for text in missing]

        found = kept.of(texts, read)
        assert list(found) == list(dict.fromkeys(texts))
        assert all(found[text] == float(text) for text in texts)
        assert asked == [text for text in found if text not in there]
        assert kept.size <= 10 * one
        used += found
    kept.forget()
    assert kept.size == 0


def test_more_than_there_is_room_for_is_given_and_not_kept():
    kept: Kept[float] = Kept(lambda value: 8, most=100)
    assert kept.of(["1", "2"], lambda missing: map(float, missing)) == {"1": 1.0, "2": 2.0}
    assert kept.size == 0


def test_what_is_kept_of_a_text_holds_nothing_of_those_read_beside_it(tmp_path: Path):
    backbone = load_backbone(save_tiny("CLIPModel", tmp_path), device="cpu")
    backbone.encode_texts(["a red cube", "ring"])
    vector = backbone._texts.of(["ring"], lambda missing: [])["ring"]
    backbone.encode_tokens(["a red cube", "ring"])
    states = backbone._tokens.of(["ring"], lambda missing: [])["ring"].states
    assert [one.untyped_storage().nbytes() for one in (vector, states)] == [vector.nbytes, states.nbytes]


@pytest.mark.parametrize("name", ["abe", "clip", "filip", "tokens"])
def test_a_small_store_changes_no_score_and_holds_no_more_than_it_may(name: str):
    reranker = Reranker.from_pretrained(scorer="abe" if name == "tokens" else name)
    backbone, picture = reranker.scorer.backbone, Image.new("RGB", (32, 32), "red")
    if name == "tokens":
        reranker = Reranker(AbeScorer(backbone, AbeSettings(text_readout="token")))
    prompts = [f"a {colour} {shape} and a dog" for colour in COLOURS for shape in SHAPES[:3]]
    values = reranker.score([picture], prompts)
    stores = (backbone._texts, backbone._tokens)
    reranker.scorer.forget()
    assert [store.size for store in stores] == [0, 0]
    for store in stores:
        store.most = 50_000
    few = [reranker.score([picture], [prompt])[0, 0] for prompt in prompts]
    np.testing.assert_allclose(values, [few], atol=1e-5)
    assert 0 < max(store.size for store in stores) <= 50_000
