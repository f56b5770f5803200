"""The measurements of verdicts: what is asked of a picture, what is true of it, and how picks are counted."""

from __future__ import annotations

from itertools import islice

import numpy as np
import pytest
from PIL import Image

from abe_rerank.benchmarks.checkout.faults import (
    FAULTS,
    RIGHT,
    Drawn,
    Lot,
    faulty,
    generated_questions,
    lots,
    measured,
    picks,
)
from abe_rerank.benchmarks.checkout.foreign_tasks import flat_questions, solids_questions
from abe_rerank.benchmarks.verdicts import answers, empty_questions, judged, said, shapes_questions
from abe_rerank.errors import UsageError
from abe_rerank.parsing import parse
from abe_rerank.scoring.abe import AbeScorer
from abe_rerank.shapes.oracle import Detection

PAIRS = [("red", "cube"), ("blue", "ring"), ("green", "star")]


@pytest.mark.parametrize("drawn", [shapes_questions, flat_questions, solids_questions])
def test_a_true_caption_is_in_place_and_each_change_is_what_it_says(drawn):
    own, replaced, missing, swapped, one_way = islice(drawn("choose", 1), 5)
    truths = [[truth for truth, _ in q.truths.values()] for q in (own, replaced, missing, swapped, one_way)]
    assert set(truths[0]) == {"in place"}
    assert truths[1].count("colour replaced") == 1
    assert truths[2].count("object missing") == 1
    assert truths[3].count("swapped") == 2
    assert sorted(set(truths[4]) - {"in place"}) == ["colour replaced", "swapped one way"]
    for question in (own, replaced, missing, swapped, one_way):
        assert [noun for _, noun in parse(question.prompt).pairs] == list(question.truths)


def test_every_pair_of_a_question_is_counted_once():
    found = judged(AbeScorer(_backbone()), empty_questions("choose", 3))
    rows = found.rows
    assert [(row.truth, row.pairs, sum(row.verdicts.values())) for row in rows] == [("nothing there", 6, 6)]
    said_bound = [pair.probability for _, _, pair in answers(AbeScorer(_backbone()), empty_questions("choose", 3))]
    tenths = [[p for p in said_bound if int(10 * p) == k] for k in range(10)]
    assert found.ece == pytest.approx(sum(abs(sum(part)) for part in tenths) / 6)  # none of them is bound


def _backbone():
    from abe_rerank.backbones import load_backbone

    return load_backbone(None, "cpu")


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_changes_what_it_names(fault):
    found = faulty(PAIRS, fault, np.random.default_rng(0))
    colours, shapes = [c for c, _ in found], [s for _, s in found]
    same = sum(a == b for a, b in zip(found, PAIRS, strict=False))
    expected = {
        "colours swapped": (3, 3, 3, 1),
        "another colour": (3, 3, 3, 2),
        "one colour on two": (3, 2, 3, 2),
        "another shape": (3, 3, 3, 2),
    }
    if fault == "object missing":
        assert len(found) == 2
        assert set(found) < set(PAIRS)
    else:
        assert (len(found), len(set(colours)), len(set(shapes)), same) == expected[fault]


def lot():
    blank, box = Image.new("RGB", (8, 8)), (0.0, 0.0, 1.0, 1.0)
    seen = tuple(Detection(c, s, "plain", box, 1.0) for c, s in PAIRS)
    crossed = (Detection("blue", "cube", "plain", box, 1.0), Detection("red", "ring", "plain", box, 1.0))
    return Lot(PAIRS, (Drawn(blank, RIGHT, seen), Drawn(blank, "colours swapped", crossed)), {})


def test_picks_are_shares_of_the_choices():
    assert picks([lot()], [np.array([2.0, 1.0])], 2) == [pytest.approx({RIGHT: 1.0})]
    assert picks([lot()], [np.array([1.0, 2.0])], 2) == [pytest.approx({"colours swapped": 1.0})]
    assert picks([lot()], None, 2) == [pytest.approx({RIGHT: 0.5, "colours swapped": 0.5})]
    for values in (None, [np.array([1.0, 2.0])]):  # of one picture nothing is picked
        assert picks([lot()], values, 1) == [pytest.approx({RIGHT: 0.5, "colours swapped": 0.5})]


def test_sizes_go_up_to_the_pictures_and_shares_of_faults_stay():
    rows = measured(3, [lot()] * 2, {"abe": [np.array([2.0, 1.0])] * 2}, 16)["rows"]
    picked = [(row["n"], row["pick"]) for row in rows]
    assert picked == [
        (n, pick)
        for n in (1, 2, 4, 8, 16)
        for pick in ("first or random", "abe", *(["best possible"] if n > 1 else []))
    ]
    with pytest.raises(UsageError, match="12 pictures of a prompt: give 8 or a multiple of it"):
        next(lots(None, None, 2, 1, pictures=12))


def test_the_oracle_says_what_is_true_of_a_generated_picture():
    right, crossed = generated_questions([lot()])
    assert right.prompt == said(PAIRS) == "a red cube, a blue ring and a green star"
    assert {truth for truth, _ in right.truths.values()} == {"in place"}
    assert crossed.truths == {"cube": ("swapped", "blue"), "ring": ("swapped", "red"), "star": ("object missing", "")}
