"""The layouts that ship with the package: GenEval's and T2I-CompBench's folders, manifests, runs of our own, and
GenEval 2's JSON of prompt to image.

GenEval         00000/metadata.jsonl with 00000/samples/0000.png
T2I-CompBench   [samples/]<prompt>_<number>.png
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from abe_rerank.errors import UsageError
from abe_rerank.evaluation.layouts import FoundImage, ImageLayout, KnownPrompts, image_files, register
from abe_rerank.files import readable
from abe_rerank.suites import SuitePrompt, read_file
from abe_rerank.suites.rows import json_value, read_manifest, read_text


def _geneval_folders(source: Path) -> list[Path]:
    return sorted(path.parent for path in source.glob("*/metadata.jsonl"))


def _geneval(source: Path, known: KnownPrompts) -> Iterator[FoundImage]:
    """Images in a folder for each prompt; a prompt whose folder has none is taken up all the same."""
    for folder in _geneval_folders(source):
        try:
            (record,) = read_file(folder / "metadata.jsonl")
        except ValueError as error:  # a UsageError, or more or fewer lines than one
            known.left_out.append(f"{folder / 'metadata.jsonl'}: {error}")
            continue
        prompt = replace(record, id=folder.name)
        known.index(prompt)
        for number, file in enumerate(image_files(folder / "samples")):
            yield FoundImage(file, prompt, number)


def _compbench(source: Path, known: KnownPrompts) -> Iterator[FoundImage]:
    """Images called by their prompts. A name that is a prompt of the suite as a whole is not cut at its last "_"."""
    for file in image_files(source / "samples" if (source / "samples").is_dir() else source):
        whole = readable(file.stem)
        cut = re.fullmatch(r"(.+)_(\d{1,9})", whole, flags=re.DOTALL)
        names = [cut[1], whole] if cut else [whole]
        place, prompt = known.said(*names) or (0, names[0])
        yield FoundImage(file, SuitePrompt("", prompt), int(cut[2]) if cut and place == 0 else 0)


register(
    ImageLayout("a folder in GenEval's layout", lambda source: bool(_geneval_folders(source)), _geneval, generality=2)
)
register(ImageLayout("a folder in T2I-CompBench's layout", Path.is_dir, _compbench, generality=9))


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


def _value(source: Path) -> Any:
    return json_value(read_text(source), str(source))


def _is_map(source: Path) -> bool:
    """Whether a file is one JSON object of texts to texts, or to lists of them; a line of a manifest is none."""
    if source.suffix.lower() != ".json" or not source.is_file():
        return False
    try:
        value = _value(source)
    except UsageError:
        return False
    return isinstance(value, dict) and bool(value) and not {"image", "prompt"} <= value.keys()


def _of_map(source: Path, _: KnownPrompts) -> Iterator[FoundImage]:
    """Paths are relative to the file. Raises UsageError for a prompt whose image is no path."""
    for prompt, images in _value(source).items():
        listed = images if isinstance(images, list) else [images]
        if not prompt.strip() or not listed or not all(isinstance(image, str) and image for image in listed):
            raise UsageError(f"{source}: the image of the prompt {prompt!r} must be a path, or a list of paths")
        for number, image in enumerate(listed):
            yield FoundImage(source.parent / image, SuitePrompt("", prompt), number)


register(ImageLayout("a JSON of prompt to image", _is_map, _of_map))
