"""Where the images of a run come from: drawn as it goes, or there before."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from abe_rerank.errors import AbeRerankError, UsageError
from abe_rerank.evaluation.plan import Block
from abe_rerank.files import write_png
from abe_rerank.text import readable
from abe_rerank.types import PAINTED_OVER, NoPicture

if TYPE_CHECKING:
    from PIL.Image import Image

    from abe_rerank.drawing.pipelines import Pipeline
    from abe_rerank.drawing.sampling import Sampling
    from abe_rerank.types import Drawing


@dataclass(frozen=True)
class Taken:
    """An image that was drawn or read, or the reason why there is none to be scored.

    ``path`` is what the result calls it; None if there is no file.
    """

    path: str | None
    seed: int | None = None
    image: Image | None = None
    failure: str | None = None

    @property
    def picture(self) -> Image | NoPicture:
        """What there is to be scored."""
        if self.image is None or self.failure is not None:
            return NoPicture(self.failure or "there is no such image")
        return self.image


class Source(Protocol):
    """Where images come from."""

    def take(self, block: Block, prompt: str, wanted: Collection[int]) -> list[Taken]:
        """The images of a block; those of the candidates ``wanted`` are on the disk when this returns."""
        ...


@dataclass(frozen=True)
class Drawn:
    """Images drawn into ``folder/images``; candidate k of every prompt has seed ``sampling.seed + k``."""

    pipeline: Pipeline
    sampling: Sampling
    folder: Path

    @cached_property
    def drawing(self) -> Drawing:
        """How each prompt's images are drawn. Raises UsageError for an argument that the pipeline does not take."""
        from abe_rerank.drawing.sampling import settle

        return settle(self.pipeline, self.sampling)

    def take(self, block: Block, prompt: str, wanted: Collection[int]) -> list[Taken]:
        """See :class:`Source`. Raises DeviceError and UsageError; what else goes wrong is the images' failure."""
        from abe_rerank.drawing.sampling import DeviceError, draw

        seeds = [self.sampling.seed + candidate for candidate in block.candidates]
        try:
            samples = draw(self.pipeline, prompt, replace(self.drawing, n=len(seeds), seed=seeds[0]))
        except (UsageError, DeviceError):
            raise
        except AbeRerankError as error:
            return [Taken(None, seed, failure=str(error)) for seed in seeds]
        taken = []
        for candidate, drawn in zip(block.candidates, samples.images, strict=True):
            path = f"images/{block.index:05d}/seed{drawn.seed}.png"
            if candidate in wanted:
                write_png(self.folder / path, drawn.image)
            taken.append(Taken(path, drawn.seed, drawn.image, PAINTED_OVER if drawn.blanked else None))
        return taken


@dataclass(frozen=True)
class Found:
    """Images that existed before in ``folder``, or in a manifest of that name: ``files[i]`` are those of prompt i."""

    folder: Path
    files: Sequence[Sequence[Path]]

    def take(self, block: Block, prompt: str, wanted: Collection[int]) -> list[Taken]:
        """See :class:`Source`. An image that cannot be read, or is not there, is a failure."""
        return [self._read(block.index, candidate) for candidate in block.candidates]

    def _read(self, index: int, candidate: int) -> Taken:
        from abe_rerank.images import read

        if candidate >= len(self.files[index]):
            return Taken(None, failure="there is no such image of this prompt")
        file = self.files[index][candidate]
        try:
            return Taken(readable(file), image=read(str(file)))
        except AbeRerankError as error:
            return Taken(readable(file), failure=str(error).replace(str(file), readable(file)))
