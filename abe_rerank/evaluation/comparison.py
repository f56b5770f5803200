"""Two runs paired by prompt: :class:`~abe_rerank.evaluation.summary_schema.Comparison`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np

from abe_rerank.errors import UsageError
from abe_rerank.evaluation.measures import Mask, Measure, choices_of, measures_of
from abe_rerank.evaluation.numbers import Ints, Prompt, RunNumbers
from abe_rerank.evaluation.statistics import bootstrap_ratios, draws_for, sign_flips
from abe_rerank.evaluation.summary import LEVEL, SEED, load, run_info
from abe_rerank.evaluation.summary_schema import ComparedGroup, ComparedPrompt, Comparison, Difference, PromptName
from abe_rerank.files import readable
from abe_rerank.runs.reading import result_at

ImageChoice = Literal["first", "mean", "picked"]

METRICS: Mapping[str, tuple[str, ImageChoice]] = {
    "first": ("score", "first"),
    "mean": ("score", "mean"),
    "picked": ("score", "picked"),
    "bound": ("bound", "mean"),
    "bound-first": ("bound", "first"),
    "bound-picked": ("bound", "picked"),
    "judge": ("judge", "mean"),
    "judge-first": ("judge", "first"),
    "judge-picked": ("judge", "picked"),
    "oracle": ("oracle", "mean"),
    "oracle-first": ("oracle", "first"),
    "oracle-picked": ("oracle", "picked"),
}
"""What a metric's name means: a number, and of which image; "mean" is over all images of the prompt."""


@dataclass(frozen=True)
class _Side:
    """One run as the comparison sees it: its number by prompt, where its prompts are, and the image they are about."""

    numbers: RunNumbers
    measure: Measure
    places: dict[tuple[str, str], int]
    choice: ImageChoice

    def images(self, place: int) -> tuple[str | None, ...]:
        """The paths of the images that the number of a prompt is about."""
        images, run = self.numbers.images, self.numbers.run
        if self.choice == "mean":
            first, end = np.searchsorted(images.prompt, [place, place + 1])
            rows = range(first, end)
        else:
            rows = range(self._chosen[place], self._chosen[place] + 1)
        found = (result_at(run, images.file[row], images.offset[row]).image for row in rows)
        return tuple(None if image is None else readable(run.image_path(image)) for image in found)

    @cached_property
    def _chosen(self) -> Ints:
        chosen = choices_of(self.numbers.images)
        return chosen.picked if self.choice == "picked" else chosen.starts


@dataclass(frozen=True)
class _Pairs:
    """Prompts of both runs, by their places in A and in B; those of ``comparable`` have the number in both."""

    prompts: tuple[Prompt, ...]
    in_a: Ints
    in_b: Ints
    comparable: Mask

    def of_category(self, category: str | None) -> Mask:
        """The prompts of a category, or all."""
        return np.array([category is None or prompt.category == category for prompt in self.prompts])


def compare(folder_a: Path, folder_b: Path, metric: str = "mean", top: int = 10) -> Comparison:
    """B against A by one of :data:`METRICS`; ``top`` is how many of the prompts that differ most are named.

    Raises UsageError for an unknown metric, runs whose numbers do not compare or that share no prompt, and what
    reading a run raises.
    """
    if metric not in METRICS:
        raise UsageError(f"unknown metric {metric!r}; choose from {', '.join(METRICS)}")
    return compare_numbers(load(folder_a), load(folder_b), metric, top)


def compare_numbers(first: RunNumbers, second: RunNumbers, metric: str, top: int) -> Comparison:
    """As :func:`compare`, of runs that were read already."""
    quantity, choice = METRICS[metric]
    runs = first, second
    _check_comparable(quantity, *runs)
    a, b = (_Side(n, measures_of(n.images)[f"{quantity}.{choice}"], _places(n), choice) for n in runs)
    pairs = _pairs(a, b)
    categories = dict.fromkeys(prompt.category for prompt in pairs.prompts)
    return Comparison(
        metric=metric,
        level=LEVEL,
        seed=SEED,
        a=run_info(a.numbers),
        b=run_info(b.numbers),
        all=_group(None, pairs, a, b),
        categories=tuple(_group(category, pairs, a, b) for category in categories),
        largest=_largest(pairs, a, b, top),
        not_comparable=_names(pairs.prompts[k] for k in np.flatnonzero(~pairs.comparable)),
        only_in_a=_names(a.numbers.prompts[place] for key, place in a.places.items() if key not in b.places),
        only_in_b=_names(b.numbers.prompts[place] for key, place in b.places.items() if key not in a.places),
    )


def _check_comparable(quantity: str, a: RunNumbers, b: RunNumbers) -> None:
    first, second = a.run.record, b.run.record
    names = f"{a.run.path} and {b.run.path}"
    other = "or compare what the oracle says, with --metric oracle"
    if quantity == "oracle":
        for numbers in (a, b):
            if not numbers.run.record.oracle:
                raise UsageError(f"the run {numbers.run.path} was not judged by the oracle; evaluate a suite of shapes")
    elif quantity == "judge":
        if first.judge is None or first.judge != second.judge:
            said = f"{first.judge or 'none'}; {second.judge or 'none'}"
            raise UsageError(f"{names} need one and the same judge ({said}); evaluate with equal --judge, {other}")
    elif (first.scorer, first.backbone.weights) != (second.scorer, second.backbone.weights):
        said = f"{first.scorer}; {second.scorer}"
        raise UsageError(
            f"{names} were scored by different scorers, whose numbers do not compare ({said}); "
            f"score again with equal --scorer and --backbone, {other}"
        )


def _places(numbers: RunNumbers) -> dict[tuple[str, str], int]:
    """The prompts of a run by id and text. Raises UsageError if one stands twice."""
    places = {(prompt.id, prompt.text): k for k, prompt in enumerate(numbers.prompts)}
    if len(places) < len(numbers.prompts):
        twice = next(p for k, p in enumerate(numbers.prompts) if places[(p.id, p.text)] != k)
        raise UsageError(f"the prompt {twice.id} ({twice.text}) stands twice in {numbers.run.path}; give it ids")
    return places


def _pairs(a: _Side, b: _Side) -> _Pairs:
    common = [key for key in a.places if key in b.places]
    if not common:
        raise UsageError(
            f"{a.numbers.run.path} and {b.numbers.run.path} have no prompt in common; evaluate them on one suite"
        )
    in_a, in_b = np.array([a.places[key] for key in common]), np.array([b.places[key] for key in common])
    weights = a.measure.denominator[in_a], b.measure.denominator[in_b]
    comparable = (weights[0] > 0) & (weights[0] == weights[1])
    return _Pairs(tuple(a.numbers.prompts[place] for place in in_a), in_a, in_b, comparable)


def _group(category: str | None, pairs: _Pairs, a: _Side, b: _Side) -> ComparedGroup:
    rows = pairs.of_category(category)
    counted = rows & pairs.comparable
    difference = _difference(pairs, counted, a.measure, b.measure) if counted.any() else None
    return ComparedGroup(category=category, matched=int(rows.sum()), difference=difference)


def _difference(pairs: _Pairs, rows: Mask, a: Measure, b: Measure) -> Difference:
    first, second = a.numerator[pairs.in_a[rows]], b.numerator[pairs.in_b[rows]]
    weight = a.denominator[pairs.in_a[rows]]
    draws = draws_for(len(weight))
    interval = bootstrap_ratios((second - first)[:, None], weight[:, None], LEVEL, draws, SEED)[0]
    flips = sign_flips(second - first, draws, SEED)
    return Difference(
        prompts=len(weight),
        a=first.sum() / weight.sum(),
        b=second.sum() / weight.sum(),
        difference=interval.mean,
        low=interval.low,
        high=interval.high,
        p_value=flips.p_value,
        patterns=flips.patterns,
        exact=flips.exact,
    )


def _largest(pairs: _Pairs, a: _Side, b: _Side, top: int) -> tuple[ComparedPrompt, ...]:
    """The prompts that differ most, the largest difference first; equal ones keep the order of the run."""
    first, second = a.measure.values[pairs.in_a], b.measure.values[pairs.in_b]
    gap = np.where(pairs.comparable, second - first, 0.0)
    order = [k for k in np.argsort(-np.abs(gap), kind="stable")[:top] if gap[k]]
    return tuple(
        ComparedPrompt(
            prompt_id=pairs.prompts[k].id,
            category=pairs.prompts[k].category,
            prompt=pairs.prompts[k].text,
            a=first[k],
            b=second[k],
            difference=gap[k],
            images_a=a.images(int(pairs.in_a[k])),
            images_b=b.images(int(pairs.in_b[k])),
        )
        for k in order
    )


def _names(prompts: Iterable[Prompt]) -> tuple[PromptName, ...]:
    return tuple(PromptName(prompt_id=p.id, category=p.category, prompt=p.text) for p in prompts)
