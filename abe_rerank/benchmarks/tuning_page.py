"""What is said of a tuning, in words and on a page: what was measured, how probabilities agree with the truth, and
scenes as they were asked."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterator, Mapping
from io import BytesIO
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np

from abe_rerank.benchmarks.choosing import TUNED
from abe_rerank.benchmarks.preferences import Right, gain, is_swap, preferences, tasks
from abe_rerank.benchmarks.tune import GLOBAL, Outcome
from abe_rerank.evaluation.statistics import Interval
from abe_rerank.files import table, write_whole
from abe_rerank.parsing import parse
from abe_rerank.report.pages import render_page
from abe_rerank.scoring.abe import AbeScorer
from abe_rerank.scoring.clip import ClipScorer

if TYPE_CHECKING:
    from abe_rerank.backbones import DualEncoder

PAGE = "tuned.html"
_EXAMPLES = 6


def write_page(backbone: DualEncoder, outcome: Outcome) -> None:
    """Write the page beside what is kept. Raises AbeRerankError if it cannot be written."""
    context = {
        "backbone": backbone.name,
        "tuned": outcome.tuned,
        "sentences": sentences(outcome),
        "rows": outcome.rows,
        "settings": dict(vars(outcome.choice.settings)),
        "scorers": list(next(iter(outcome.right.values()))),
        "tasks": [(task, preferences(task, found)) for task, found in outcome.right.items()],
        "bins": bins(outcome.probabilities, outcome.bound),
        "examples": list(_examples(backbone, outcome)),
    }
    page = render_page("tuned.html.jinja", ["base.css"], context, linked=False)
    write_whole(outcome.folder / PAGE, page.encode())


def bins(probabilities: np.ndarray, bound: np.ndarray, count: int = 10) -> list[tuple[float, float, int]]:
    """(mean probability, share bound, pairs) of each bin of equal width that holds a pair."""
    place = np.minimum((probabilities * count).astype(int), count - 1)
    held = [place == k for k in range(count) if (place == k).any()]
    return [(float(probabilities[m].mean()), float(bound[m].mean()), int(m.sum())) for m in held]


def _examples(backbone: DualEncoder, outcome: Outcome) -> Iterator[dict[str, Any]]:
    """A scene of each of some tasks, with its caption and the other one, and what two scorers prefer."""
    scorers = {TUNED: AbeScorer(backbone, outcome.choice.settings), GLOBAL: ClipScorer(backbone)}
    for task, draw in islice(tasks().items(), _EXAMPLES):
        case = next(draw("report", 1))
        picture: Any = case.images[0]
        file = BytesIO()
        picture.convert("RGB").resize((160, 160)).save(file, format="PNG")
        specs = [parse(caption) for caption in case.captions]
        values = {name: scorer.score([picture], specs)[0] for name, scorer in scorers.items()}
        yield {
            "task": task,
            "picture": "data:image/png;base64," + b64encode(file.getvalue()).decode("ascii"),
            "right": case.captions[0],
            "wrong": case.captions[1],
            "prefers": {name: bool(value[0] > value[1]) for name, value in values.items()},
        }


def as_text(outcome: Outcome) -> str:
    """The outcome in words and a table."""
    names = list(next(iter(outcome.right.values())))
    lines = []
    for task, found in outcome.right.items():
        cells = {row.scorer: f"{row.captions.mean:.2f} / {row.pictures.mean:.2f}" for row in preferences(task, found)}
        lines.append([task, *(cells[name] for name in names)])
    said = [
        table(["right caption / right picture", *names], lines),
        *sentences(outcome),
        *([outcome.rows] if outcome.rows else []),
        f"kept in {outcome.folder}; the page: {outcome.folder / PAGE}",
    ]
    return "\n".join(said)


def sentences(outcome: Outcome) -> list[str]:
    """What was measured on scenes held back, in words."""
    groups = {
        "Where two attributes are swapped": [n for n in outcome.right if is_swap(n)],
        "Where a colour or a shape is replaced": [n for n in outcome.right if not is_swap(n)],
    }
    said = [outcome.choice.why] if outcome.choice.why else []
    for opening, names in groups.items():
        found = {name: outcome.right[name] for name in names}
        shares = ", ".join(f"{scorer} in {_both(found, scorer)}" for scorer in next(iter(found.values())))
        said.append(f"{opening}, the right caption and picture are preferred: {shares}.")
    said.append(f"Calibration error {outcome.tuned.error:.3f} over {len(outcome.bound)} pairs. {outcome.tuned.advice}.")
    return said


def _both(found: Mapping[str, Right], scorer: str) -> Interval:
    nothing: Mapping[str, Right] = {
        n: {**f, "": ([0.0] * len(f[scorer][0]), [0.0] * len(f[scorer][1]))} for n, f in found.items()
    }
    return gain(nothing, scorer, "")
