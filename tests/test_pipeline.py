"""The community pipeline, loaded by path as its users load it."""

from __future__ import annotations

import numpy as np
import pytest

from abe_rerank import UsageError
from abe_rerank.files import data_folder

PROMPT = "a yellow cylinder and a red cube"


@pytest.fixture(scope="module")
def best_of_n(pipeline_folder, backbone_folder, tmp_path_factory):
    """The pipeline from its file, with its module cache in a folder of the test."""
    from diffusers import DiffusionPipeline
    from diffusers.utils import dynamic_modules_utils

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dynamic_modules_utils, "HF_MODULES_CACHE", str(tmp_path_factory.mktemp("modules")))
        return DiffusionPipeline.from_pretrained(
            pipeline_folder,
            custom_pipeline=str(data_folder("pipelines") / "abe_best_of_n.py"),
            trust_remote_code=True,
            backbone=str(backbone_folder),
        )


def test_it_returns_the_best_first_with_seeds_and_reasons(best_of_n, pipeline, reranker):
    output = best_of_n(PROMPT, n=4, seed=3, num_inference_steps=2)
    expected = reranker.generate(pipeline, PROMPT, n=4, seed=3, num_inference_steps=2)
    assert output.seeds == [c.seed for c in expected.candidates]
    assert output.scores == sorted(output.scores, reverse=True)
    for image, candidate in zip(output.images, expected.candidates, strict=True):
        assert np.array_equal(image, candidate.image)
    assert [(p.attribute.text, p.object.text) for p in output.ranking.best.score.pairs] == [
        ("yellow", "cylinder"),
        ("red", "cube"),
    ]


def test_it_keeps_the_top_k_of_any_batch_size(best_of_n):
    output = best_of_n(PROMPT, n=5, seed=0, top_k=2, batch_size=2, num_inference_steps=1, guidance_scale=1.0)
    assert len(output.images) == len(output.seeds) == 2
    assert len(output.ranking.candidates) == 5


def test_it_is_saved_and_loaded_with_its_scorer(best_of_n, tmp_path, backbone_folder):
    best_of_n.save_pretrained(tmp_path)
    from diffusers import DiffusionPipeline

    again = DiffusionPipeline.from_pretrained(
        tmp_path, custom_pipeline=str(data_folder("pipelines") / "abe_best_of_n.py"), trust_remote_code=True
    )
    assert again.config.backbone == str(backbone_folder)


def test_bad_calls_are_refused(best_of_n):
    with pytest.raises(UsageError, match="prompt is empty"):
        best_of_n("", n=1)
    with pytest.raises(UsageError, match="n must be at least 1"):
        best_of_n(PROMPT, n=0)
