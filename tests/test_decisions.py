"""Verdicts: which values are asked about, what the model makes of evidence, and what is read in windows."""

import numpy as np
import pytest
import torch

from abe_rerank.backbones import load_backbone
from abe_rerank.errors import UsageError
from abe_rerank.parsing import parse
from abe_rerank.scoring.abe import AbeScorer
from abe_rerank.scoring.decision import STANDARD, Labelled, decide, fit_decision
from abe_rerank.scoring.readings import plan
from abe_rerank.scoring.second_look import Choices, Look, choices
from abe_rerank.shapes.render import render
from abe_rerank.shapes.world import sample_scene, split_rng

ASKED = Choices(("red", "blue", "green", "pink"), ("", "ring", "", ""))


def asked_of(prompt):
    made = plan(parse(prompt), "{article} {phrase}", "any")
    return [choices(made, pair) for pair in made.pairs]


def test_all_values_of_a_kind_are_asked_about_and_each_knows_its_object():
    cube, ring = asked_of("a red cube and a blue ring")
    assert cube.values[:2] == ("red", "blue")
    assert cube.asked_of[:2] == ("", "ring")
    assert set(cube.values) > {"green", "pink", "black"}
    assert not any(cube.asked_of[2:])
    assert ring.values[:2] == ("blue", "red")


def test_what_another_object_of_the_same_noun_should_have_is_no_mistake():
    first, second = asked_of("a red cube and a blue cube")
    assert "blue" not in first.values
    assert "red" not in second.values


def look(best, presence=20.0):
    fits = np.zeros((3, len(ASKED.values)))
    fits[:, best] = 10.0
    return Look(fits, np.full((3, 3), presence))


@pytest.mark.parametrize(
    ("best", "presence", "verdict", "seen", "of"),
    [
        (0, 20.0, "bound", None, None),
        (1, 20.0, "swapped", "blue", "ring"),
        (3, 20.0, "wrong", "pink", None),
        (0, -20.0, "not found", None, None),
    ],
)
def test_clear_evidence_gives_each_verdict(best, presence, verdict, seen, of):
    found = decide(STANDARD.probabilities(look(best, presence), ASKED), ASKED)
    assert (found.verdict, found.seen, found.seen_of) == (verdict, seen, of)
    assert found.certainty > 0.9


def test_what_decides_nothing_is_unsure():
    found = decide(np.array([0.4, 0.3, 0.1, 0.0, 0.2]), ASKED)
    assert (found.verdict, found.certainty) == ("unsure", 0.4)


def test_probabilities_are_those_of_the_formula_and_more_evidence_never_lowers_its_own():
    rng = np.random.default_rng(0)
    one = Look(rng.normal(0, 3, (3, 4)), rng.normal(5, 3, (3, 3)))
    fits = [sum(STANDARD.fits[r] * one.fits[r][c] for r in range(3)) for c in range(4)]
    prior = [0.0, STANDARD.swapped, STANDARD.wrong - np.log(2), STANDARD.wrong - np.log(2)]
    logits = [fit - max(fits) + extra for fit, extra in zip(fits, prior, strict=True)]
    logits.append(
        STANDARD.absent - sum(STANDARD.presence[r][k] * one.presence[r][k] for r in range(3) for k in range(3))
    )
    wanted = np.exp(logits) / np.exp(logits).sum()
    np.testing.assert_allclose(STANDARD.probabilities(one, ASKED), wanted)
    raised = Look(one.fits + np.eye(4)[0] * 0.5, one.presence)
    assert STANDARD.probabilities(raised, ASKED)[0] >= wanted[0]
    there = Look(one.fits, one.presence + 0.5)
    assert STANDARD.probabilities(there, ASKED)[-1] <= wanted[-1]


def test_a_fit_learns_what_is_true():
    rng = np.random.default_rng(1)
    rows = []
    for k in range(300):
        value = (0, 1, 2, None)[k % 4]
        seen = look(0 if value is None else value, 0.0 if value is None else 8.0)
        noisy = Look(seen.fits + rng.normal(0, 2, (3, 4)), seen.presence + rng.normal(0, 2, (3, 3)))
        rows.append(Labelled(noisy, ASKED, value, ("in place", "swapped", "replaced", "missing")[k % 4]))
    fitted = fit_decision(rows)
    right = [
        int(fitted.probabilities(row.look, ASKED).argmax()) == (4 if row.value is None else row.value) for row in rows
    ]
    assert np.mean(right) > 0.95
    assert min(*fitted.fits, *(w for row in fitted.presence for w in row)) >= 0
    with pytest.raises(UsageError, match="at least 20"):
        fit_decision(rows[:20])


def test_windows_are_read_once_for_all_prompts_and_a_picture_alone_is_read_as_among_others():
    scorer = AbeScorer(load_backbone(None, "cpu"))
    scenes = [sample_scene(split_rng("train", k)) for k in range(2)]
    from PIL import Image

    pictures = [Image.fromarray(render(scene, 128)[0]) for scene in scenes]
    plans, _ = scorer.table([parse("a red cube and a blue ring")])
    with torch.no_grad():
        together = scorer.encode(pictures)
        alone = scorer.encode(pictures[1:])
        first = scorer.second_look.looks(together.take([1]), plans[0])[0]
        second = scorer.second_look.looks(alone, plans[0])[0]
    assert together.take([1]).looks.read()[0] is not None
    for a, b in zip(first, second, strict=True):
        np.testing.assert_allclose(a.fits, b.fits, atol=1e-3)
        np.testing.assert_allclose(a.presence, b.presence, atol=1e-3)
