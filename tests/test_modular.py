"""The reranking block inside modular pipelines of diffusers, on tiny random components."""

from __future__ import annotations

import numpy as np
import pytest
from conftest import word_tokenizer
from tiny_pipelines import save_tiny_pipeline

from abe_rerank import UsageError

diffusers = pytest.importorskip("diffusers")
if not hasattr(diffusers, "ModularPipelineBlocks") or not hasattr(diffusers, "StableDiffusion3AutoBlocks"):
    pytest.skip("this diffusers has no modular pipelines of Stable Diffusion 3", allow_module_level=True)

PROMPTS = ["a yellow cylinder and a red cube", "a blue star"]
CALL = {"num_inference_steps": 2, "height": 16, "width": 16}


def modular(blocks, folder):
    """The pipeline of some blocks with the components of a folder; those that are null there are left out."""
    pipeline = blocks.init_pipeline(str(folder))
    pipeline.load_components([name for name in pipeline.component_names if (folder / name).is_dir()])
    return pipeline


@pytest.fixture(scope="module", params=["StableDiffusionXL", "StableDiffusion3"])
def pipelines(request, tmp_path_factory, backbone_folder):
    """A modular pipeline as it is, and with the block at its end."""
    from abe_rerank.integrations.diffusers_block import AbeRerankStep, BindingReranker

    folder = tmp_path_factory.mktemp(request.param)
    save_tiny_pipeline(request.param, word_tokenizer(folder / "raw"), folder)
    kind = getattr(diffusers, f"{request.param}AutoBlocks")
    blocks = kind()
    blocks.sub_blocks.insert("rerank", AbeRerankStep(), len(blocks.sub_blocks))
    ranked = modular(blocks, folder)
    ranked.update_components(reranker=BindingReranker(str(backbone_folder)))
    return modular(kind(), folder), ranked


def generators(seeds):
    import torch

    return [torch.Generator().manual_seed(seed) for seed in seeds]


def test_the_block_orders_the_images_of_each_prompt(pipelines, reranker):
    plain, ranked = pipelines
    seeds = range(10, 16)
    drawn = plain(prompt=PROMPTS, num_images_per_prompt=3, generator=generators(seeds), output="images", **CALL)
    wanted = ["images", "scores", "seeds", "rankings"]
    found = ranked(prompt=PROMPTS, num_images_per_prompt=3, generator=generators(seeds), output=wanted, **CALL)
    for number, prompt in enumerate(PROMPTS):
        own = slice(3 * number, 3 * number + 3)
        values = [reranker.explain(image, prompt).value for image in drawn[own]]
        order = np.argsort(-np.array(values), kind="stable")
        assert found["seeds"][own] == [10 + 3 * number + int(k) for k in order]
        assert found["scores"][own] == pytest.approx([values[k] for k in order], abs=1e-5)
        for image, k in zip(found["images"][own], order, strict=True):
            assert np.array_equal(image, drawn[own][k])
        assert [c.seed for c in found["rankings"][number].candidates] == found["seeds"][own]
    assert found["rankings"][0].best.score.pairs


def test_images_that_cannot_be_shared_out_are_refused(reranker, backbone_folder):
    from diffusers.modular_pipelines import SequentialPipelineBlocks

    from abe_rerank.integrations.diffusers_block import AbeRerankStep, BindingReranker

    pipeline = SequentialPipelineBlocks.from_blocks_dict({"rerank": AbeRerankStep()}).init_pipeline()
    pipeline.update_components(reranker=BindingReranker(str(backbone_folder)))
    images = [np.zeros((16, 16, 3), dtype=np.uint8)] * 3
    with pytest.raises(UsageError, match="3 images of 2 prompts"):
        pipeline(images=images, prompt=PROMPTS)
    found = pipeline(images=images, prompt=PROMPTS[0], output="seeds")
    assert found == [None] * 3
