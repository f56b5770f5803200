"""A JSON file that maps each prompt to its image, or to several, as GenEval 2 takes them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from abe_rerank.errors import UsageError
from abe_rerank.evaluation.layouts import FoundImage, ImageLayout, KnownPrompts, register
from abe_rerank.suites import SuitePrompt
from abe_rerank.suites.rows import json_value, read_text


def _value(source: Path) -> Any:
    return json_value(read_text(source), str(source))


def _fits(source: Path) -> bool:
    """Whether a file is one JSON object of texts to texts, or to lists of them; a line of a manifest is none."""
    if source.suffix.lower() != ".json" or not source.is_file():
        return False
    try:
        value = _value(source)
    except UsageError:
        return False
    return isinstance(value, dict) and bool(value) and not {"image", "prompt"} <= value.keys()


def _read(source: Path, _: KnownPrompts) -> Iterator[FoundImage]:
    """Paths are relative to the file. Raises UsageError for a prompt whose image is no path."""
    for prompt, images in _value(source).items():
        listed = images if isinstance(images, list) else [images]
        if not prompt.strip() or not listed or not all(isinstance(image, str) and image for image in listed):
            raise UsageError(f"{source}: the image of the prompt {prompt!r} must be a path, or a list of paths")
        for number, image in enumerate(listed):
            yield FoundImage(source.parent / image, SuitePrompt("", prompt), number)


register(ImageLayout("a JSON of prompt to image", _fits, _read))
