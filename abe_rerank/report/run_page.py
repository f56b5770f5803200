"""``report.html`` of an evaluation run, and the page that puts two runs side by side; made from what is stored."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from abe_rerank.errors import UsageError
from abe_rerank.evaluation.comparison import compare_numbers
from abe_rerank.evaluation.numbers import RunNumbers
from abe_rerank.evaluation.soft_tifa import MEANS
from abe_rerank.evaluation.summary import load, summary_of
from abe_rerank.evaluation.summary_schema import Choices, Comparison, Difference, Estimate, Group, RunSummary, SoftTifa
from abe_rerank.files import readable, words_of, write_whole
from abe_rerank.report.pages import render_page
from abe_rerank.report.run_data import Data, data_of, maps_fit
from abe_rerank.report.sentences import NAMES, difference_found, found, metric_name, p_value
from abe_rerank.runs.evaluated import RunRecord
from abe_rerank.runs.records import ModelRecord

ASSETS = ("base.css", "run.css", "heat.js", "copy.js", "run.js")

SHARES = ("bound", "oracle", "probability")
"""The numbers that lie in [0, 1]."""


@dataclass(frozen=True)
class Axis:
    """The range of a plot of intervals."""

    low: float
    high: float

    @classmethod
    def around(cls, values: Iterable[float]) -> Axis:
        """An axis with a little room around ``values``, of which there is at least one."""
        listed = list(values)
        room = 0.05 * (max(listed) - min(listed)) or 0.05
        return cls(min(listed) - room, max(listed) + room)

    def place(self, value: float) -> float:
        """Where a value lies, in percent from the left."""
        return round(100 * (value - self.low) / (self.high - self.low), 2)


@dataclass(frozen=True)
class Row:
    """A category (None: all prompts) with one number of its prompts."""

    category: str | None
    prompts: int
    choices: Choices


@dataclass(frozen=True)
class Table:
    """One number over all prompts and by category, on one axis."""

    name: str
    title: str
    rows: tuple[Row, ...]
    axis: Axis

    @property
    def by_global(self) -> bool:
        """Whether it is known what the global score would have picked."""
        return any(row.choices.picked_by_global_score is not None for row in self.rows)


def run_page(folder: Path) -> Path:
    """Write ``report.html`` into the folder of an evaluation run; gives its path.

    Raises UsageError for a run without a finished prompt, AbeRerankError for files that are damaged or not writable.
    """
    numbers = load(folder)
    return write_run_page(folder, numbers, summary_of(numbers))


def write_run_page(folder: Path, numbers: RunNumbers, summary: RunSummary) -> Path:
    """As :func:`run_page`, of a run that was read and summarised already."""
    data = data_of([numbers], folder)
    context = {
        "summary": summary,
        "record": numbers.run.record,
        "tables": tables_of(summary),
        "names": NAMES,
        "found": found,
        "curve": [point for point in summary.all.curve if point.bound or point.oracle or point.judge],
        "soft": summary.soft_tifa,
        "soft_curves": [] if summary.soft_tifa is None else soft_curves(summary.soft_tifa),
    }
    return _write(folder / "report.html", "run.html.jinja", context, data, [numbers])


def comparison_page(folder_a: Path, folder_b: Path) -> Path:
    """Write the page that compares run B with run A into the folder of A; gives its path.

    Raises UsageError for runs without a prompt in common, and as :func:`run_page` does.
    """
    numbers = [load(folder_a), load(folder_b)]
    compared = dict(_comparisons(*numbers))
    data = data_of(numbers, folder_a)
    records = [one.run.record for one in numbers]
    context = {
        "folders": [readable(folder_a), readable(folder_b)],
        "sides": [
            f"{letter}: {readable(place.absolute().name)}"
            for letter, place in zip("AB", (folder_a, folder_b), strict=True)
        ],
        "records": records,
        "facts": _facts(*records),
        "compared": {name: c for name, c in compared.items() if isinstance(c, Comparison)},
        "refused": {name: reason for name, reason in compared.items() if isinstance(reason, str)},
        "axes": {name: _axis_of(c) for name, c in compared.items() if isinstance(c, Comparison)},
        "metric_name": metric_name,
        "p_value": p_value,
        "difference_found": difference_found,
        "left_out": sum(len(one.prompts) for one in numbers) - 2 * len(data),
    }
    path = folder_a / f"against-{words_of(folder_b.absolute().name)}.html"
    return _write(path, "comparison.html.jinja", context, data, numbers)


def tables_of(summary: RunSummary) -> list[Table]:
    """A table for each number that the run has."""
    found = []
    for name, title in NAMES.items():
        groups: Sequence[Group] = (summary.all, *summary.categories)
        rows = [
            Row(group.category, group.counts.prompts, choices)
            for group in groups
            if (choices := getattr(group, name)) is not None
        ]
        if rows:
            shown = [estimate for row in rows for estimate in (row.choices.first, row.choices.picked)]
            axis = Axis(0.0, 1.0) if name in SHARES else Axis.around(_ends(shown))
            found.append(Table(name, title, tuple(rows), axis))
    return found


def _comparisons(a: RunNumbers, b: RunNumbers) -> Iterable[tuple[str, Comparison | str]]:
    """Each metric's comparison, or why the runs cannot be compared by it."""
    for metric in ("bound-picked", "oracle-picked", "judge-picked", "picked", "bound-first", "oracle-first", "first"):
        try:
            comparison = compare_numbers(a, b, metric, top=0)
        except UsageError as error:
            yield metric, str(error)
            continue
        if comparison.all.difference is not None:
            yield metric, comparison


def _axis_of(comparison: Comparison) -> Axis:
    differences = [g.difference for g in (comparison.all, *comparison.categories) if g.difference is not None]
    return Axis.around([0.0, *(end for d in differences for end in (d.low, d.high))])


def _ends(estimates: Iterable[Estimate | Difference]) -> list[float]:
    return [end for estimate in estimates for end in (estimate.low, estimate.high)]


def _facts(a: RunRecord, b: RunRecord) -> Mapping[str, tuple[str, str]]:
    """What the two runs are, fact by fact."""

    def of(record: RunRecord) -> dict[str, str]:
        model = record.text_to_image
        return {
            "text-to-image model": "none: images that were there" if model is None else _model(model),
            "backbone": _model(record.backbone),
            "scorer": record.scorer,
            "suite": record.suite,
            "images of a prompt": str(record.n),
            "settings": ", ".join(f"{name} {value}" for name, value in record.settings.items()),
            "made": record.created,
        }

    first, second = of(a), of(b)
    return {name: (first[name], second[name]) for name in first}


def _model(model: ModelRecord) -> str:
    return f"{model.name} ({model.kind}, weights {model.weights[:12]})"


def _write(
    path: Path, template: str, context: Mapping[str, object], data: Sequence[Data], runs: Sequence[RunNumbers]
) -> Path:
    shown = {
        "data": data,
        "categories": list(dict.fromkeys(prompt["category"] for prompt in data)),
        "images": sum(len(numbers.images) for numbers in runs),
        "maps": maps_fit(runs),
        "judged": any(numbers.run.record.oracle for numbers in runs),
    }
    page = render_page(template, ASSETS, {**context, **shown}, linked=True)
    write_whole(path, page.encode())
    return path


WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 480.0, 200.0, 40.0, 14.0, 12.0, 30.0


@dataclass(frozen=True)
class SoftPoint:
    """A mean at a number of atoms, with the ends of its interval; pixels from the top left."""

    x: float
    y: float
    top: float
    bottom: float
    atoms: int
    label: str


@dataclass(frozen=True)
class SoftCurve:
    """One of the two means over the numbers of atoms."""

    name: str
    title: str
    points: tuple[SoftPoint, ...]

    @property
    def path(self) -> str:
        """The line as an SVG ``points`` attribute."""
        return " ".join(f"{point.x:.1f},{point.y:.1f}" for point in self.points)


def soft_curves(soft: SoftTifa) -> list[SoftCurve]:
    """A curve for each mean; none where all prompts have equally many atoms."""
    counts = [at.atoms for at in soft.by_count]
    if len(counts) < 2:
        return []

    def across(atoms: int) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * (atoms - counts[0]) / (counts[-1] - counts[0])

    def down(value: float) -> float:
        return TOP + (HEIGHT - TOP - BOTTOM) * (1 - value)

    curves = []
    for name, title in MEANS.items():
        points = []
        for at in soft.by_count:
            found = getattr(at, name)
            label = f"{title}, {at.atoms} atoms: {found.mean:.3f}"
            points.append(
                SoftPoint(across(at.atoms), down(found.mean), down(found.high), down(found.low), at.atoms, label)
            )
        curves.append(SoftCurve(name, title, tuple(points)))
    return curves
