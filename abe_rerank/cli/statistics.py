"""``abe-rerank summarize`` and ``abe-rerank compare``: read run folders, print what they say."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from abe_rerank.cli.terminal import note, say
from abe_rerank.errors import UsageError
from abe_rerank.evaluation.tables import FORMATS, Format


def summarize(runs: Sequence[Path], form: str | None, as_json: bool) -> None:
    """Print the summary of one or more runs."""
    from abe_rerank.evaluation.summary import gone_note, load, summary_of_all
    from abe_rerank.evaluation.summary_tables import show_summary

    chosen = format_of(form, as_json)
    loaded = [load(folder) for folder in runs]
    for line in filter(None, map(gone_note, loaded)):
        note(line)
    say(show_summary(summary_of_all(loaded), chosen))


def compare(run_a: Path, run_b: Path, metric: str, top: int, form: str | None, as_json: bool) -> None:
    """Print how run B differs from run A."""
    from abe_rerank.evaluation.comparison import compare as run
    from abe_rerank.evaluation.comparison_tables import show_comparison

    chosen = format_of(form, as_json)
    say(show_comparison(run(run_a, run_b, metric, top), chosen))


def format_of(form: str | None, as_json: bool) -> Format:
    """The format that options ask for. Raises UsageError for an unknown one, or two."""
    if as_json and form not in (None, "json"):
        raise UsageError(f"--json and --format {form} are two formats; choose one")
    wanted = "json" if as_json else form or "table"
    for known in FORMATS:
        if wanted == known:
            return known
    raise UsageError(f"unknown format {wanted!r}; choose from {', '.join(FORMATS)}")
