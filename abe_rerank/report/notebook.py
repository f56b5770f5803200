"""What values show in a notebook: a ranking its pictures and verdicts, a score its pairs, a spec its words.

HTML that needs no network and no script, follows the notebook's light or dark theme, and stays under :data:`BUDGET`
characters with its pictures, so that a saved notebook stays small. All text is escaped.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import singledispatch
from io import BytesIO
from itertools import groupby

from markupsafe import Markup
from PIL import Image

from abe_rerank.report.pages import asset, fill
from abe_rerank.report.sentences import mark, pieces
from abe_rerank.report.views import ranked
from abe_rerank.runs.records import ParseRecord, ScoreRecord
from abe_rerank.types import Ranking, Score, Spec

MOST = 12
"""How many pictures of a ranking are shown."""

BUDGET = 96_000
"""Characters that the pictures of a ranking take at most."""

_LADDER = ((192, 82), (160, 80), (128, 78), (96, 75), (64, 60))
"""Longest side in pixels and JPEG quality, tried in this order until the budget is kept; the last always keeps it."""


@singledispatch
def html_of(value: object) -> str:
    """The HTML of a ranking, a score or a spec. Raises TypeError for anything else."""
    raise TypeError(f"a {type(value).__name__} does not show itself in notebooks")


@html_of.register
def _(spec: Spec) -> str:
    return _filled("notebook_spec.html.jinja", _reading(spec) | {"parse": ParseRecord.of(spec), "ignored": _left(spec)})


@html_of.register
def _(score: Score) -> str:
    return _filled("notebook_score.html.jinja", {"score": ScoreRecord.of(score)})


@html_of.register
def _(ranking: Ranking) -> str:
    shown = ranked(replace(ranking, candidates=ranking.top_k(MOST)))
    images = thumbnails([candidate.image for candidate in ranking.top_k(MOST)])
    views = zip(shown.candidates, images, strict=True)
    cells = [(candidate, image, [mark(pair) for pair in candidate.score.pairs]) for candidate, image in views]
    context = {"shown": shown, "cells": cells, "more": len(ranking.candidates) - len(cells)}
    return _filled("notebook_ranking.html.jinja", _reading(ranking.spec) | context)


def thumbnails(images: Sequence[Image.Image]) -> list[str]:
    """The pictures, small, as data URIs of JPEG that take :data:`BUDGET` characters together at most."""
    for side, quality in _LADDER:
        made = [_data_uri(image, side, quality) for image in images]
        if sum(map(len, made)) <= BUDGET:
            break
    return made


def _data_uri(image: Image.Image, side: int, quality: int) -> str:
    small = image.convert("RGB")
    small.thumbnail((side, side))
    buffer = BytesIO()
    small.save(buffer, format="jpeg", quality=quality, optimize=True)
    return f"data:image/jpeg;base64,{b64encode(buffer.getvalue()).decode('ascii')}"


def _reading(spec: Spec) -> dict[str, object]:
    return {"pieces": pieces(spec.prompt, ParseRecord.of(spec))}


def _left(spec: Spec) -> dict[str, list[str]]:
    """The words that were not bound, by the reason."""
    ordered = sorted(spec.ignored, key=lambda word: word.reason)
    return {reason: [word.text for word in words] for reason, words in groupby(ordered, key=lambda word: word.reason)}


def _filled(template: str, context: Mapping[str, object]) -> str:
    return str(fill(template, {"css": Markup(asset("notebook.css")), **context}))
