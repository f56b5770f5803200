"""What regions say of relations, against places that are known."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import islice

import numpy as np
import pytest
from sample_reports import report_of

from abe_rerank.backbones import load_backbone
from abe_rerank.benchmarks.binding_scenes import caption, picture, scenes
from abe_rerank.benchmarks.relations import answered, preferred, questions, shapes_pictures
from abe_rerank.errors import UsageError
from abe_rerank.parsing import parse
from abe_rerank.report.views import render_html
from abe_rerank.reranker import Reranker
from abe_rerank.runs.meanings import CLEAR, holds
from abe_rerank.scoring import make_scorer
from abe_rerank.scoring.counted_relations import WEIGHT
from abe_rerank.scoring.placing import STEEPNESS, SURE, direction, relation_parts
from abe_rerank.types import Region


def region(row, column, window=(0.0, 0.0, 1.0, 1.0)):
    weights = np.zeros((8, 8))
    weights[row : row + 2, column : column + 2] = 0.25
    return Region(weights, (0.0, 0.0, 1.0, 1.0), window)


@pytest.mark.parametrize(
    ("relation", "holds_where"),
    [
        ("to the left of", "left"),
        ("left of", "left"),
        ("on the left side of", "left"),
        ("to the right of", "right"),
        ("right of", "right"),
        ("above", "above"),
        ("over", "above"),
        ("below", "below"),
        ("under", "below"),
        ("beneath", "below"),
    ],
)
def test_a_relation_holds_on_its_own_side_alone(relation, holds_where):
    spec = parse(f"a red cube {relation} a blue ring")
    middle = region(3, 3)
    places = {"left": region(3, 0), "right": region(3, 6), "above": region(0, 3), "below": region(6, 3)}
    for place, subject in places.items():
        (part,) = relation_parts(spec.objects, spec.relations, [subject, middle], [1.0, 1.0])
        assert (part.kind, part.text) == ("relation", f"cube {relation} ring")
        opposite = {"left": "right", "right": "left", "above": "below", "below": "above"}[holds_where]
        wanted = {holds_where: "holds", opposite: "fails"}.get(place, "unsure")
        assert holds(part.value) == wanted


@pytest.mark.parametrize("relation", ["on", "in", "inside", "next to", "on top of", "behind", "near"])
def test_what_places_do_not_answer_is_not_read(relation):
    assert direction(relation) is None


def test_the_probability_is_that_of_the_formula_in_parts_of_the_image():
    spec = parse("a red cube to the left of a blue ring")
    window = (0.25, 0.0, 0.75, 1.0)
    (part,) = relation_parts(spec.objects, spec.relations, [region(3, 2, window), region(3, 4, window)], [0.9, 0.8])
    ahead = (5 - 3) / 8 * 0.5
    side = (1 - SURE) + (2 * SURE - 1) / (1 + math.exp(-STEEPNESS * ahead))
    assert part.value == pytest.approx(side * 0.9 * 0.8)


def test_an_atom_is_unsure_where_neither_is_clear():
    assert [holds(p) for p in (0.0, 1 - CLEAR, 0.5, CLEAR, 1.0)] == ["fails", "fails", "unsure", "holds", "holds"]


def test_places_in_pictures_are_those_of_the_renderer():
    scorer = make_scorer("abe", load_backbone(None, "cpu"))
    right = []
    for scene in islice(scenes(2, "choose", first=9_500_000), 12):
        one, other = scene.objects
        if one.shape == other.shape or abs(one.x - other.x) < 0.15:
            continue
        first, second = (caption((thing,)) for thing in (one, other))
        for words, true in (("to the left of", one.x < other.x), ("to the right of", one.x > other.x)):
            (score,) = scorer.explain([picture(scene)], parse(f"{first} {words} {second}"))
            (part,) = score.parts
            right.append((part.value > 0.5) == true)
    assert len(right) >= 10
    assert np.mean(right) >= 0.8


def test_a_negated_object_stands_nowhere_and_a_relation_without_attributes_is_read_beside_nothing_to_bind():
    scorer = make_scorer("abe", load_backbone(None, "cpu"))
    (scene,) = islice(scenes(2, "choose", first=9_500_000), 1)
    (score,) = scorer.explain([picture(scene)], parse("a cube to the left of a ring"))
    assert score.status == "nothing to bind"
    assert [part.text for part in score.parts] == ["cube to the left of ring"]
    (score,) = scorer.explain([picture(scene)], parse("a red cube and no ring"))
    assert score.parts == ()


def test_the_benchmark_asks_what_holds_and_its_opposite_and_counts_every_question():
    listed = list(questions(shapes_pictures("choose", 4)))
    assert len(listed) >= 8
    for (image, one, first), (twin, other, second) in zip(listed[::2], listed[1::2], strict=True):
        assert image is twin
        assert first != second
        (held,), (not_held,) = (parse(prompt).relations for prompt in (one, other))
        assert direction(held.text) == tuple(n * s for n, s in zip((1, -1), direction(not_held.text), strict=True))
    rows = answered(make_scorer("abe", load_backbone(None, "cpu")), iter(listed))
    assert [row.truth for row in rows] == ["holds", "fails"]
    assert sum(row.asked + row.not_found for row in rows) == len(listed)
    assert all(sum(row.answers.values()) == row.asked for row in rows)


@pytest.fixture(scope="module")
def scorers():
    """The scorer that does not count relations, and the one that does."""
    backbone = load_backbone(None, "cpu")
    return make_scorer("abe", backbone), make_scorer("relations:abe", backbone)


def test_relations_count_what_their_places_say(scorers):
    plain, counting = scorers
    pictures = [picture(scene) for scene in islice(scenes(3, "choose", first=9_600_000), 3)]
    prompts = [
        "a red cube to the left of a blue ring, above a green star",
        "a cube below a ring",
        "a red cube on a blue ring",
        "a red cube",
    ]
    specs = [parse(prompt) for prompt in prompts]
    before, after = (scorer.score(pictures, specs) for scorer in scorers)
    for n, image in enumerate(pictures):
        for t, spec in enumerate(specs):
            (score,) = plain.explain([image], spec)
            regions = {pair.object.text: pair.region for pair in score.pairs}
            read = [r for r in spec.relations if direction(r.text)]
            if t == 1:
                assert len(read) == 1
                assert abs(after[n, t] - before[n, t]) <= WEIGHT / plain.backbone.logit_scale
                continue
            held = []
            for relation in read:
                axis, sign = direction(relation.text)
                ends = [regions[spec.objects[k].text] for k in (relation.subject, relation.object)]
                one, other = (np.average(np.indices((16, 16))[1 - axis], weights=end.weights) / 16 for end in ends)
                side = (1 - SURE) + (2 * SURE - 1) / (1 + math.exp(-STEEPNESS * sign * (other - one)))
                held.append(2 * side - 1)
            wanted = before[n, t] + WEIGHT / plain.backbone.logit_scale * (np.mean(held) if held else 0)
            assert after[n, t] == pytest.approx(wanted, abs=1e-5)
            assert counting.explain([image], spec)[0].value == pytest.approx(after[n, t], abs=1e-5)


def test_a_picture_is_preferred_to_its_mirror_image_where_relations_count(scorers):
    plain, counting = zip(*preferred(scorers, list(questions(shapes_pictures("choose", 8)))), strict=True)
    assert len(counting) >= 16
    assert np.mean(counting) >= 0.85
    assert sum(counting) > sum(plain)


def test_pairs_are_seen_as_by_the_scorer_that_does_not_count_relations(scorers):
    (scene,) = islice(scenes(2, "choose", first=9_500_000), 1)
    spec = parse("a red cube to the left of a blue ring")
    plain, counting = (scorer.explain([picture(scene)], spec)[0] for scorer in scorers)
    assert [p.verdict for p in plain.pairs] == [p.verdict for p in counting.pairs]
    assert [p.probability for p in plain.pairs] == [p.probability for p in counting.pairs]
    assert plain.scorer != counting.scorer


def test_relations_are_counted_beside_abe_alone(scorers):
    with pytest.raises(UsageError, match="relations are counted beside the score of abe alone, not of 'clip'"):
        make_scorer("relations:clip", scorers[0].backbone)


def test_a_page_says_which_relations_hold_and_what_was_not_read():
    reranker = Reranker.from_pretrained(device="cpu")
    (scene,) = islice(scenes(2, "choose", first=9_500_000), 1)

    def page(prompt):
        ranking = reranker.rank(prompt, picture(scene))
        candidates = tuple(replace(candidate, seed=k) for k, candidate in enumerate(ranking.candidates))
        found = replace(ranking, candidates=candidates)
        return ranking.best.score, render_html(report_of(found), [candidate.image for candidate in candidates])

    score, shown = page("a red cube to the left of a blue ring next to two stars")
    (part,) = score.parts
    assert f"<td>{holds(part.value)}</td>" in shown
    assert "cube to the left of ring" in shown
    assert "Not read, as the places of objects do not answer it: “ring next to stars”. " in shown
    assert "Not judged: “two stars”. One object more or fewer cannot be told reliably enough." in shown
    assert "Not read" not in page("two red cubes and three blue rings")[1]
    assert "Not judged: “two cubes”, “three rings”." in page("two red cubes and three blue rings")[1]
    plain = page("a red cube and one blue ring")[1]
    assert "Not read" not in plain
    assert "Not judged" not in plain
