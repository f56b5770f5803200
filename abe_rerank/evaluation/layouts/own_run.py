"""A run of ours: the images in its folder are scored again for its prompts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from abe_rerank.evaluation.layouts import FoundImage, ImageLayout, KnownPrompts, register
from abe_rerank.suites import SuitePrompt, read_file


def _fits(source: Path) -> bool:
    return (source / "run.json").is_file()


def _read(folder: Path, _: KnownPrompts) -> Iterator[FoundImage]:
    """Images that could not be drawn are not there."""
    from abe_rerank.runs.reading import open_run, read_results

    run = open_run(folder)
    for result in read_results(run):
        if result.image is not None:
            prompt = SuitePrompt(result.prompt_id, result.prompt)
            yield FoundImage(run.image_file(result.image), prompt, result.candidate)


def _prompts(folder: Path) -> Sequence[SuitePrompt]:
    return read_file(folder / "prompts.jsonl")


register(ImageLayout("a run", _fits, _read, _prompts))
