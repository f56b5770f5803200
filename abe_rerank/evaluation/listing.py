"""Images that exist already, as the images of prompts: see :mod:`abe_rerank.evaluation.layouts` for how they may lie.

With a suite, images are matched to its prompts; without one, the prompts are those that the images name.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from abe_rerank.errors import UsageError
from abe_rerank.evaluation.layouts import FoundImage, ImageLayout, KnownPrompts, layouts, titles
from abe_rerank.suites import SuitePrompt


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
    if not source.exists():
        raise UsageError(f"no such folder or manifest of images: {source}")
    return next(layout for layout in layouts() if layout.fits(source))
