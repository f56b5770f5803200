"""The speed benchmark: what it compares is the same computation, and its numbers follow from the clock it is given."""

from __future__ import annotations

import itertools

import pytest
import torch
from tiny_models import images, save_tiny

from abe_rerank.backbones import load_backbone
from abe_rerank.benchmarks.speed import MAIN, Rate, as_text, compare, measure
from abe_rerank.benchmarks.speed_rivals import METRIC, rivals
from abe_rerank.drawing.pipelines import load_pipeline
from abe_rerank.scoring.registry import make_scorer, names

PROMPTS = ["a red cube", "a blue star", "a small green sphere"]


def scorers_on(backbone):
    return {name: make_scorer(name, backbone) for name in names()}


@pytest.mark.parametrize("family", ["CLIPModel", "SiglipModel"])
def test_all_ways_to_score_give_the_cosines_of_one_model(family, tmp_path):
    backbone = load_backbone(save_tiny(family, tmp_path), "cpu")
    ways, left_out = rivals(scorers_on(backbone), images(3))
    assert next(iter(ways)) == "abe"
    cosines = torch.tensor(ways["clip"](PROMPTS[0]))
    logits = torch.tensor(ways["plain forward of the model"](PROMPTS[0]))
    bias = getattr(backbone.model, "logit_bias", torch.zeros(1)).item()
    torch.testing.assert_close((logits - bias) / backbone.model.logit_scale.exp().item(), cosines, atol=1e-5, rtol=0)
    if METRIC in ways:
        assert left_out == ()
        assert ways[METRIC](PROMPTS[0]) == pytest.approx(max(0.0, 100 * cosines.mean().item()), abs=1e-3)
    else:
        assert "torchmetrics is not installed" in left_out[0]


def test_ways_take_turns_and_ratios_are_medians_of_rounds():
    now, order = [0.0], []
    takes = {"abe": iter([9, 1, 2, 4]), "other": iter([9, 3, 2, 12])}

    def way(name):
        def run(prompt):
            order.append((prompt, name))
            now[0] += next(takes[name])

        return run

    found = compare({name: way(name) for name in takes}, ["p", "q", "r", "s"], 8, lambda: now[0])
    assert found == (Rate("abe", 8 / 2, 1.0), Rate("other", 8 / 3, 3.0))
    assert [name for _, name in order] == ["abe", "other", "other", "abe"] * 2


def test_encoding_once_saves_what_the_text_encoder_takes(pipeline_folder, backbone_folder):
    """The clock counts work: a unit each time that the denoiser or the text encoder goes over its input."""
    pipeline = load_pipeline(pipeline_folder, device="cpu")
    work = itertools.count()
    embedding = next(m for m in pipeline.text_encoder.modules() if isinstance(m, torch.nn.Embedding))
    done, ticks = [0], itertools.count(1)
    for part in (pipeline.unet, embedding):
        part.register_forward_hook(lambda *_: done.__setitem__(0, next(work) + 1))
    scorers = scorers_on(load_backbone(backbone_folder, "cpu"))
    found = measure(pipeline, scorers, PROMPTS, lambda: done[0] + 1e-6 * next(ticks))
    seconds = {part.name: part.seconds for part in found.parts}
    steps = 50  # the default, in one batch of eight
    assert seconds["drawing"] == pytest.approx(steps + seconds["of that, encoding the prompt"], abs=1e-3)
    assert max(seconds[name] for name in MAIN if name != "drawing") < 1e-3
    assert found.encoding_once == pytest.approx((8 * 4 + 4) / (8 * 4 + 8 * 4), abs=1e-3)
    assert found.encoding_once <= 0.6


def test_it_is_said_in_tables(pipeline_folder, backbone_folder):
    ticks = itertools.count()
    pipeline = load_pipeline(pipeline_folder, device="cpu")
    pipeline.set_progress_bar_config(disable=True)
    found = measure(
        pipeline, scorers_on(load_backbone(backbone_folder, "cpu")), PROMPTS[:2], lambda: float(next(ticks))
    )
    text = as_text(found)
    assert found.share == pytest.approx(1 / (1 + 3 + 1 + 1))  # drawing holds the two ticks of encoding
    assert "scoring is 16.7% of the time" in text
    assert "scoring 32 images at once" in text
