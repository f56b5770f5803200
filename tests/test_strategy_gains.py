"""The benchmark of strategies: known faults, what batches cost, and picks, against drawing by hand."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from abe_rerank.benchmarks.checkout.strategy_figure import write_figure
from abe_rerank.benchmarks.checkout.strategy_gains import TASKS, Costs, Faulty, Pool, Row, as_table, chosen, rows
from abe_rerank.benchmarks.verdicts import said
from abe_rerank.drawing.sampling import Sampling, draw, settle
from abe_rerank.drawing.strategies import make_strategy
from abe_rerank.shapes.oracle import Oracle

PAIRS = [("red", "cube"), ("blue", "star")]
COSTS = Costs({4: {1: 1.0, 2: 1.5, 8: 4.5}, 1: {1: 0.5, 8: 2.25}}, scoring=0.125)


def test_each_seed_is_drawn_for_what_it_is_told_and_so_many_are_faulty(pipeline):
    faulty = Faulty(pipeline, PAIRS, 0.6)
    told = [faulty.told(seed) for seed in range(1000)]
    assert told == [faulty.told(seed) for seed in range(1000)]
    assert np.mean([text != said(PAIRS) for text in told]) == pytest.approx(0.6, abs=0.05)
    drawing = settle(faulty, Sampling(n=4, batch_size=4, steps=2))
    together = [sample.image for sample in draw(faulty, said(PAIRS), drawing).images]
    for seed, image in enumerate(together):
        alone = draw(pipeline, told[seed], settle(pipeline, Sampling(n=1, seed=seed, batch_size=1, steps=2)))
        assert np.abs(np.asarray(alone.images[0].image, int) - np.asarray(image, int)).max() <= 1
    assert "encode_prompt" not in vars(pipeline)


def test_costs_lie_on_a_line_between_sizes_and_count_whole_batches():
    assert COSTS.of(4, 1) == 1.0 + 0.125
    assert COSTS.of(4, 5) == pytest.approx(3.0 + 5 * 0.125)
    assert COSTS.of(4, 16) == pytest.approx(2 * 4.5 + 16 * 0.125)
    assert COSTS.of(4, 10) == pytest.approx(2 * 3.0 + 10 * 0.125)


@pytest.mark.parametrize("name", ["best-of-n", "drafts", "search"])
def test_a_strategy_picks_here_what_it_picks_when_it_draws(name, pipeline, reranker):
    pool = Pool(pipeline, reranker.scorer, Oracle.load(), said(PAIRS), None, COSTS)
    pool.drawing = lambda count: settle(pipeline, Sampling(n=count, steps=4))
    settings = {"draft_steps": 1, "keep": 2} if name == "drafts" else {}
    strategy = make_strategy(name, 4, 5, **settings)
    best = reranker.generate(pipeline, said(PAIRS), strategy=strategy, num_inference_steps=4).best
    found = pool.outcome(strategy)
    assert best.recipe in pool.candidates
    assert pool.candidates[best.recipe].score.value == pytest.approx(best.score.value, abs=1e-4)
    cost = {"best-of-n": 2.5 + 0.5, "drafts": 1.25 + 0.5 + 1.5 + 0.25, "search": 2.5 + 0.5}
    assert found.seconds == pytest.approx(cost[name])
    assert found.right == pool.right[best.recipe]


def test_gains_are_over_a_random_picture_and_parts_of_the_first(pipeline, reranker):
    pool = Pool(pipeline, reranker.scorer, Oracle.load(), said(PAIRS), None, COSTS)
    pool.drawing = lambda count: settle(pipeline, Sampling(n=count, steps=4))
    made = {
        "best of 16": lambda s: make_strategy("best-of-n", 4, s),
        "best of 1": lambda s: make_strategy("best-of-n", 1, s),
    }
    for recipe in [make_strategy("best-of-n", 4, 0).next([], 0.0).recipes]:
        list(pool.ask(recipe, pool.drawing(4)))
    pool.right = {recipe: recipe.seed == best for best in [_best(pool)] for recipe in pool.right}
    whole, one = rows([pool], made)
    assert whole.gain == pytest.approx(1 - 1 / 4)
    assert one.gain == pytest.approx(whole.gain if _best(pool) == 0 else -1 / 4)
    assert one.of_seconds == pytest.approx((1.0 + 0.125) / 3.0)
    assert "best of 1 " in as_table([whole, one])


def _best(pool):
    return max(pool.candidates.values(), key=lambda candidate: candidate.score.value).seed


def row(name, gain, seconds, of_gain):
    return Row(name, "-", gain, seconds, of_gain, seconds / 10)


def test_the_quickest_that_gains_enough_is_chosen():
    found = [row("best of 16", 0.5, 10, 1.0), row("a", 0.49, 5, 0.98), row("b", 0.5, 4, 1.0), row("c", 0.3, 1, 0.6)]
    assert chosen(found, ["a", "b", "c"]) == "b"
    assert chosen(found, ["c"]) == "c"


def test_the_figure_has_a_panel_for_each_task(tmp_path):
    found = [row("best of 16", 0.5, 10, 1.0), row("best of 1", 0.0, 1, 0.0), row("drafts", 0.4, 4, 0.8)]
    write_figure(tmp_path / "gain.png", [(task.name, found) for task in TASKS])
    with Image.open(tmp_path / "gain.png") as image:
        assert image.size == (640, 3 * 400)
        assert len(set(image.convert("RGB").getdata())) > 10
