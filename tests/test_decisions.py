"""Verdicts: which values are asked about, what the model makes of evidence, and what is read in windows."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from abe_rerank.backbones import load_backbone
from abe_rerank.errors import UsageError
from abe_rerank.parsing import parse
from abe_rerank.scoring import decision
from abe_rerank.scoring.abe import AbeScorer
from abe_rerank.scoring.decision import STANDARD, Labelled, decide, exchanges, fit_decision
from abe_rerank.scoring.readings import plan
from abe_rerank.scoring.second_look import Choices, Look, _differences, choices
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


def alone(weights, seen):
    (probabilities,) = weights.probabilities([seen], [ASKED])
    return probabilities


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
    found = decide(alone(STANDARD, look(best, presence)), ASKED)
    assert (found.verdict, found.seen, found.seen_of) == (verdict, seen, of)
    assert found.certainty > 0.9


@pytest.mark.parametrize(
    ("probabilities", "verdict", "certainty"),
    [
        ([0.71, 0.1, 0.1, 0.0, 0.09], "bound", 0.71),
        ([0.65, 0.0, 0.0, 0.0, 0.35], "unsure", 0.65),  # likely, but to call a missing thing bound is worse
        ([0.4, 0.3, 0.1, 0.0, 0.2], "unsure", 0.4),  # bound is likelier than each of the others
        ([0.3, 0.1, 0.1, 0.0, 0.5], "not found", 0.5),
        ([0.1, 0.4, 0.2, 0.1, 0.2], "unsure", 0.4),  # certainly not bound; why, is not
        ([0.1, 0.0, 0.2, 0.3, 0.4], "wrong", 0.5),
        ([0.1, 0.45, 0.2, 0.1, 0.15], "swapped", 0.45),
    ],
)
def test_a_claim_takes_seven_in_ten_and_a_denial_more_than_bound_and_half_of_the_rest(
    probabilities, verdict, certainty
):
    found = decide(np.array(probabilities), ASKED)
    assert (found.verdict, found.certainty) == (verdict, pytest.approx(certainty))


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
    np.testing.assert_allclose(alone(STANDARD, one), wanted)
    raised = Look(one.fits + np.eye(4)[0] * 0.5, one.presence)
    assert alone(STANDARD, raised)[0] >= wanted[0]
    there = Look(one.fits, one.presence + 0.5)
    assert alone(STANDARD, there)[-1] <= wanted[-1]


def test_a_fit_learns_what_is_true():
    rng = np.random.default_rng(1)
    rows = []
    for k in range(300):
        value = (0, 1, 2, None)[k % 4]
        seen = look(0 if value is None else value, 0.0 if value is None else 8.0)
        noisy = Look(seen.fits + rng.normal(0, 2, (3, 4)), seen.presence + rng.normal(0, 2, (3, 3)))
        rows.append([Labelled(noisy, ASKED, value, ("in place", "swapped", "replaced", "missing")[k % 4])])
    fitted = fit_decision(rows)
    right = [int(alone(fitted, row.look).argmax()) == (4 if row.value is None else row.value) for (row,) in rows]
    assert np.mean(right) > 0.95
    assert min(*fitted.fits, *(w for row in fitted.presence for w in row)) >= 0
    with pytest.raises(UsageError, match="at least 20"):
        fit_decision(rows[:20])


def test_pairs_in_place_weigh_as_much_as_all_others_however_many_are_drawn():
    rng = np.random.default_rng(4)
    kinds = {"a": 0, "b": 0, "swapped": 1, "missing, a": None, "missing, b": None}
    groups = list(
        rng.permutation(["a"] * 40 + ["b"] * 10 + ["swapped"] * 90 + ["missing, a"] * 25 + ["missing, b"] * 30)
    )
    weights = decision._weights([Labelled(look(0), ASKED, kinds[name], name) for name in groups])
    each = {name: sum(w for w, of in zip(weights, groups, strict=True) if of == name) for name in kinds}
    assert each == pytest.approx({"a": 1 / 4, "b": 1 / 4, "swapped": 1 / 6, "missing, a": 1 / 6, "missing, b": 1 / 6})


def test_windows_differ_by_the_mean_deviation_of_the_phrases_over_the_windows_that_are_real():
    logits = torch.randn(3, 5, 4, generator=torch.Generator().manual_seed(5))
    mask = torch.tensor([[True] * 5, [True, True, False, True, False], [False, False, True, False, False]])
    wanted = [
        np.mean([np.std([float(logits[n, p, m]) for p in range(5) if mask[n, p]]) for m in range(4)]) for n in range(3)
    ]
    np.testing.assert_allclose(_differences(logits, mask).numpy(), wanted, atol=1e-6)


RING = Choices(("blue", "red", "green"), ("", "cube", ""))


def test_swaps_that_answer_each_other_are_likelier_by_the_joint_distribution_of_both_pairs():
    weights = replace(STANDARD, mutual=2.0)
    rng = np.random.default_rng(3)
    looks = [Look(rng.normal(0, 2, (3, n)), rng.normal(5, 2, (3, 3))) for n in (4, 3)]
    asked = [ASKED, RING]
    apart = [replace(STANDARD, mutual=0.0).probabilities([one], [a])[0] for one, a in zip(looks, asked, strict=True)]
    joint = np.outer(*apart)
    joint[1, 1] *= np.exp(2.0)  # the cube is blue, as the ring should be, and the ring red, as the cube should be
    joint /= joint.sum()
    cube, ring = weights.probabilities(looks, asked)
    np.testing.assert_allclose(cube, joint.sum(axis=1), atol=1e-12)
    np.testing.assert_allclose(ring, joint.sum(axis=0), atol=1e-12)


def test_only_values_that_two_objects_ask_of_each_other_can_change_places():
    asked = asked_of("a red cube, a blue ring and a small star")
    found = [(asked[i].values[c], asked[j].values[k]) for i, c, j, k in exchanges(asked)]
    assert found == [("blue", "red"), ("red", "blue")]
    assert exchanges(asked_of("a red cube and a red ring")) == []
    assert exchanges(asked_of("a red cube and a blue cube")) == []


def test_a_fit_learns_whether_swaps_come_in_twos():
    rng = np.random.default_rng(2)

    def pair(asked, value, group):
        fits = rng.normal(0, 2, (3, len(asked.values)))
        if value is not None:
            fits[:, value] += 4
        presence = np.full((3, 3), 0.0 if value is None else 8.0) + rng.normal(0, 2, (3, 3))
        return Labelled(Look(fits, presence), asked, value, group)

    def questions(second):
        return [
            [pair(ASKED, value, f"{value}"), pair(RING, second(value), f"{value}, ring")]
            for value in (0, 1, 2, None) * 60
        ]

    in_twos = fit_decision(questions(lambda value: value if value in (0, 1) else 2))
    one_by_one = fit_decision(questions(lambda value: 0))
    assert in_twos.mutual > 2
    assert one_by_one.mutual < 0.1


def test_windows_are_read_once_for_all_prompts_and_a_picture_alone_is_read_as_among_others():
    scorer = AbeScorer(load_backbone(None, "cpu"))
    scenes = [sample_scene(split_rng("train", k)) for k in range(2)]
    from PIL import Image

    pictures = [Image.fromarray(render(scene, 128)[0]) for scene in scenes]
    plans, _ = scorer.table([parse("a red cube and a blue ring")])
    with torch.no_grad():
        together = scorer.encode_to_explain(pictures)
        by_itself = scorer.encode_to_explain(pictures[1:])
        first = scorer.second_look.looks(together.take([1]), plans[0])[0]
        second = scorer.second_look.looks(by_itself, plans[0])[0]
        with pytest.raises(ValueError, match="encode_to_explain"):
            scorer.second_look.looks(scorer.encode(pictures), plans[0])
    for a, b in zip(first, second, strict=True):
        np.testing.assert_allclose(a.fits, b.fits, atol=1e-3)
        np.testing.assert_allclose(a.presence, b.presence, atol=1e-3)
