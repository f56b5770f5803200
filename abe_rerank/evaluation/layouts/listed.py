"""Images that a file lists: a manifest (CSV or JSONL of image and prompt), or the results of a run of ours."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from abe_rerank.evaluation.layouts import FoundImage, ImageLayout, KnownPrompts, register
from abe_rerank.suites import SuitePrompt, read_file
from abe_rerank.suites.manifest import read_manifest


def _of_run(folder: Path, _: KnownPrompts) -> Iterator[FoundImage]:
    """The images of a run are scored again for its prompts; those that could not be drawn are not there."""
    from abe_rerank.runs.reading import open_run, read_results

    run = open_run(folder)
    for result in read_results(run):
        if result.image is not None:
            prompt = SuitePrompt(result.prompt_id, result.prompt)
            yield FoundImage(run.image_file(result.image), prompt, result.candidate)


def _prompts_of_run(folder: Path) -> Sequence[SuitePrompt]:
    return read_file(folder / "prompts.jsonl")


def _of_manifest(file: Path, _: KnownPrompts) -> Iterator[FoundImage]:
    for number, row in enumerate(read_manifest(file)):
        yield FoundImage(row.image, SuitePrompt(row.id, row.prompt, category=row.category), number)


register(ImageLayout("a run", lambda source: (source / "run.json").is_file(), _of_run, _prompts_of_run))
register(ImageLayout("a CSV or JSONL of image, prompt [, id, category]", Path.is_file, _of_manifest, generality=1))
