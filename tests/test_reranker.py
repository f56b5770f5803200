"""The public verbs, on a tiny random backbone and a tiny random pipeline."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from abe_rerank import AbeRerankError, Reranker, UsageError, parse
from abe_rerank.images import to_pil, to_pil_list
from abe_rerank.scoring.stream import ranking_of
from abe_rerank.types import Candidate, Score, Settings, Spec

PROMPT = "a yellow cylinder and a red cube"


def pictures(count, size=16, seed=0):
    rng = np.random.default_rng(seed)
    return [Image.fromarray(rng.integers(0, 256, (size, size, 3), dtype=np.uint8)) for _ in range(count)]


def score_of(value):
    return Score(value, "scored" if value is not None else "unscored", "test")


def test_score_is_a_matrix_of_images_by_prompts_that_agrees_with_explain(reranker):
    images, prompts = pictures(3), [PROMPT, "a red cube", "a small blue star"]
    matrix = reranker.score(images, prompts)
    assert matrix.shape == (3, 3)
    assert matrix.dtype == np.float64
    one_by_one = [[reranker.explain(image, prompt).value for prompt in prompts] for image in images]
    np.testing.assert_allclose(matrix, one_by_one, atol=1e-5)


def test_a_score_depends_on_no_other_image_and_on_no_chunk(reranker):
    images = pictures(35)
    together = reranker.score(images, PROMPT)[:, 0]
    assert together.shape == (35,)
    alone = [reranker.score(image, PROMPT)[0, 0] for image in images]
    np.testing.assert_allclose(together, alone, atol=1e-5)


def test_rank_sorts_by_score_and_keeps_files_as_sources(reranker, tmp_path):
    paths = []
    for k, image in enumerate(pictures(5)):
        paths.append(tmp_path / f"{k}.png")
        image.save(paths[-1])
    ranking = reranker.rank(PROMPT, paths)
    values = reranker.score(paths, PROMPT)[:, 0]
    order = np.argsort(-values, kind="stable")
    assert [c.source for c in ranking.candidates] == [str(paths[k]) for k in order]
    assert ranking.best.source == str(paths[order[0]])
    assert ranking.best.score.value == pytest.approx(values.max(), abs=1e-5)
    assert len(ranking.top_k(2)) == 2


def test_unscored_candidates_come_last_and_ties_keep_their_order():
    values = [0.1, None, 0.3, -2.0, 0.3, None]
    candidates = [
        Candidate(image, score_of(v), seed=k) for k, (image, v) in enumerate(zip(pictures(6), values, strict=True))
    ]
    ranking = ranking_of(Spec("x"), candidates, Settings("test"))
    assert [c.seed for c in ranking.candidates] == [2, 4, 0, 3, 1, 5]


def test_generate_ranks_what_the_pipeline_draws_and_names_seeds(reranker, pipeline):
    ranking = reranker.generate(pipeline, PROMPT, n=4, seed=7, num_inference_steps=2)
    assert sorted(c.seed for c in ranking.candidates) == [7, 8, 9, 10]
    values = [c.score.value for c in ranking.candidates]
    assert values == sorted(values, reverse=True)
    again = reranker.explain(ranking.best.image, PROMPT)
    assert again.value == pytest.approx(ranking.best.score.value, abs=1e-5)
    assert [(p.attribute.text, p.object.text) for p in again.pairs] == list(parse(PROMPT).pairs)
    assert ranking.settings["num_inference_steps"] == 2
    assert ranking.settings["guidance_scale"] == 7.5
    assert ranking.settings["scorer"] == reranker.scorer.stamp


def test_candidates_are_given_as_they_are_scored_and_can_end_the_drawing(reranker, pipeline):
    given = []
    settings = {"n": 5, "seed": 7, "batch_size": 2, "num_inference_steps": 1}
    ranking = reranker.generate(pipeline, PROMPT, on_candidate=given.append, **settings)
    assert [candidate.seed for candidate in given] == [7, 8, 9, 10, 11]
    assert sorted(map(id, given)) == sorted(map(id, ranking.candidates))

    ended = reranker.generate(pipeline, PROMPT, on_candidate=lambda c: c.seed < 9, **settings)
    assert sorted(c.seed for c in ended.candidates) == [7, 8, 9, 10]  # the batch of 9 is drawn already
    assert ended.settings["n"] == 4
    by_seed = {c.seed: c for c in ranking.candidates}
    for candidate in ended.candidates:
        assert candidate.score.value == by_seed[candidate.seed].score.value
        assert candidate.image.tobytes() == by_seed[candidate.seed].image.tobytes()


def test_an_error_of_the_callback_ends_the_drawing_and_leaves_the_pipeline_as_it_was(reranker, pipeline):
    def refuse(candidate):
        raise KeyError(candidate.seed)

    with pytest.raises(KeyError, match="3"):
        reranker.generate(pipeline, PROMPT, n=4, seed=3, num_inference_steps=1, on_candidate=refuse)
    assert "encode_prompt" not in vars(pipeline)


def test_generate_warns_about_words_without_a_token(reranker, pipeline):
    with pytest.warns(UserWarning, match="model and the backbone have no token for wooden, chair"):
        reranker.generate(pipeline, "a red wooden chair", n=1, num_inference_steps=1)


def test_the_global_scorer_is_the_cosine_of_the_model(backbone_folder):
    import torch
    from transformers import AutoModel, AutoTokenizer

    try:
        from transformers import SiglipImageProcessorPil as SiglipImageProcessor
    except ImportError:
        from transformers import SiglipImageProcessor

    images = pictures(2)
    found = Reranker.from_pretrained(backbone_folder, scorer="clip", device="cpu").score(images, [PROMPT])
    model = AutoModel.from_pretrained(backbone_folder).eval()
    tokens = AutoTokenizer.from_pretrained(backbone_folder)([PROMPT], padding="max_length", return_tensors="pt")
    processed = SiglipImageProcessor.from_pretrained(backbone_folder)(images, return_tensors="pt")
    with torch.no_grad():
        out = model(input_ids=tokens["input_ids"], pixel_values=processed["pixel_values"])
    expected = (out.logits_per_image - model.logit_bias) / model.logit_scale.exp()
    np.testing.assert_allclose(found, expected.detach().numpy(), atol=1e-5)


def test_every_form_of_a_picture_is_the_same_picture(tmp_path):
    torch = pytest.importorskip("torch")
    image = pictures(1)[0]
    array = np.asarray(image)
    image.save(tmp_path / "a.png")
    tensor = torch.from_numpy(array.copy()).permute(2, 0, 1)
    forms = [image, tmp_path / "a.png", str(tmp_path / "a.png"), array, array / 255.0, tensor, tensor.float() / 255]
    for form in forms:
        assert np.array_equal(to_pil(form), array)
    assert len(to_pil_list(np.stack([array, array]))) == 2
    assert len(to_pil_list(torch.stack([tensor] * 3))) == 3
    assert len(to_pil_list(array)) == 1


def test_transparency_lies_on_white_and_grey_of_16_bits_becomes_grey_of_8():
    clear = Image.new("RGBA", (2, 2), (255, 0, 0, 0))
    assert np.array_equal(to_pil(clear), np.full((2, 2, 3), 255))
    grey = Image.fromarray(np.array([[0, 257 * 100], [257 * 200, 65535]], dtype=np.uint16))
    assert np.asarray(to_pil(grey))[..., 0].tolist() == [[0, 100], [200, 255]]


@pytest.mark.parametrize(
    ("picture", "words"),
    [
        (np.zeros((4, 4, 5), np.uint8), r"image has shape \(4, 4, 5\)"),
        (np.zeros((0, 4, 3), np.uint8), "shape"),
        (np.full((4, 4, 3), 2.0), "scale them to"),
        (np.full((4, 4, 3), np.nan), "scale them to"),
        (np.zeros((4, 4, 3), np.int64), "int64"),
        (17, "is a int"),
        ("nowhere.png", "no such image file: nowhere.png"),
        (".", "is a folder"),
    ],
)
def test_what_is_no_picture_is_refused_by_name(picture, words):
    with pytest.raises(UsageError, match=words):
        to_pil(picture)


def test_a_broken_file_is_a_failure_that_names_it(tmp_path):
    pictures(1, size=64)[0].save(tmp_path / "cut.png")
    (tmp_path / "cut.png").write_bytes((tmp_path / "cut.png").read_bytes()[:2000])
    (tmp_path / "text.png").write_text("not an image")
    for name in ("cut.png", "text.png"):
        with pytest.raises(AbeRerankError, match=name):
            to_pil(tmp_path / name)


def test_nothing_to_score_is_refused(reranker, pipeline):
    with pytest.raises(UsageError, match="no images"):
        reranker.score([], PROMPT)
    with pytest.raises(UsageError, match="no prompts"):
        reranker.score(pictures(1), [])
    with pytest.raises(UsageError, match="prompt is empty"):
        reranker.rank("  ", pictures(1))
    with pytest.raises(UsageError, match="n must be"):
        reranker.generate(pipeline, PROMPT, n=0)


def test_a_prompt_without_pairs_is_ranked_by_the_global_score_and_says_so(reranker):
    score = reranker.explain(pictures(1)[0], "cubes")
    assert score.status == "nothing to bind"
    assert score.value == score.global_score
