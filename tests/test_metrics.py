"""``BindingScore``: what it adds up, what it counts, and that two processes say what one says."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest
import torch
from PIL import Image

from abe_rerank import Reranker, UsageError, parse

pytest.importorskip("torchmetrics", reason="torchmetrics is not installed (extra: metrics)")

from abe_rerank.integrations.torchmetrics import BindingScore

PROMPTS = ["a red cube", "a blue star and a red cube", "a red cube", "a cube", "", "a green sphere"]

PROCESS = """
import json
import sys
import torch
import torch.distributed as dist
from abe_rerank import Reranker
from abe_rerank.integrations.torchmetrics import BindingScore

rank, store, folder, data = int(sys.argv[1]), sys.argv[2], sys.argv[3], torch.load(sys.argv[4])
dist.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=2)
metric = BindingScore(Reranker.from_pretrained(folder, device="cpu"))
mine = slice(0, 4) if rank == 0 else slice(4, 6)  # of unequal length
for image, prompt in zip(data["images"][mine], data["prompts"][mine]):
    metric.update(image[None], [prompt])
own = metric.scored
value = metric.compute()
assert metric.compute() is value
print(json.dumps([float(value), own, metric.scored, metric.unscored, metric.nothing_to_bind, metric.bound_rate]))
metric.update(data["images"][:1], data["prompts"][:1])
assert metric.scored == own + 1, (metric.scored, own)  # its own again
dist.destroy_process_group()
"""


def pictures(count, seed=0):
    return torch.randint(0, 256, (count, 3, 16, 16), dtype=torch.uint8, generator=torch.Generator().manual_seed(seed))


def expected(reranker, images, prompts):
    """Mean, bound pairs, pairs and counts by a loop over images."""
    scores = [
        reranker.scorer.explain([Image.fromarray(np.moveaxis(image.numpy(), 0, -1))], parse(prompt))[0]
        for image, prompt in zip(images, prompts, strict=True)
    ]
    scored = [score for score in scores if score.status == "scored"]
    pairs = [pair for score in scored for pair in score.pairs]
    return (
        sum(score.value for score in scored) / len(scored),
        sum(pair.verdict == "bound" for pair in pairs) / len(pairs),
        len(scored),
    )


def test_the_metric_is_the_mean_of_the_scored_images_and_counts_the_others(reranker):
    metric, images = BindingScore(reranker), pictures(6)
    metric.update(images[:2], PROMPTS[:2])
    metric.update(images[2:], PROMPTS[2:])
    value = metric.compute()
    mean, rate, scored = expected(reranker, images, PROMPTS)
    assert value.shape == ()
    assert float(value) == pytest.approx(mean, abs=1e-6)
    assert metric.bound_rate == pytest.approx(rate)
    assert (metric.scored, metric.unscored, metric.nothing_to_bind) == (scored, 1, 1) == (4, 1, 1)
    metric.reset()
    assert (metric.scored, metric.unscored, metric.nothing_to_bind) == (0, 0, 0)


def test_pictures_may_be_pil_or_floats_and_forward_gives_the_value_of_the_batch(reranker):
    images, prompts = pictures(3), ["a red cube"] * 3
    values = []
    for given in (images, images / 255, [Image.fromarray(np.moveaxis(i.numpy(), 0, -1)) for i in images], list(images)):
        metric = BindingScore(reranker)
        metric.update(given, prompts)
        values.append(float(metric.compute()))
    assert values == pytest.approx([values[0]] * 4, abs=1e-6)
    metric = BindingScore(reranker)
    batches = [float(metric(images[k : k + 1], prompts[:1])) for k in range(3)]
    assert batches == pytest.approx(reranker.score(images, prompts[0])[:, 0].tolist(), abs=1e-5)
    assert float(metric.compute()) == pytest.approx(np.mean(batches))
    assert metric.scored == 3


def test_nothing_scored_is_nan_with_a_warning(reranker):
    metric = BindingScore(reranker)
    metric.update(pictures(2), ["", "a cube"])
    with pytest.warns(UserWarning, match=r"no image was scored \(1 unscored, 1 with nothing to bind\)"):
        assert torch.isnan(metric.compute())
    assert np.isnan(metric.bound_rate)


def test_input_that_does_not_match_is_refused_and_changes_nothing(reranker):
    metric = BindingScore(reranker)
    with pytest.raises(UsageError, match="2 images and 1 prompts"):
        metric.update(pictures(2), ["a red cube"])
    with pytest.raises(UsageError, match="floats from"):
        metric.update(pictures(2) * 2.0, ["a red cube"] * 2)
    assert metric.scored == 0


def test_two_processes_reduce_to_what_one_process_finds(reranker, backbone_folder, tmp_path):
    images = pictures(6)
    torch.save({"images": images, "prompts": PROMPTS}, tmp_path / "data.pt")
    words = [str(tmp_path / "store"), str(backbone_folder), str(tmp_path / "data.pt")]
    started = [
        subprocess.Popen(
            [sys.executable, "-c", PROCESS, str(rank), *words],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    try:
        ended = [process.communicate() for process in started]
    finally:
        for process in started:
            process.kill()
    assert [process.returncode for process in started] == [0, 0], ended
    single = BindingScore(reranker)
    single.update(images, PROMPTS)
    value = float(single.compute())
    said = [json.loads(out) for out, _ in ended]
    for mean, _, scored, unscored, nothing, rate in said:
        assert mean == pytest.approx(value, abs=1e-6)
        assert (scored, unscored, nothing) == (single.scored, single.unscored, single.nothing_to_bind)
        assert rate == pytest.approx(single.bound_rate)
    assert [own for _, own, *_ in said] == [3, 1]


def test_a_copy_counts_on_its_own(reranker):
    metric = BindingScore(reranker)
    metric.update(pictures(1), ["a red cube"])
    copy = metric.clone()
    copy.update(pictures(1), ["a red cube"])
    assert (metric.scored, copy.scored) == (1, 2)
    assert float(copy.compute()) == pytest.approx(float(metric.compute()))


def test_without_a_reranker_it_is_the_built_in_one_and_the_example_runs():
    import doctest

    from abe_rerank.integrations import torchmetrics as metrics

    assert doctest.testmod(metrics) == (0, 6)
    assert BindingScore().reranker.scorer.stamp == Reranker.from_pretrained().scorer.stamp


def test_without_torchmetrics_the_way_out_is_named():
    code = "import sys; sys.modules['torchmetrics'] = None\nimport abe_rerank.integrations.torchmetrics"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].endswith("pip install 'abe-rerank[metrics]'")
