"""How others lay out generated images: one module of this package for each layout.

A new layout is a new module that calls :func:`register`; what a folder or file is, is told by what is in it.
"""

from __future__ import annotations

import importlib
import pkgutil
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from abe_rerank.errors import UsageError
from abe_rerank.files import check_file, check_folder
from abe_rerank.suites import SuitePrompt

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff")


@dataclass(frozen=True)
class FoundImage:
    """A file, and the prompt that its name or a file beside it says; ``number`` orders the images of a prompt."""

    file: Path
    prompt: SuitePrompt
    number: int


class KnownPrompts:
    """Prompts found by their text; without a suite they are taken up as they come.

    ``left_out`` collects what belongs to no prompt, and what could not be understood, each with the reason.
    """

    def __init__(self, prompts: Sequence[SuitePrompt] | None) -> None:
        self.prompts = list(prompts or ())
        self.closed = prompts is not None
        self.left_out: list[str] = []
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


@dataclass(frozen=True)
class ImageLayout:
    """How images lie in a folder, or are named in a file.

    ``fits(source)`` says whether an existing folder or file is of this layout. Layouts are asked in the order of
    ``generality``: 0 for one that is known by a file of its own, more for one that takes whatever is there.
    ``read(source, known)`` finds the images; it raises UsageError for what cannot be used at all. ``prompts(source)``
    is set where the layout holds the prompts too, with those that have no image.
    """

    title: str
    fits: Callable[[Path], bool]
    read: Callable[[Path, KnownPrompts], Iterable[FoundImage]]
    prompts: Callable[[Path], Sequence[SuitePrompt]] | None = None
    generality: int = 0


_registered: list[ImageLayout] = []


def register(layout: ImageLayout) -> None:
    """Offer a layout to every command that takes existing images for prompts."""
    _registered.append(layout)


def layouts() -> tuple[ImageLayout, ...]:
    """All layouts in the order in which a source is tried; equally general ones as they were registered."""
    _import_all()
    return tuple(sorted(_registered, key=lambda layout: layout.generality))


@cache
def _import_all() -> None:
    for module in pkgutil.iter_modules(__path__, f"{__name__}."):
        importlib.import_module(module.name)


def titles() -> str:
    """The layouts as a help text or an error message names them."""
    *first, last = (layout.title for layout in layouts())
    return f"{', '.join(first)} or {last}"


def image_files(folder: Path) -> list[Path]:
    """The images in a folder, by name."""
    return sorted(path for path in folder.glob("*") if path.suffix.lower() in IMAGE_SUFFIXES and path.is_file())


def _letters(text: str) -> str:
    return " ".join(re.findall(r"[^\W_]+", text.lower()))


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


def find_images(source: Path, prompts: Sequence[SuitePrompt] | None = None) -> Listing:
    """The images in a folder or manifest. Raises UsageError if there are none, or none is of a prompt of the suite."""
    layout = _layout_of(source)
    if prompts is None and layout.prompts is not None:
        prompts = layout.prompts(source)
    known = KnownPrompts(prompts)
    found: dict[int, list[FoundImage]] = {}
    for image in layout.read(source, known):
        index = known.index(image.prompt)
        if index is None:
            known.left_out.append(f"{image.file}: its prompt is not in the suite")
        else:
            found.setdefault(index, []).append(image)
    if not found:
        why = known.left_out[0] if known.left_out else f"give {titles()}"
        raise UsageError(f"no images of these prompts in {source}; {why}")
    files = [
        tuple(image.file for image in sorted(found.get(k, []), key=lambda image: image.number))
        for k in range(len(known.prompts))
    ]
    return Listing(tuple(known.prompts), tuple(files), tuple(known.left_out))


def _layout_of(source: Path) -> ImageLayout:
    check = check_folder if source.is_dir() else check_file
    check(source, "folder or manifest of images")
    return next(layout for layout in layouts() if layout.fits(source))
