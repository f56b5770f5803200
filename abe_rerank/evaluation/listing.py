"""Images that existed before, in the layouts of others, as the images of prompts.

    T2I-CompBench   [samples/]<prompt>_<number>.png
    GenEval         00000/metadata.jsonl with 00000/samples/0000.png
    a manifest      CSV or JSONL of image and prompt, and if known id and category of the prompt
    a run of ours   its folder; the images are scored again for its prompts

With a suite, images are matched to its prompts; without one, the prompts are those that the images name.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from abe_rerank.errors import UsageError
from abe_rerank.runs.reading import open_run, read_results
from abe_rerank.suites import SuitePrompt, read_file
from abe_rerank.suites.manifest import Row, read_manifest
from abe_rerank.text import readable

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff")


@dataclass(frozen=True)
class Listing:
    """Prompts with the files of their images, in order; a prompt without any has none, and is not left out.

    ``left_out`` names images that belong to no prompt of the suite, and folders that could not be understood.
    """

    prompts: tuple[SuitePrompt, ...]
    files: tuple[tuple[Path, ...], ...]
    left_out: tuple[str, ...] = ()

    def first(self, limit: int | None) -> Listing:
        """The same with only the first prompts; all for None."""
        return replace(self, prompts=self.prompts[:limit], files=self.files[:limit])


@dataclass(frozen=True)
class _Image:
    """A file, and the prompt that its name or a file beside it says; ``number`` orders the images of a prompt."""

    file: Path
    prompt: SuitePrompt
    number: int


def find_images(source: Path, prompts: Sequence[SuitePrompt] | None = None) -> Listing:
    """The images in a folder or manifest. Raises UsageError if there are none, or none is of a prompt of the suite."""
    is_run = (source / "run.json").is_file()
    known = _Prompts(read_file(source / "prompts.jsonl") if is_run and prompts is None else prompts)
    left_out: list[str] = []
    found: dict[int, list[_Image]] = {}
    for image in _images(source, known, left_out):
        index = known.index(image.prompt)
        if index is None:
            left_out.append(f"{image.file}: its prompt is not in the suite")
        else:
            found.setdefault(index, []).append(image)
    if not found:
        why = f"; {left_out[0]}" if left_out else ", in the layouts of T2I-CompBench or GenEval"
        raise UsageError(f"no images of these prompts in {source}{why}")
    files = [tuple(image.file for image in _in_order(found.get(k, []))) for k in range(len(known.prompts))]
    return Listing(tuple(known.prompts), tuple(files), tuple(left_out))


class _Prompts:
    """Prompts found by their text; without a suite they are taken up as they come."""

    def __init__(self, prompts: Sequence[SuitePrompt] | None) -> None:
        self.prompts = list(prompts or ())
        self.closed = prompts is not None
        self._by_text: dict[str, int] = {}
        self._by_letters: dict[str, set[str]] = {}
        for k, prompt in enumerate(self.prompts):
            self._by_text.setdefault(prompt.prompt, k)
            self._by_letters.setdefault(_letters(prompt.prompt), set()).add(prompt.prompt)

    def index(self, prompt: SuitePrompt) -> int | None:
        """The place of a prompt; None if it is not in the suite."""
        if prompt.prompt not in self._by_text and not self.closed:
            self._by_text[prompt.prompt] = len(self.prompts)
            self.prompts.append(prompt if prompt.id else replace(prompt, id=str(len(self.prompts) + 1)))
        return self._by_text.get(prompt.prompt)

    def said(self, *names: str) -> tuple[int, str] | None:
        """Which of the names stands for a prompt of the suite, and that prompt: the first that is one, else the first
        that has the letters and digits of a single one, since a file name cannot hold every sign.
        """
        for k, name in enumerate(names):
            if name in self._by_text:
                return k, name
        alike = [self._by_letters.get(_letters(name), set()) for name in names]
        return next(((k, next(iter(texts))) for k, texts in enumerate(alike) if len(texts) == 1), None)


def _images(source: Path, known: _Prompts, left_out: list[str]) -> Iterable[_Image]:
    if source.is_file():
        return _of_manifest(read_manifest(source))
    if not source.is_dir():
        raise UsageError(f"no such folder or manifest of images: {source}")
    if (source / "run.json").is_file():
        return _of_run(source)
    folders = sorted(path.parent for path in source.glob("*/metadata.jsonl"))
    if folders:
        return _of_geneval(folders, known, left_out)
    return _of_compbench(source / "samples" if (source / "samples").is_dir() else source, known)


def _of_manifest(rows: Iterable[Row]) -> Iterator[_Image]:
    for number, row in enumerate(rows):
        yield _Image(row.image, SuitePrompt(row.id, row.prompt, category=row.category), number)


def _of_run(folder: Path) -> Iterator[_Image]:
    """Images of a run of ours; those that could not be drawn are not there."""
    run = open_run(folder)
    for result in read_results(run):
        if result.image is not None:
            prompt = SuitePrompt(result.prompt_id, result.prompt)
            yield _Image(run.image_file(result.image), prompt, result.candidate)


def _of_geneval(folders: Iterable[Path], known: _Prompts, left_out: list[str]) -> Iterator[_Image]:
    """Images in a folder for each prompt; a prompt whose folder has none is taken up all the same."""
    for folder in folders:
        try:
            (record,) = read_file(folder / "metadata.jsonl")
        except ValueError as error:  # a UsageError, or more or fewer lines than one
            left_out.append(f"{folder / 'metadata.jsonl'}: {error}")
            continue
        prompt = replace(record, id=folder.name)
        known.index(prompt)
        for number, file in enumerate(_image_files(folder / "samples")):
            yield _Image(file, prompt, number)


def _of_compbench(folder: Path, known: _Prompts) -> Iterator[_Image]:
    """Images called by their prompts. A name that is a prompt of the suite as a whole is not cut at its last "_"."""
    for file in _image_files(folder):
        whole = readable(file.stem)
        cut = re.fullmatch(r"(.+)_(\d{1,9})", whole, flags=re.DOTALL)
        names = [cut[1], whole] if cut else [whole]
        place, prompt = known.said(*names) or (0, names[0])
        yield _Image(file, SuitePrompt("", prompt), int(cut[2]) if cut and place == 0 else 0)


def _in_order(images: Iterable[_Image]) -> list[_Image]:
    return sorted(images, key=lambda image: image.number)


def _image_files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob("*") if path.suffix.lower() in IMAGE_SUFFIXES and path.is_file())


def _letters(text: str) -> str:
    return " ".join(re.findall(r"[^\W_]+", text.lower()))
