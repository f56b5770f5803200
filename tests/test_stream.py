"""The stream that scores everything, on a backbone written by hand: no transformers, no folder, no tokenizer."""

from __future__ import annotations

import hashlib
import re

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn import functional as F

from abe_rerank import AbeRerankError, Reranker, UsageError, parse, scoring
from abe_rerank.backbones import ImageFeatures, TokenStates
from abe_rerank.drawing.prompt_fit import prompt_warnings
from abe_rerank.scoring import make_scorer, stream
from abe_rerank.scoring.stream import rank, score_stream, value_matrix
from abe_rerank.types import PAINTED_OVER, Drawing, NoPicture, Sample, Samples

SIDE, WIDTH = 4, 16
PROMPTS = ("a yellow cylinder and a red cube", "a blue star", "cubes")


class Colours:
    """Patches are their mean colours, words are colours drawn from their names; it counts the pictures it encodes."""

    name, kind, weights_hash, folder, image_size, tokenizer = "colours", "Colours", "0123456789ab", None, None, None
    device, dtype, readouts, logit_scale = torch.device("cpu"), torch.float32, ("mean",), 10.0

    def __init__(self):
        self.encoded = []

    def encode_images(self, images, readout=None):
        self.encoded.append(len(images))
        small = [np.asarray(image.resize((SIDE, SIDE), Image.Resampling.BOX), dtype=np.float32) for image in images]
        pixels = torch.from_numpy(np.stack(small)).flatten(1, 2) / 255
        patches = F.normalize(pixels @ _vectors(["r", "g", "b"]), dim=-1)
        n = len(images)
        return ImageFeatures(
            global_=F.normalize(patches.mean(dim=1), dim=-1),
            patches=patches,
            mask=torch.ones(n, SIDE * SIDE, dtype=torch.bool),
            grids=((SIDE, SIDE),) * n,
            windows=((0.0, 0.0, 1.0, 1.0),) * n,
        )

    def encode_global(self, images):
        return self.encode_images(images).global_

    def encode_texts(self, texts):
        return torch.stack([F.normalize(_vectors(text.split()).sum(dim=0), dim=-1) for text in texts])

    def forget_texts(self):
        """Nothing is kept."""

    def encode_tokens(self, texts):
        spans = [tuple(match.span() for match in re.finditer(r"\w+", text)) for text in texts]
        return [
            TokenStates(_vectors([text[a:b] for a, b in found]), found)
            for text, found in zip(texts, spans, strict=True)
        ]

    def text_windows(self, text):
        return [(0, len(text))]


def _vectors(words):
    seeds = [int.from_bytes(hashlib.sha256(word.encode()).digest()[:4], "big") for word in words]
    return F.normalize(torch.stack([torch.randn(WIDTH, generator=torch.Generator().manual_seed(s)) for s in seeds]))


def pictures(count, seed=0):
    rng = np.random.default_rng(seed)
    return [Image.fromarray(rng.integers(0, 256, (16, 16, 3), dtype=np.uint8)) for _ in range(count)]


@pytest.mark.parametrize("name", scoring.names())
def test_a_backbone_by_hand_is_scored_by_every_scorer(name):
    scorer, images, specs = make_scorer(name, Colours()), pictures(3), [parse(prompt) for prompt in PROMPTS]
    matrix = scorer.score(images, specs)
    assert matrix.shape == (3, 3)
    assert np.isfinite(matrix).all()
    for spec, column in zip(specs, matrix.T, strict=True):
        scores = scorer.explain(images, spec)
        np.testing.assert_allclose([score.value for score in scores], column, atol=1e-6)
        assert {score.status for score in scores} == {"nothing to bind" if spec.nothing_to_bind else "scored"}
    assert "0123456789ab" in scorer.stamp
    assert prompt_warnings(PROMPTS, scorer.backbone) == []


def test_a_backbone_by_hand_ranks_and_its_clip_score_is_the_cosine():
    images, backbone = pictures(5), Colours()
    ranking = Reranker(make_scorer("abe", backbone)).rank(PROMPTS[0], images)
    assert len(ranking.best.score.pairs) == 2
    cosines = backbone.encode_global(images) @ backbone.encode_texts(PROMPTS[:1])[0]
    np.testing.assert_allclose(Reranker(make_scorer("clip", backbone)).score(images, PROMPTS[0])[:, 0], cosines)


def test_items_are_taken_a_chunk_at_a_time_and_come_in_order():
    taken, scorer = [], make_scorer("abe", Colours())

    def items():
        for k, image in enumerate(pictures(10)):
            taken.append(k)
            yield image, parse(PROMPTS[k % 3])

    found = score_stream(scorer, items(), chunk=4)
    first = next(found)
    assert len(taken) == 4
    values = [first.value, *(score.value for score in found)]
    assert scorer.backbone.encoded == [4, 4, 2]
    alone = [scorer.explain([image], parse(PROMPTS[k % 3]))[0].value for k, image in enumerate(pictures(10))]
    assert values == pytest.approx(alone, abs=1e-6)


@pytest.mark.parametrize("chunk", [1, 3, 64])
def test_a_score_depends_on_no_chunk(chunk):
    scorer, images = make_scorer("abe", Colours()), pictures(7)
    items = [(image, parse(prompt)) for image in images for prompt in PROMPTS]
    values = [score.value for score in score_stream(scorer, items, chunk=chunk)]
    expected = [scorer.explain([image], spec)[0].value for image, spec in items]
    assert values == pytest.approx(expected, abs=1e-6)
    specs = [parse(prompt) for prompt in PROMPTS]
    np.testing.assert_allclose(value_matrix(scorer, images, specs, chunk=chunk).ravel(), expected, atol=1e-6)


def test_the_pictures_that_are_held_are_bounded_in_bytes(monkeypatch):
    monkeypatch.setattr(stream, "CHUNK_BYTES", 2 * 4 * 16 * 16)
    scorer = make_scorer("clip", Colours())
    assert len(list(score_stream(scorer, [(image, parse(PROMPTS[1])) for image in pictures(5)]))) == 5
    assert scorer.backbone.encoded == [2, 2, 1]


def test_a_file_that_is_asked_about_often_is_read_and_encoded_once(tmp_path):
    scorer = make_scorer("abe", Colours())
    for k, image in enumerate(pictures(2)):
        image.save(tmp_path / f"{k}.png")
    items = [(tmp_path / f"{k % 2}.png", parse(prompt)) for prompt in PROMPTS for k in range(4)]
    assert len(list(score_stream(scorer, items))) == 12
    assert scorer.backbone.encoded == [2]


def test_what_cannot_be_read_stops_the_stream_unless_it_is_to_be_skipped(tmp_path):
    (tmp_path / "broken.png").write_text("no image")
    good, spec = pictures(1)[0], parse(PROMPTS[0])
    scorer = make_scorer("abe", Colours())
    items = [(good, spec), (tmp_path / "broken.png", spec), (tmp_path / "missing.png", spec), (good, parse(""))]
    with pytest.raises(AbeRerankError, match=r"broken\.png is not an image"):
        list(score_stream(scorer, items))
    with pytest.raises(UsageError, match="no such image file"):
        value_matrix(scorer, [tmp_path / "missing.png"], [spec])
    with pytest.raises(UsageError, match="image 1 is a int"):
        value_matrix(scorer, [good, 3], [spec])
    scores = list(score_stream(scorer, items, skip_unreadable=True))
    assert [score.status for score in scores] == ["scored", "unscored", "unscored", "unscored"]
    assert "broken.png is not an image" in scores[1].reason
    assert "missing.png" in scores[2].reason
    assert scores[3].reason == "the prompt is empty"
    nothing = list(score_stream(scorer, [(NoPicture("it rained"), spec)]))
    assert [(score.value, score.reason) for score in nothing] == [(None, "it rained")]


def test_a_blanked_sample_is_never_encoded_and_comes_last():
    scorer, images = make_scorer("abe", Colours()), pictures(3)
    samples = tuple(Sample(k, image, failure=PAINTED_OVER if k == 1 else None) for k, image in enumerate(images))
    ranking = rank(scorer, parse(PROMPTS[0]), Samples(samples, Drawing(3, 0, 1, {"steps": 2}, "cpu", "float32")))
    assert scorer.backbone.encoded == [2]
    assert ranking.candidates[-1].seed == 1
    assert "painted over" in ranking.candidates[-1].score.reason
    assert ranking.candidates[-1].image is images[1]
    assert list(ranking.settings) == ["n", "seed", "batch_size", "scorer", "steps", "device", "dtype"]
    assert ranking.settings["steps"] == 2
    assert ranking.settings["scorer"] == scorer.stamp


def test_reprs_are_short():
    image, backbone = pictures(1)[0], Colours()
    pairs = make_scorer("abe", backbone).explain([image], parse(PROMPTS[0]))[0].pairs
    assert len(repr(pairs)) < 400
    assert "yellow cylinder" in repr(pairs[0])
    assert "\n" not in repr(Reranker(make_scorer("abe", backbone)).rank(PROMPTS[0], [image]))
    for shown in (pairs[0].region, backbone.encode_images([image]), backbone.encode_tokens(["a cube"])[0]):
        assert len(repr(shown)) < 200


SCORER = '''
from abe_rerank.scoring.clip import ClipScorer


class LastScorer(ClipScorer):
    """The global score upside down."""

    name = "last"

    def score_features(self, features, prepared):
        return -super().score_features(features, prepared)
'''


def test_a_scorer_is_a_file_and_a_line(tmp_path, monkeypatch):
    (tmp_path / "last_scorer.py").write_text(SCORER)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(scoring.registry, "_ENTRIES", dict(scoring.registry._ENTRIES))
    scoring.register("last", "last_scorer:LastScorer", "worst first", "The last")
    images = pictures(3)
    best, worst = (Reranker(make_scorer(name, Colours())).rank(PROMPTS[0], images) for name in ("clip", "last"))
    assert best.candidates[0].image is worst.candidates[-1].image
    assert "last | 0123456789ab" in str(worst.settings["scorer"])
    assert "random (by lot), last (worst first)" in scoring.choices()
    with pytest.raises(UsageError, match=r"choose from abe, clip, filip, .*random, last"):
        make_scorer("first", Colours())
    with pytest.raises(ValueError, match="there is a scorer 'clip' already"):
        scoring.register("clip", "last_scorer:LastScorer", "worst first", "The last")


@pytest.mark.parametrize("name", ["abe", "clip"])
def test_equal_pictures_have_equal_scores_and_rank_in_their_order(name, tmp_path):
    noise = np.random.default_rng(5).integers(0, 256, (3, 9, 9, 3), dtype=np.uint8)
    files = [tmp_path / f"{k}.png" for k in range(9)]
    for k, file in enumerate(files):
        Image.fromarray(noise[k % 3]).save(file)
    backbone = Colours()
    ranking = Reranker(make_scorer(name, backbone)).rank(PROMPTS[0], files)
    assert sum(backbone.encoded) == 3
    assert len({candidate.score.value for candidate in ranking.candidates}) == 3
    order = [int(candidate.source[-5]) for candidate in ranking.candidates]
    assert [order[k : k + 3] for k in (0, 3, 6)] == [[order[k], order[k] + 3, order[k] + 6] for k in (0, 3, 6)]
