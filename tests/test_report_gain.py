"""First, random and picked, and the best of k, against counting by hand."""

from __future__ import annotations

from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sample_reports import ranking_of, report_of

from abe_rerank.report.sections.usual import chart_of, expected_pick, gain_of


@given(st.lists(st.floats(-5, 5), min_size=1, max_size=7), st.data())
def test_the_expected_pick_is_the_mean_over_all_draws(quantities, data):
    k = data.draw(st.integers(1, len(quantities)))
    draws = list(combinations(range(len(quantities)), k))  # rank order: the first of a draw is its best
    by_hand = sum(quantities[min(draw)] for draw in draws) / len(draws)
    assert expected_pick(quantities, k) == pytest.approx(by_hand, abs=1e-9)


@pytest.mark.parametrize("k", [0, 3])
def test_more_or_fewer_than_there_are_is_refused(k):
    with pytest.raises(ValueError, match="between 1 and 2"):
        expected_pick([1.0, 2.0], k)


def test_the_gain_of_a_report_is_that_of_its_scored_candidates():
    gain = gain_of(report_of(ranking_of("a red cube", values=(0.5, 0.2, 0.1, None))).candidates)
    assert (gain.picked.score, gain.picked.in_place) == (pytest.approx(0.5), 1)
    assert (gain.random.score, gain.random.in_place) == (pytest.approx(0.8 / 3), pytest.approx(1 / 3))
    assert (gain.first.score, gain.first.name) == (pytest.approx(0.5), "first (seed 0)")
    assert [s.score for s in gain.best_of] == pytest.approx([0.8 / 3, (2 * 0.5 + 0.2) / 3, 0.5])


def test_there_is_no_first_where_it_was_not_scored_and_no_gain_without_scores():
    ranking = ranking_of("a red cube", values=(None, 0.2))
    ordered = tuple(reversed(ranking.candidates))
    report = report_of(type(ranking)(ranking.prompt, ranking.spec, ordered, ranking.settings))
    assert gain_of(report.candidates).first is None
    assert gain_of(report.candidates[1:]) is None


def test_the_chart_rises_to_the_picked_image_and_its_axes_name_both_ends():
    gain = gain_of(report_of(ranking_of("a red cube", values=tuple(1 - k / 30 for k in range(30)))).candidates)
    chart = chart_of(gain)
    heights = [point.y for point in chart.points]
    assert heights == sorted(heights, reverse=True)  # pixels count downwards
    assert [chart.x_ticks[0].label, chart.x_ticks[-1].label] == ["1", "30"]
    assert len(chart.x_ticks) <= 9
    assert chart.y_ticks[-1].value == pytest.approx(gain.picked.score)
    assert all(0 <= p.x <= chart.width and 0 <= p.y <= chart.height for p in (*chart.points, chart.first))
    assert chart_of(gain_of(report_of(ranking_of("a red cube", values=(0.5,))).candidates)) is None
