"""The community pipeline, loaded by path as its users load it, around pipelines of several classes."""

from __future__ import annotations

import json

import numpy as np
import pytest
from conftest import word_tokenizer
from tiny_pipelines import save_tiny_pipeline

from abe_rerank import UsageError
from abe_rerank.drawing.pipelines import load_pipeline
from abe_rerank.files import data_folder
from abe_rerank.integrations.diffusers_pipeline import AbeBestOfNPipeline

PROMPT = "a yellow cylinder and a red cube"
FILE = str(data_folder("pipelines") / "abe_best_of_n.py")


@pytest.fixture(scope="module", autouse=True)
def module_cache(tmp_path_factory):
    """The cache into which diffusers copies the file, in a folder of the tests."""
    from diffusers.utils import dynamic_modules_utils

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dynamic_modules_utils, "HF_MODULES_CACHE", str(tmp_path_factory.mktemp("modules")))
        yield


def from_file(folder, **given):
    from diffusers import DiffusionPipeline

    return DiffusionPipeline.from_pretrained(folder, custom_pipeline=FILE, trust_remote_code=True, **given)


@pytest.fixture(scope="module")
def best_of_n(pipeline_folder, backbone_folder, module_cache):
    return from_file(pipeline_folder, backbone=str(backbone_folder))


def test_it_returns_the_best_first_with_seeds_and_reasons(best_of_n, pipeline, reranker):
    output = best_of_n(PROMPT, num_candidates=4, seed=3, return_all=True, num_inference_steps=2)
    expected = reranker.generate(pipeline, PROMPT, n=4, seed=3, num_inference_steps=2)
    assert output.seeds == [c.seed for c in expected.candidates]
    assert output.scores == sorted(output.scores, reverse=True)
    for image, candidate in zip(output.images, expected.candidates, strict=True):
        assert np.array_equal(image, candidate.image)
    assert [(p.attribute.text, p.object.text) for p in output.ranking.best.score.pairs] == [
        ("yellow", "cylinder"),
        ("red", "cube"),
    ]


def test_it_returns_the_best_alone_and_reports_all_as_json(best_of_n):
    output = best_of_n(
        PROMPT, num_candidates=5, seed=0, batch_size=2, scorer="clip", num_inference_steps=1, guidance_scale=1.0
    )
    assert len(output.images) == len(output.seeds) == len(output.scores) == 1
    assert len(output.ranking.candidates) == 5
    report = json.loads(json.dumps(output.report))
    assert [c["seed"] for c in report["candidates"]] == [c.seed for c in output.ranking.candidates]
    assert report["candidates"][0]["score"]["value"] == output.scores[0]
    assert report["parse"]["pairs"] == [["yellow", "cylinder"], ["red", "cube"]]
    assert report["settings"]["num_inference_steps"] == 1
    assert " clip " in report["settings"]["scorer"]


@pytest.mark.parametrize("kind", ["StableDiffusionXL", "StableDiffusion3", "Flux", "LatentConsistency"])
def test_it_draws_with_pipelines_of_any_class(kind, tmp_path, backbone_folder, reranker):
    save_tiny_pipeline(kind, word_tokenizer(tmp_path / "tokenizer"), tmp_path / "model")
    loaded = from_file(tmp_path / "model", backbone=str(backbone_folder))
    call = {"num_inference_steps": 2, "height": 16, "width": 16}
    expected = reranker.generate(load_pipeline(tmp_path / "model", device="cpu"), PROMPT, n=3, seed=1, **call)
    made = AbeBestOfNPipeline.from_pipe(load_pipeline(tmp_path / "model", device="cpu"), str(backbone_folder))
    for pipeline in (loaded, made):
        output = pipeline(PROMPT, num_candidates=3, seed=1, return_all=True, **call)
        assert output.seeds == [c.seed for c in expected.candidates]
        assert np.array_equal(output.images[0], expected.best.image)


def test_a_strategy_is_given_and_reported(best_of_n):
    output = best_of_n(PROMPT, num_candidates=3, strategy="search", num_inference_steps=1, return_all=True)
    assert len(output.images) == 3
    assert json.loads(json.dumps(output.report))["settings"]["strategy"]["name"] == "search"


def test_what_a_pipeline_has_is_that_of_the_one_within(best_of_n):
    import torch
    from diffusers import DDIMScheduler, EulerDiscreteScheduler, StableDiffusionPipeline

    pipeline = AbeBestOfNPipeline.from_pipe(StableDiffusionPipeline(**best_of_n.components))
    assert pipeline.components.keys() == best_of_n.components.keys()
    pipeline.scheduler = EulerDiscreteScheduler.from_config(pipeline.scheduler.config)
    assert isinstance(pipeline.components["scheduler"], EulerDiscreteScheduler)
    assert isinstance(best_of_n.scheduler, DDIMScheduler)
    assert pipeline.to(torch.float64) is pipeline
    assert pipeline.dtype == pipeline.unet.dtype == torch.float64
    pipeline.to(torch.float32)
    with pytest.raises(AttributeError):
        _ = pipeline.no_such_thing


def test_parts_and_number_types_are_given_as_to_any_pipeline(pipeline_folder, best_of_n):
    import torch

    half = from_file(pipeline_folder, torch_dtype=torch.float16, vae=best_of_n.vae)
    assert half.unet.dtype == torch.float16
    assert half.vae is best_of_n.vae


def test_it_is_saved_and_loaded_with_its_scorer(best_of_n, tmp_path, backbone_folder, caplog):
    best_of_n.save_pretrained(tmp_path)
    again = from_file(tmp_path)
    assert again.config.backbone == str(backbone_folder)
    assert type(load_pipeline(tmp_path, device="cpu")).__name__ == "StableDiffusionPipeline"


def test_bad_calls_are_refused(best_of_n, pipeline_folder):
    from diffusers import DiffusionPipeline, StableDiffusionImg2ImgPipeline

    with pytest.raises(UsageError, match="prompt is empty"):
        best_of_n("", num_candidates=1)
    with pytest.raises(UsageError, match="n must be at least 1"):
        best_of_n(PROMPT, num_candidates=0)
    with pytest.raises(UsageError, match="unknown scorer"):
        best_of_n(PROMPT, scorer="no-such-scorer")
    with pytest.raises(UsageError, match="is not a text-to-image pipeline"):
        AbeBestOfNPipeline.from_pipe(StableDiffusionImg2ImgPipeline(**best_of_n.components))
    with pytest.raises(UsageError, match=r"from_pipe\(pipeline\)"):
        DiffusionPipeline.from_pipe(
            load_pipeline(pipeline_folder, device="cpu"), custom_pipeline=FILE, trust_remote_code=True
        )
