"""Networks that wait on the CPU, and pictures that are taken in parts: the pictures are those of the plain pipeline.

A GPU is not there: offloading by models is tried with the CPU in its place, where it moves nothing but does all the
rest. Offloading layer by layer was not run: accelerate's hooks for it fail with a CPU in the place of a GPU.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from conftest import tiny_pipeline, word_tokenizer
from tiny_pipelines import PIPELINES

from abe_rerank import UsageError
from abe_rerank.drawing.pipelines import load_pipeline, modules
from abe_rerank.drawing.placement import SLICES, check_offload, execution_device, offload, take_in_parts
from abe_rerank.drawing.sampling import Sampling, draw, settle

PROMPT = "a red cube and a blue star"


def pixels(pipeline, **settings):
    drawing = settle(pipeline, Sampling(n=3, steps=2, batch_size=2, **settings))
    return np.stack([np.asarray(sample.image).astype(int) for sample in draw(pipeline, PROMPT, drawing).images])


@pytest.mark.parametrize("how", ["none", "model"])
def test_a_pipeline_whose_networks_wait_draws_the_same(pipeline_folder, how):
    plain, waiting = (load_pipeline(pipeline_folder, device="cpu") for _ in range(2))
    offload(waiting, how, "cpu")
    assert execution_device(waiting).type == "cpu"
    assert np.array_equal(pixels(waiting), pixels(plain))
    assert np.array_equal(pixels(waiting, guidance=3.0), pixels(plain, guidance=3.0))


def test_offloading_needs_a_gpu_and_a_known_way(cli, pipeline_folder, tmp_path):
    for how, said in (("model", "frees the memory of a GPU"), ("some", "choose from none, model, sequential")):
        with pytest.raises(UsageError, match=said):
            check_offload(how, torch.device("cpu"))
        words = ("--device", "cpu", "--model", pipeline_folder, "--offload", how, "--out", tmp_path / "run")
        code, _, err = cli("generate", PROMPT, *words)
        assert (code, said in err) == (2, True)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", SLICES)
def test_what_is_taken_in_parts_is_the_same_but_for_rounding(pipeline_folder, name):
    plain = load_pipeline(pipeline_folder, device="cpu")
    parted = load_pipeline(pipeline_folder, device="cpu", slices=[name])
    assert np.abs(pixels(parted) - pixels(plain)).max() <= (0 if name == "vae" else 1)
    assert getattr(parted.vae, "use_slicing", False) == (name == "vae")
    assert getattr(parted.vae, "use_tiling", False) == (name == "tiles")


def test_a_class_without_it_says_so(tmp_path):
    pipeline = PIPELINES["PixArtSigma"](word_tokenizer(tmp_path))
    with pytest.raises(UsageError, match="PixArtSigmaPipeline has nothing that --slice attention could slice"):
        take_in_parts(pipeline, ["attention"])
    with pytest.raises(UsageError, match="unknown --slice 'all'; choose from vae, tiles, attention"):
        take_in_parts(tiny_pipeline(word_tokenizer(tmp_path)), ["all"])


def test_slices_and_the_scorers_device_are_in_the_run(cli, pipeline_folder, backbone_folder, tmp_path):
    from abe_rerank.runs.generated import read_report

    models = ("--model", pipeline_folder, "--backbone", backbone_folder, "--device", "cpu", "--score-on", "cpu")
    code, _, err = cli("generate", PROMPT, "-n", 1, "--steps", 1, *models, "--slice", "vae", "--out", tmp_path / "run")
    assert code == 0, err
    report = read_report(tmp_path / "run")
    assert report.settings["slices"] == ["vae"]
    assert "--slice vae" in report.commands.redraw
    assert "--score-on cpu" in report.commands.redraw
    assert report.peak_mb["process"] > 10


def test_weights_are_found_before_they_are_taken_out_of_the_networks(pipeline_folder):
    from abe_rerank.runs.provenance import pipeline_record

    pipeline = load_pipeline(pipeline_folder, device="cpu")
    before = pipeline_record(pipeline, "x")
    offload(pipeline, "model", "cpu")
    assert pipeline_record(pipeline, "x") == before
    assert set(modules(pipeline)) == {"text_encoder", "unet", "vae"}
