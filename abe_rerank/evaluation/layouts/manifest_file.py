"""A manifest: CSV or JSONL of image and prompt, and if known id and category of the prompt."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from abe_rerank.evaluation.layouts import FoundImage, ImageLayout, KnownPrompts, register
from abe_rerank.suites import SuitePrompt
from abe_rerank.suites.manifest import read_manifest


def _read(file: Path, _: KnownPrompts) -> Iterator[FoundImage]:
    for number, row in enumerate(read_manifest(file)):
        yield FoundImage(row.image, SuitePrompt(row.id, row.prompt, category=row.category), number)


register(ImageLayout("a CSV or JSONL of image, prompt [, id, category]", Path.is_file, _read, generality=1))
