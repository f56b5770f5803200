"""A strategy that is followed in memory: draws, scores, gives each candidate out, and tells how it went."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace

from abe_rerank.drawing.strategies import Strategy, Tried, settings_of
from abe_rerank.recipes import Course, Drawing, Recipe
from abe_rerank.types import Candidate, Samples

Draw = Callable[[Sequence[Recipe], Drawing], Generator[Samples, None, None]]
"""Draws pictures by their recipes: a generator of batches, see :func:`abe_rerank.drawing.sampling.batches`."""


@dataclass(frozen=True)
class Pursuit:
    """The candidates that may be picked, in the order of drawing, how they were drawn, and how it went."""

    candidates: tuple[Candidate, ...]
    drawing: Drawing
    course: Course


def pursue(
    strategy: Strategy,
    drawing_of: Callable[[int], Drawing],
    draw: Draw,
    score: Callable[[Samples], list[Candidate]],
    on_candidate: Callable[[Candidate], object] | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> Pursuit:
    """Draw and score what ``strategy`` asks for until it asks for no more, or ``on_candidate`` returns False.

    ``drawing_of`` says how so many pictures are drawn. Where memory runs out, the pictures of a step are drawn again in
    smaller batches, and given again; so are the later ones. Drafts can be picked only where nothing else was drawn.
    """
    began, stopped, why = clock(), False, "it was stopped"
    tried: list[Candidate] = []
    final, most = drawing_of(1), None
    while not stopped:
        step = strategy.next([_tried(one) for one in tried], clock() - began)
        why = step.why or why
        if not step.recipes:
            break
        asked = _at_most(most, drawing_of(len(step.recipes)))
        new: list[Candidate] = []
        with closing(draw(step.recipes, asked)) as drawn:
            for batch in drawn:
                scored = score(batch)
                if batch.drawing != asked:
                    new, asked, most = [], batch.drawing, batch.drawing.batch_size
                new += scored
                stopped = on_candidate is not None and False in [on_candidate(one) is not False for one in scored]
                if stopped:
                    why = "it was stopped"
                    break
        tried += new
        final = asked
        if step.why:
            break
    whole = [candidate for candidate in tried if candidate.recipe.steps is None]
    course = Course(
        strategy.name, settings_of(strategy), len(whole), len(tried) - len(whole), round(clock() - began, 3), why
    )
    kept = tuple(whole or tried)
    return Pursuit(kept, replace(final, n=len(kept)), course)


def _tried(candidate: Candidate) -> Tried:
    score = candidate.score
    return Tried(candidate.recipe, score.value, score.status, tuple(pair.probability for pair in score.pairs))


def _at_most(batch_size: int | None, drawing: Drawing) -> Drawing:
    return drawing if batch_size is None else replace(drawing, batch_size=min(batch_size, drawing.batch_size))
