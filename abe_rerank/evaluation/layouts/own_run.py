"""A run of ours: the images in its folder are scored again for its prompts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from abe_rerank.errors import UsageError
from abe_rerank.evaluation.layouts import FoundImage, ImageLayout, KnownPrompts, register
from abe_rerank.suites import SuitePrompt, read_file


def _fits(source: Path) -> bool:
    return (source / "run.json").is_file()


def _read(folder: Path, _: KnownPrompts) -> Iterator[FoundImage]:
    """Images that could not be drawn are not there."""
    from abe_rerank.runs.journal import read_results

    if not (folder / "results.jsonl").is_file():
        raise UsageError(f"the run in {folder} is not complete; start its own command again first")
    for result in read_results(folder / "results.jsonl"):
        if result.image is not None:
            yield FoundImage(folder / result.image, SuitePrompt(result.prompt_id, result.prompt), result.candidate)


def _prompts(folder: Path) -> Sequence[SuitePrompt]:
    return read_file(folder / "prompts.jsonl")


register(ImageLayout("a run", _fits, _read, _prompts))
