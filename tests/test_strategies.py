"""Strategies: which pictures they ask for, against hand-made scores, and what is drawn, on tiny random pipelines."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from conftest import word_tokenizer
from tiny_pipelines import save_tiny_pipeline

from abe_rerank import Reranker, UsageError
from abe_rerank.drawing.pipelines import load_pipeline
from abe_rerank.drawing.sampling import Sampling, batches, settle
from abe_rerank.drawing.strategies import Tried, make_strategy, names, steps_of
from abe_rerank.drawing.strategies.pursuit import pursue
from abe_rerank.recipes import Drawing, Recipe
from abe_rerank.scoring import make_scorer
from abe_rerank.types import Candidate, Sample, Samples, Score

PROMPT = "a yellow cylinder and a red cube"


def scored(value, probabilities=()):
    pairs = tuple(SimpleNamespace(probability=p) for p in probabilities)
    return Score(value, "unscored" if value is None else "scored", "test", pairs=pairs)


def tried(recipe, score):
    return Tried(recipe, score.value, score.status, tuple(pair.probability for pair in score.pairs))


def course(strategy, score_of, seconds=0.0):
    """The steps of a strategy whose pictures have the scores ``score_of(recipe)``, and why it ended."""
    found, steps = [], []
    while True:
        step = strategy.next(found, seconds)
        if not step.recipes:
            return steps, step.why
        steps.append(step.recipes)
        found += [tried(recipe, score_of(recipe)) for recipe in step.recipes]


def test_best_of_n_draws_all_at_once():
    steps, why = course(make_strategy("best-of-n", 3, 7), lambda recipe: scored(0.1))
    assert steps == [(Recipe(7), Recipe(8), Recipe(9))]
    assert "all pictures" in why


def test_the_best_drafts_are_drawn_in_full_and_ties_go_to_the_first():
    values = {4: 0.1, 5: None, 6: 0.3, 7: 0.3, 8: 0.2}
    steps, why = course(make_strategy("drafts", 5, 4, draft_steps=3, keep=3), lambda r: scored(values[r.seed]))
    assert steps[0] == tuple(Recipe(seed, 3) for seed in range(4, 9))
    assert steps[1:] == [(Recipe(6), Recipe(7), Recipe(8))]
    assert "the 3 best of 5" in why
    of_all = course(make_strategy("drafts", 5, 4, keep=5), lambda r: scored(values[r.seed]))
    assert (len(of_all[0][1]), of_all[1].split(" best")[0]) == (4, "the 4")  # one could not be scored
    assert course(make_strategy("drafts", 2, 0), lambda r: scored(None))[1] == "no draft could be scored"


def test_until_bound_draws_batches_until_every_pair_of_one_picture_is_likely():
    likely = {0: (0.9, 0.2), 1: (0.5, 0.5), 2: (0.95, 0.7), 3: (0.69, 0.99), 4: (0.7, 0.7), 5: (1.0, 1.0)}
    strategy = make_strategy("until-bound", 6, 0, probability=0.7, at_once=2)
    steps, why = course(strategy, lambda r: scored(0.0, likely[r.seed]))
    assert [[recipe.seed for recipe in step] for step in steps] == [[0, 1], [2, 3]]
    assert "every pair of seed 2" in why
    steps, why = course(replace(strategy, probability=1.0, n=5), lambda r: scored(0.0, likely[r.seed]))
    assert [[recipe.seed for recipe in step] for step in steps] == [[0, 1], [2, 3], [4]]
    assert "5 pictures are drawn, and none" in why


def test_until_bound_ends_for_time_and_where_nothing_is_to_bind_and_needs_probabilities():
    strategy = make_strategy("until-bound", 6, 0, max_seconds=10.0, at_once=2)
    assert "10 seconds are over" in course(strategy, lambda r: scored(0.0, [0.1]), seconds=10.0)[1]
    nothing = Score(0.2, "nothing to bind", "test")
    steps, why = course(strategy, lambda r: nothing)
    assert len(steps) == 1
    assert "nothing to bind" in why
    with pytest.raises(UsageError, match="abe-rerank tune"):
        course(strategy, lambda r: scored(0.0, [None]))


def test_search_renews_the_best_noise_so_far():
    values = {0: 0.1, 1: 0.4, 2: 0.2, 3: 0.6, 4: 0.5, 5: 0.5}
    steps, _ = course(
        make_strategy("search", 6, 0, share=0.25, at_once=2),
        lambda r: scored(values[r.renewed[-1][0] if r.renewed else r.seed]),
    )
    assert steps[0] == (Recipe(0), Recipe(1))
    assert steps[1] == (Recipe(1, renewed=((2, 0.25),)), Recipe(1, renewed=((3, 0.25),)))
    assert steps[2] == tuple(Recipe(1, renewed=((3, 0.25), (k, 0.25))) for k in (4, 5))


@pytest.mark.parametrize(
    ("name", "settings", "said"),
    [
        ("no-such", {}, "unknown strategy 'no-such'; choose from best-of-n"),
        ("drafts", {"share": 0.1}, "no setting share; it has draft_steps, keep"),
        ("drafts", {"keep": 9}, "at most 4 can be kept, got 9"),
        ("drafts", {"draft_steps": 0}, "at least 1 and at most 10000 steps, got 0"),
        ("until-bound", {"probability": 1.5}, "above 0 and at most 1"),
        ("until-bound", {"max_seconds": 0.0}, "a number above 0, got 0.0"),
        ("search", {"share": 0.0}, "above 0"),
    ],
)
def test_settings_that_cannot_be_are_refused(name, settings, said):
    with pytest.raises(UsageError, match=said):
        make_strategy(name, 4, 0, **settings)


@pytest.mark.parametrize("name", names())
def test_a_strategy_that_is_asked_again_after_any_pictures_asks_for_the_same(name):
    """Against the course of a strategy that is asked step by step, whatever part of its pictures is there."""
    strategy = make_strategy(name, 11, 3)
    values = np.random.default_rng(0).permutation(100) / 100
    seen = lambda r: scored(values[sum(s for s, _ in r.renewed) + r.seed], [0.5, values[r.seed]])  # noqa: E731
    steps, why = course(strategy, seen)
    pictures = [tried(recipe, seen(recipe)) for step in steps for recipe in step]
    for there in range(len(pictures) + 1):
        found = steps_of(strategy, dict(enumerate(pictures[:there])))
        asked = [step.recipes for step in found if step.recipes]
        assert asked == steps[: len(asked)]
        assert sum(map(len, asked)) >= there
        assert (sum(map(len, asked)) > there) or (there == len(pictures) and found[-1].why == why)
    holes = steps_of(strategy, {k: one for k, one in enumerate(pictures) if k != 1})
    assert [step.recipes for step in holes] == steps[:1]


def drawn(pipeline, recipes, size=2, **call):
    drawing = replace(settle(pipeline, Sampling(n=len(recipes), batch_size=size, steps=3, call=call)))
    return [sample for batch in batches(pipeline, PROMPT, drawing, recipes=recipes) for sample in batch.images]


def difference(first, second):
    return np.abs(np.asarray(first, dtype=int) - np.asarray(second, dtype=int)).max()


def test_renewed_noise_is_the_mixture_of_the_noises(pipeline):
    recipe = Recipe(3, renewed=((4, 0.6), (5, 0.3)))
    noise = [torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(seed)) for seed in (3, 4, 5)]
    mixed = (1 - 0.3**2) ** 0.5 * ((1 - 0.6**2) ** 0.5 * noise[0] + 0.6 * noise[1]) + 0.3 * noise[2]
    expected = pipeline(prompt=PROMPT, latents=mixed, num_inference_steps=3).images[0]
    plain = drawn(pipeline, [Recipe(3)])[0].image
    found = drawn(pipeline, [recipe, Recipe(3), replace(recipe, seed=9)], size=3)
    assert difference(found[0].image, expected) <= 1
    assert difference(found[1].image, plain) <= 1
    assert difference(plain, expected) > 1
    assert (found[0].seed, found[0].renewed, found[0].steps) == (3, recipe.renewed, None)
    assert difference(drawn(pipeline, [recipe], size=1)[0].image, found[0].image) <= 1
    assert "prepare_latents" not in vars(pipeline)


@pytest.mark.parametrize("kind", ["StableDiffusionXL", "StableDiffusion3", "Flux"])
def test_wholly_renewed_noise_is_that_of_the_other_seed_in_pipelines_of_any_class(kind, tmp_path):
    save_tiny_pipeline(kind, word_tokenizer(tmp_path / "tokenizer"), tmp_path / "model")
    loaded = load_pipeline(tmp_path / "model", device="cpu")
    call = {"height": 16, "width": 16}
    renewed, other = drawn(loaded, [Recipe(0, renewed=((5, 1.0),)), Recipe(5)], **call)
    assert np.array_equal(renewed.image, other.image)
    assert difference(renewed.image, drawn(loaded, [Recipe(0)], **call)[0].image) > 1


def test_drafts_are_drawn_in_few_steps_and_the_picked_pictures_in_all(reranker, pipeline):
    drafts = reranker.generate(pipeline, PROMPT, n=4, seed=2, num_inference_steps=1)
    whole = reranker.generate(pipeline, PROMPT, n=4, seed=2, num_inference_steps=4)
    given = []
    found = reranker.generate(
        pipeline,
        PROMPT,
        strategy=make_strategy("drafts", 4, 2, draft_steps=1, keep=2),
        num_inference_steps=4,
        on_candidate=given.append,
    )
    assert {c.seed for c in found.candidates} == {c.seed for c in drafts.candidates[:2]}
    images = {c.seed: c.image for c in whole.candidates}
    assert all(difference(c.image, images[c.seed]) <= 1 for c in found.candidates)
    assert [c.steps for c in given] == [1, 1, 1, 1, None, None]
    told = found.settings["strategy"]
    assert (told["name"], told["keep"], told["pictures"], told["drafts"]) == ("drafts", 2, 2, 4)
    assert found.settings["n"] == found.settings["batch_size"] == 2
    assert "strategy" not in whole.settings


@pytest.mark.parametrize("name", ["best-of-n", "search"])
def test_a_strategy_is_named_and_draws_each_picture_alike_again(name, reranker, pipeline):
    found = reranker.generate(pipeline, PROMPT, n=6, seed=1, strategy=name, num_inference_steps=3)
    assert len(found.candidates) == found.settings["strategy"]["pictures"] == 6
    best = found.best
    again = drawn(pipeline, [best.recipe], size=found.settings["batch_size"])[0]
    assert difference(again.image, best.image) <= 1
    values = [c.score.value for c in found.candidates]
    assert values == sorted(values, reverse=True)


def test_until_bound_without_probabilities_is_refused_before_anything_is_drawn(reranker, pipeline):
    plain, given = Reranker(make_scorer("clip", reranker.scorer.backbone)), []
    with pytest.raises(UsageError, match="abe-rerank tune"):
        plain.generate(pipeline, PROMPT, n=4, strategy="until-bound", on_candidate=given.append, num_inference_steps=1)
    assert given == []


def test_drawing_ends_where_it_is_asked_to(reranker, pipeline):
    found = reranker.generate(
        pipeline, PROMPT, n=4, strategy="drafts", on_candidate=lambda c: False, num_inference_steps=2
    )
    assert found.settings["strategy"]["ended"] == "it was stopped"
    assert len(found.candidates) == 4  # drafts, as nothing else is there


def test_the_clock_ends_a_course_and_smaller_batches_are_drawn_anew():
    """Where batches of four do not fit, the four of a step are drawn again in twos, and the next step begins so."""
    sizes, clock = [], iter(range(100))
    four = Drawing(n=8, seed=0, batch_size=4, arguments={}, device="cpu", dtype="float32")
    settings = {"probability": 0.9, "at_once": 4, "max_seconds": 2.5}

    def draw(recipes, drawing):
        size = drawing.batch_size
        sizes.append((len(recipes), size))
        if size == 4:
            yield Samples(tuple(Sample(r.seed, None) for r in recipes[:2]), drawing)
            drawing = replace(drawing, batch_size=2)
        for start in range(0, len(recipes), 2):
            yield Samples(tuple(Sample(r.seed, None) for r in recipes[start : start + 2]), drawing)

    done = pursue(
        make_strategy("until-bound", 20, 0, **settings),
        lambda count: four,
        draw,
        lambda samples: [Candidate(None, scored(0.0, [0.1]), sample.seed) for sample in samples.images],
        clock=lambda: next(clock),
    )
    assert sizes == [(4, 4), (4, 2)]  # began at 0; the steps begin at 1 and 2, and at 3 it is too late
    assert [c.seed for c in done.candidates] == list(range(8))
    assert done.drawing.batch_size == 2
    assert "2.5 seconds are over" in done.course.ended


def test_every_strategy_has_a_name():
    assert names() == ("best-of-n", "drafts", "until-bound", "search")
    assert [make_strategy(name, 4, 0).name for name in names()] == list(names())
