"""GenEval: a folder for each prompt, 00000/metadata.jsonl with 00000/samples/0000.png."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from abe_rerank.evaluation.layouts import FoundImage, ImageLayout, KnownPrompts, image_files, register
from abe_rerank.suites import read_file


def _folders(source: Path) -> list[Path]:
    return sorted(path.parent for path in source.glob("*/metadata.jsonl"))


def _fits(source: Path) -> bool:
    return bool(_folders(source))


def _read(source: Path, known: KnownPrompts) -> Iterator[FoundImage]:
    """A prompt whose folder has no images is taken up all the same."""
    for folder in _folders(source):
        try:
            (record,) = read_file(folder / "metadata.jsonl")
        except ValueError as error:  # a UsageError, or more or fewer lines than one
            known.left_out.append(f"{folder / 'metadata.jsonl'}: {error}")
            continue
        prompt = replace(record, id=folder.name)
        known.index(prompt)
        for number, file in enumerate(image_files(folder / "samples")):
            yield FoundImage(file, prompt, number)


register(ImageLayout("a folder in GenEval's layout", _fits, _read, generality=2))
