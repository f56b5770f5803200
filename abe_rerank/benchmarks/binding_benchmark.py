"""``abe-rerank benchmark binding``: does the scorer bind, and does each of its parts earn its place?

One table in one run: scorers and ablations against tasks, accuracy and group score with bootstrap intervals, where the
scorer looks, how well its probabilities are calibrated, and what it costs beside the plain CLIP forward.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from abe_rerank.benchmarks.cases import Case, Judged, judge
from abe_rerank.benchmarks.scene_sources import SceneSource, scene_source
from abe_rerank.evaluation.statistics import Interval, bootstrap_mean, paired_difference
from abe_rerank.scoring import make_scorer, names, title

if TYPE_CHECKING:
    from abe_rerank.backbones import Backbone
    from abe_rerank.scoring import Scorer
    from abe_rerank.scoring.abe import AbeScorer
    from abe_rerank.scoring.terms import AbeSettings
    from abe_rerank.shapes.world import ReportSplit

GLOBAL, ABE = title("clip"), title("abe")


@dataclass(frozen=True)
class Cell:
    """One scorer on one task; ``group`` is None where a case has one picture."""

    scorer: str
    task: str
    cases: int
    accuracy: Interval
    group: Interval | None


@dataclass(frozen=True)
class BindingReport:
    """Everything that one run measured; ``None`` where it was not asked for or cannot be."""

    backbone: str
    stamp: str
    cells: tuple[Cell, ...]
    abe_minus_global: dict[str, Interval]
    error_ratio: dict[str, float]
    pointed_on: str = ""
    pointing: Interval | None = None
    heat: Interval | None = None
    heat_by_chance: float | None = None
    calibration_error: float | None = None
    calibration_mix: dict[str, int] | None = None
    verdicts: dict[str, dict[str, int]] | None = None
    time_ratio: float | None = None


def variants(backbone: Backbone, settings: AbeSettings | None = None, ablate: bool = True) -> dict[str, Scorer]:
    """The baselines, ABE, and ABE with each part taken away or exchanged."""
    from abe_rerank.scoring.abe import AbeScorer

    base = settings or AbeScorer(backbone).settings
    found: dict[str, Scorer] = {title(name): make_scorer(name, backbone) for name in names() if name != "abe"}
    found[ABE] = AbeScorer(backbone, base)
    if not ablate:
        return found
    parts: dict[str, AbeSettings] = {
        "ABE without refinement": replace(base, alpha=0.0, beta=0.0),
        "ABE without region": replace(base, region="whole"),
        "ABE without binding difference": replace(base, mu=0.0),
        "ABE without global term": replace(base, global_weight=0.0),
        "ABE without local term": replace(base, lambda_=0.0),
        "ABE without competition for patches": replace(base, competition=0.0),
        "ABE without neighbours": replace(base, smoothing=0.0),
        "ABE, hard region": replace(base, region="top"),
        "ABE, soft region": replace(base, region="soft", softness=1.0),
        "ABE, token text readout": replace(base, text_readout="token"),
        "ABE, region by object word": replace(base, region_query="object"),
        "ABE, region by full phrase": replace(base, region_query="phrase"),
    }
    readouts = [r for r in backbone.readouts if r != (found[ABE].patch_readout or backbone.readouts[0])]
    parts |= {f"ABE, patch readout {r}": replace(base, patch_readout=r) for r in readouts}
    return found | {name: AbeScorer(backbone, part) for name, part in parts.items() if part != base}


def run(
    backbone: Backbone,
    scenes: int = 300,
    split: ReportSplit = "report",
    ablate: bool = True,
    settings: AbeSettings | None = None,
    source: SceneSource | None = None,
) -> BindingReport:
    """The benchmark on ``scenes`` scenes for each task of a source, None the shapes world.

    Fresh seeds: no other part draws them.
    """
    from abe_rerank.scoring.abe import AbeScorer

    source = source or scene_source("shapes")
    scorers = variants(backbone, settings, ablate)
    results = {name: judge(backbone, scorers, draw(split, scenes)) for name, draw in source.tasks.items()}
    abe = scorers[ABE]
    assert isinstance(abe, AbeScorer)
    return _with_scene_measures(_report(backbone, abe.stamp, results), abe, source, split, scenes)


def run_cases(
    backbone: Backbone, cases: Iterable[Case], ablate: bool = True, settings: AbeSettings | None = None
) -> BindingReport:
    """The same table for cases of a public benchmark; the tasks are the cases' categories."""
    from abe_rerank.scoring.abe import AbeScorer

    scorers = variants(backbone, settings, ablate)
    by_task: dict[str, list[Case]] = {}
    for case in cases:
        by_task.setdefault(case.category, []).append(case)
    abe = scorers[ABE]
    assert isinstance(abe, AbeScorer)
    return _report(backbone, abe.stamp, {task: judge(backbone, scorers, found) for task, found in by_task.items()})


def _report(backbone: Backbone, stamp: str, results: Mapping[str, Mapping[str, Judged]]) -> BindingReport:
    cells = tuple(_cell(name, task, judged) for task, found in results.items() for name, judged in found.items())
    differences = {
        task: paired_difference(np.array(found[ABE].right), np.array(found[GLOBAL].right))
        for task, found in results.items()
    }
    wrong = {task: [1 - float(np.mean(found[n].right)) for n in (ABE, GLOBAL)] for task, found in results.items()}
    ratios = {task: abe / plain if plain else float("nan") for task, (abe, plain) in wrong.items()}
    return BindingReport(f"{backbone.name} ({backbone.weights_hash})", stamp, cells, differences, ratios)


def _cell(name: str, task: str, judged: Judged) -> Cell:
    group = None if np.isnan(judged.group).any() else bootstrap_mean(np.array(judged.group))
    return Cell(name, task, len(judged.right), bootstrap_mean(np.array(judged.right)), group)


def _with_scene_measures(
    report: BindingReport, abe: AbeScorer, source: SceneSource, split: ReportSplit, count: int
) -> BindingReport:
    from abe_rerank.benchmarks.labelled_pairs import localise, probabilities_of, told_pairs, verdict_counts
    from abe_rerank.scoring.calibration import expected_calibration_error

    seen = localise(abe, source.seen(split, count))
    told = told_pairs(abe, split, max(20, count // 3)) if source.own else []
    return replace(
        report,
        pointed_on=source.pointing,
        pointing=bootstrap_mean(seen.pointing),
        heat=bootstrap_mean(seen.heat),
        heat_by_chance=float(seen.chance.mean()),
        calibration_error=expected_calibration_error(*probabilities_of(told)) if told else None,
        calibration_mix=dict(Counter(kind for kind, _ in told)) if told else None,
        verdicts=verdict_counts(told) if told else None,
        time_ratio=time_ratio(abe.backbone, abe.settings),
    )


def time_ratio(backbone: Backbone, settings: AbeSettings | None = None, images: int = 32, repeats: int = 15) -> float:
    """Time of ``score`` with ABE over its time with the global score, both on ``images`` pictures, one prompt.

    The median of the ratios of neighbouring runs, each on pictures not seen before; the two take turns in going first,
    and one run of each warms up. On a CPU it is the time this process computed, so that others on the machine count
    less; on a GPU it is the time on the clock.
    """
    from abe_rerank.parsing import parse

    rng = np.random.default_rng(0)
    spec = parse("a yellow cylinder and a red cube")
    scorers = (make_scorer("abe", backbone, settings), make_scorer("clip", backbone))
    clock = time.process_time if backbone.device.type == "cpu" else time.perf_counter
    ratios = []
    for turn in range(repeats + 1):
        seconds = [0.0, 0.0]
        for which in (0, 1) if turn % 2 else (1, 0):
            pictures = _noise(rng, images)
            start = clock()
            scorers[which].score(pictures, [spec])
            seconds[which] = clock() - start
        ratios.append(seconds[0] / seconds[1])
    return float(np.median(ratios[1:]))


def _noise(rng: np.random.Generator, count: int) -> list[Image.Image]:
    return [Image.fromarray(rng.integers(0, 256, (128, 128, 3), dtype=np.uint8)) for _ in range(count)]


def as_json(report: BindingReport) -> str:
    """The report as JSON."""
    return json.dumps(asdict(report), indent=1)


def as_markdown(report: BindingReport) -> str:
    """The accuracies as a Markdown table, for the scorers' README."""
    tasks = list(dict.fromkeys(cell.task for cell in report.cells))
    lines = [f"| | {' | '.join(tasks)} |", "|---" * (len(tasks) + 1) + "|"]
    for name in dict.fromkeys(cell.scorer for cell in report.cells):
        row = [_percent(cell.accuracy) for cell in report.cells if cell.scorer == name]
        lines.append(f"| {name} | {' | '.join(row)} |")
    differences = " | ".join(_percent(report.abe_minus_global[task]) for task in tasks)
    ratios = " | ".join(f"{report.error_ratio[task]:.2f}" for task in tasks)
    return (
        "\n".join([*lines, f"| ABE minus global | {differences} |", f"| errors of ABE / of global | {ratios} |"]) + "\n"
    )


def as_text(report: BindingReport) -> str:
    """The report as tables for a terminal."""
    from abe_rerank.files import table

    tasks = list(dict.fromkeys(cell.task for cell in report.cells))
    names = list(dict.fromkeys(cell.scorer for cell in report.cells))
    cells = {(cell.scorer, cell.task): cell for cell in report.cells}
    header = ["", *tasks]
    accuracy = [["cases", *(str(cells[names[0], task].cases) for task in tasks)]]
    accuracy += [[name, *(_percent(cells[name, task].accuracy) for task in tasks)] for name in names]
    accuracy += [["ABE minus global", *(_percent(report.abe_minus_global[task]) for task in tasks)]]
    accuracy += [["errors of ABE / of global", *(f"{report.error_ratio[task]:.2f}" for task in tasks)]]
    groups = [[name, *(_percent(cells[name, task].group) for task in tasks)] for name in names]
    lines = [
        f"backbone {report.backbone}",
        f"stamp {report.stamp}",
        "\nprefers the right caption, per cent [95 % bootstrap interval]; chance is 50 for two captions",
        table(header, accuracy),
    ]
    if any(cell.group for cell in report.cells):
        lines += ["\ngroup score: both captions and both pictures right, per cent; chance is 17", table(header, groups)]
    return "\n".join((*lines, *_measures(report))) + "\n"


def _percent(interval: Interval | None) -> str:
    if interval is None:
        return "-"
    return f"{100 * interval.mean:.1f} [{100 * interval.low:.0f}, {100 * interval.high:.0f}]"


def _measures(report: BindingReport) -> list[str]:
    lines = []
    if report.pointing is not None:
        lines.append(f"\npointing, {report.pointed_on}: {report.pointing}")
    if report.heat is not None:
        lines.append(f"heat on the object's mask: {report.heat} (by chance {report.heat_by_chance:.3f})")
    if report.calibration_error is not None and report.calibration_mix is not None:
        mix = ", ".join(f"{count} {kind}" for kind, count in sorted(report.calibration_mix.items()))
        lines.append(f"expected calibration error: {report.calibration_error:.3f} ({mix})")
    for kind, counts in (report.verdicts or {}).items():
        said = ", ".join(f"{verdict} {count}" for verdict, count in sorted(counts.items(), key=lambda x: -x[1]))
        lines.append(f"verdicts on {kind} pairs: {said}")
    if report.time_ratio is not None:
        lines.append(f"time of score with ABE / with the global score, 32 new images: {report.time_ratio:.2f}")
    return lines


def main(
    backbone: Backbone,
    scenes: int = 300,
    split: ReportSplit = "report",
    data: Iterable[Case] | None = None,
    ablate: bool = True,
    json_output: bool = False,
    scenes_from: str = "shapes",
) -> str:
    """Run the benchmark and return its text or JSON.

    ``data`` are the cases of a public benchmark, as :func:`abe_rerank.benchmarks.cases.read_cases` gives them; None is
    the scenes of ``scenes_from``. Raises UsageError for an unknown source, or files that are not there.
    """
    source = scene_source(scenes_from)
    report = run(backbone, scenes, split, ablate, source=source) if data is None else run_cases(backbone, data, ablate)
    return as_json(report) if json_output else as_text(report)
