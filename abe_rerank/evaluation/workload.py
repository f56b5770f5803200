"""Where the images of a block come from, drawn or read, and what says how well each shows its prompt."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from abe_rerank.errors import AbeRerankError, UsageError
from abe_rerank.evaluation.plan import Block
from abe_rerank.files import readable, write_png
from abe_rerank.recipes import Recipe
from abe_rerank.runs.evaluated import JudgeResult, OracleResult, Result, terms_of
from abe_rerank.runs.provenance import pixels_sha256
from abe_rerank.runs.records import PartRecord
from abe_rerank.suites import SuitePrompt
from abe_rerank.types import NoPicture, Score

if TYPE_CHECKING:
    from PIL.Image import Image

    from abe_rerank.drawing.pipelines import Pipeline
    from abe_rerank.drawing.sampling import Sampling
    from abe_rerank.reranker import Reranker
    from abe_rerank.shapes.oracle import Oracle
    from abe_rerank.types import Drawing, Spec


@dataclass(frozen=True)
class Taken:
    """An image that was drawn or read, or the reason why there is none to be scored.

    ``path`` is what the result calls it; None if there is no file. ``steps`` and ``renewed`` are those of its recipe.
    """

    path: str | None
    seed: int | None = None
    image: Image | None = None
    failure: str | None = None
    steps: int | None = None
    renewed: tuple[tuple[int, float], ...] = ()

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
    """Images drawn into ``folder/images``: those of a block's recipes, else candidate k has seed ``sampling.seed + k``.

    ``alone``: there is one prompt, so that a bar shows its steps, and what goes wrong with it ends the run.
    """

    pipeline: Pipeline
    sampling: Sampling
    folder: Path
    alone: bool = False

    @cached_property
    def drawing(self) -> Drawing:
        """How each prompt's images are drawn. Raises UsageError for an argument that the pipeline does not take."""
        from abe_rerank.drawing.sampling import settle

        return settle(self.pipeline, self.sampling)

    def batch_that_fits(self, prompt: str) -> int:
        """How many images are drawn at once where nobody says; elsewhere than on a CPU, a batch is drawn to see whether
        it fits into memory. Raises as :func:`abe_rerank.drawing.sampling.draw` does."""
        from abe_rerank.drawing.placement import execution_device
        from abe_rerank.drawing.sampling import draw

        size = self.drawing.batch_size
        if size == 1 or execution_device(self.pipeline).type == "cpu":
            return size
        return draw(self.pipeline, prompt, replace(self.drawing, n=size)).drawing.batch_size

    def at(self, batch_size: int) -> Drawn:
        """The same images, so many at once."""
        return replace(self, sampling=replace(self.sampling, batch_size=batch_size))

    def take(self, block: Block, prompt: str, wanted: Collection[int]) -> list[Taken]:
        """See :class:`Source`. Raises UsageError, BatchSizeError where a block does not fit into memory, DeviceError
        where one image does not; what else goes wrong is the images' failure, and raised where the prompt is alone."""
        from abe_rerank.drawing.sampling import BatchSizeError, DeviceError, draw

        recipes = block.recipes or tuple(Recipe(self.sampling.seed + candidate) for candidate in block.candidates)
        asked = block.batch_size or self.drawing.batch_size
        try:
            drawing = replace(self.drawing, n=len(recipes), seed=recipes[0].seed, batch_size=asked)
            samples = draw(self.pipeline, prompt, drawing, progress=self.alone, recipes=recipes)
        except (UsageError, DeviceError):
            raise
        except AbeRerankError as error:
            if self.alone:
                raise
            return [Taken(None, one.seed, None, str(error), one.steps, one.renewed) for one in recipes]
        if samples.drawing.batch_size < asked:
            raise BatchSizeError(asked, samples.drawing.batch_size)
        taken = []
        for candidate, recipe, drawn in zip(block.candidates, recipes, samples.images, strict=True):
            path = f"images/{block.index:05d}/{recipe.words}.png"
            if candidate in wanted:
                write_png(self.folder / path, drawn.image)
            taken.append(Taken(path, drawn.seed, drawn.image, drawn.failure, drawn.steps, drawn.renewed))
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


@dataclass(frozen=True)
class Judges:
    """What says how well an image shows its prompt: the scorer, and if asked for another one and the oracle.

    With ``contrast`` a result holds the maps of contrast, which a report shows.
    """

    reranker: Reranker
    judge: Reranker | None = None
    oracle: Oracle | None = None
    contrast: bool = False

    def __post_init__(self) -> None:
        for one in (self.reranker, self.judge):
            if one is not None and one.scorer.relative:
                raise UsageError(
                    f"scores of {one.scorer.name} depend on all candidates of a prompt, and evaluate and generate "
                    "score them in batches; draw with one of its members, then rank the pictures with score"
                )

    def results(self, block: Block, prompt: SuitePrompt, taken: Sequence[Taken]) -> list[Result]:
        """The result of each image of the block; it depends on the block alone, to the bit."""
        from abe_rerank.reranker import as_spec
        from abe_rerank.scoring.questions import with_questions
        from abe_rerank.scoring.stream import score_stream

        spec = as_spec(prompt.prompt)
        spec = with_questions(spec, prompt.questions)
        items = [(one.picture, spec) for one in taken]
        for one in (self.reranker, self.judge):
            if one is not None:
                one.scorer.forget()
        scores = list(score_stream(self.reranker.scorer, items))
        second = () if self.judge is None else score_stream(self.judge.scorer, items)
        judged = [None] * len(taken) if self.judge is None else _judged(second)
        seen = [None] * len(taken) if self.oracle is None else _seen(self.oracle, taken, spec)
        columns = zip(block.candidates, taken, scores, judged, seen, strict=True)
        return [
            Result.model_validate(
                {
                    "index": block.index,
                    "candidate": candidate,
                    "prompt_id": prompt.id,
                    "category": prompt.category,
                    "prompt": prompt.prompt,
                    "seed": one.seed,
                    "steps": one.steps,
                    "renewed": one.renewed,
                    "image": one.path,
                    "pixels_sha256": None if isinstance(one.picture, NoPicture) else pixels_sha256(one.picture),
                    "judge": judgement,
                    "oracle": right,
                    **terms_of(score, self.contrast),
                }
            )
            for candidate, one, score, judgement, right in columns
        ]


def _judged(scores: Iterable[Score]) -> list[JudgeResult]:
    return [
        JudgeResult(
            value=score.value,
            status=score.status,
            reason=score.reason,
            parts=tuple(map(PartRecord.of, score.parts)),
        )
        for score in scores
    ]


def _seen(oracle: Oracle, taken: Sequence[Taken], spec: Spec) -> list[OracleResult]:
    """What the oracle says of each image; nothing, with the reason, of prompts that it cannot judge."""
    from abe_rerank.shapes.oracle import is_right
    from abe_rerank.shapes.wishes import asked_of

    try:
        asked_of(spec)
    except UsageError as error:
        return [OracleResult(right=None, reason=str(error)) for _ in taken]
    whole = [one.picture for one in taken if not isinstance(one.picture, NoPicture)]
    found = iter(oracle.detect(whole) if whole else ())
    return [
        OracleResult(right=None, reason=one.picture.reason)
        if isinstance(one.picture, NoPicture)
        else OracleResult(right=is_right(next(found), spec))
        for one in taken
    ]
