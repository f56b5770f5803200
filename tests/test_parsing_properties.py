"""Properties of the parser on any text: spans match, determinism, no errors, time linear in the length."""

from __future__ import annotations

import sys

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from test_parsing import check_spans

from abe_rerank.parsing import parse

WORDS = [
    *(
        "a",
        "the",
        "red",
        "blue",
        "cube",
        "spheres",
        "of",
        "with",
        "one",
        "two",
        "and",
        ",",
        ".",
        "that",
        "is",
        "are",
        "it",
    ),
    *(
        "orange",
        "-",
        "made",
        "painted",
        "no",
        "'s",
        "texture",
        "in",
        "shape",
        "style",
        "photo",
        "(",
        ")",
        "é",
        "中",
        "🙂",
    ),
    *("without", "has", "pair", "piece", "not", "very", "striped", "wood", "glass", "on top of", "next", "to", "which"),
    *("whose", "respectively", '"', "\n", ""),
]

quick = settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))


@quick
@given(st.text(max_size=300))
def test_any_text_gives_spans_that_match(text):
    check_spans(parse(text))


@quick
@given(st.lists(st.sampled_from(WORDS), max_size=40).map(" ".join))
def test_any_order_of_words_gives_spans_that_match(text):
    spec = parse(text)
    check_spans(spec)
    assert all(0 <= r.subject < len(spec.objects) and 0 <= r.object < len(spec.objects) for r in spec.relations)


@quick
@given(st.lists(st.sampled_from(WORDS), max_size=30).map(" ".join))
def test_parsing_is_deterministic(text):
    assert parse(text) == parse(text)


COLOURS = ["red", "green", "blue", "yellow", "purple", "black"]
NOUNS = ["cube", "dog", "car", "vase", "teddy bear", "tree"]


@quick
@given(st.lists(st.tuples(st.sampled_from(COLOURS), st.sampled_from(NOUNS)), min_size=1, max_size=6))
def test_a_list_of_attributed_objects_is_read_back(pairs):
    prompt = ", ".join(f"a {colour} {noun}" for colour, noun in pairs)
    assert parse(prompt).pairs == tuple(pairs)


@quick
@given(st.tuples(st.sampled_from(COLOURS), st.sampled_from(NOUNS)), st.integers(0, 5))
def test_white_space_around_changes_nothing(pair, pad):
    prompt = f"a {pair[0]} {pair[1]}"
    assert parse(" " * pad + prompt + " " * pad).pairs == parse(prompt).pairs == (pair,)


LONG = [
    "a red cube and ",
    "(",
    "x",
    "red, ",
    "and ",
    '"',
    "'",
    "a-",
    "a red, ",
    "🙂",
    "the red cube ",
    "made of ",
    "a's ",
    ":)",
]


@pytest.mark.parametrize("unit", LONG)
def test_the_work_is_linear_in_the_length(unit):
    """Calls of Python functions, which do not depend on the clock, at most triple when the text doubles."""

    def calls(text: str) -> int:
        count = 0

        def on_event(frame, event, argument):
            nonlocal count
            count += event in ("call", "c_call")

        sys.setprofile(on_event)
        try:
            parse(text)
        finally:
            sys.setprofile(None)
        return count

    text = (unit * 4000)[:4000]
    calls(text)
    assert calls(text + text) <= 3 * calls(text) + 2000


def test_ten_thousand_characters_of_anything_are_read():
    for unit in LONG:
        check_spans(parse((unit * 10_000)[:10_000]))
