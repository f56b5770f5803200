"""The value objects that travel from prompt to report, frozen and free of torch: a ``Spec`` is what a prompt asks for,
a ``Score`` what a scorer found in one image, a ``Ranking`` what was picked. *Nothing to bind* and *unscored* are
states of their own, never a 0."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from abe_rerank.recipes import Course, Recipe
from abe_rerank.recipes import Drawing as Drawing

if TYPE_CHECKING:
    import numpy as np
    from PIL.Image import Image

Span = tuple[int, int]
"""Half-open character range [start, end) in the prompt."""

Box = tuple[float, float, float, float]
"""(left, top, right, bottom) as fractions of an image's width and height."""

Kind = Literal["colour", "shape", "size", "material", "texture", "other"]
"""The kind of an attribute; the competitors of an attribute are values of its own kind. Patterns are textures."""

Verdict = Literal["bound", "swapped", "wrong", "not found", "unsure"]

Status = Literal["scored", "nothing to bind", "unscored"]

PAINTED_OVER = "painted over by the model's safety checker"
"""Why such an image is unscored."""


@dataclass(frozen=True)
class Attribute:
    """One attribute of one object: its words as read, and where they stand in the prompt.

    ``prompt[span[0]:span[1]] == text``, but for what is typed and not read: control and format characters, weights and
    brackets of prompt syntax ("fire (hydrant:1.2)"), and runs of white space, which are one blank in ``text``. So it
    is with every text and span of a :class:`Spec`.
    """

    text: str
    span: Span
    kind: Kind


@dataclass(frozen=True)
class Count:
    """How many of an object the prompt asks for ("two", "a dozen"); ``value`` is the number."""

    text: str
    span: Span
    value: int


@dataclass(frozen=True)
class ObjectPhrase:
    """One object of the scene. ``text`` and ``span`` are those of its head noun or compound ("fire hydrant");
    ``phrase_span`` covers the whole noun phrase with the attributes that stand before the head."""

    text: str
    span: Span
    phrase_span: Span
    attributes: tuple[Attribute, ...] = ()
    count: Count | None = None
    negated: bool = False


@dataclass(frozen=True)
class Relation:
    """A directed relation between two objects, given by their indices in ``Spec.objects``."""

    subject: int
    text: str
    span: Span
    object: int


@dataclass(frozen=True)
class Ignored:
    """A word of the prompt that was not bound, and why ("style", "determiner", "negated", ...)."""

    text: str
    span: Span
    reason: str


@dataclass(frozen=True)
class Spec:
    """What a prompt asks for, as :func:`abe_rerank.parse` reads it."""

    prompt: str
    objects: tuple[ObjectPhrase, ...] = ()
    relations: tuple[Relation, ...] = ()
    ignored: tuple[Ignored, ...] = ()

    @property
    def pairs(self) -> tuple[tuple[str, str], ...]:
        """(attribute, object) texts as they stand in the prompt, one for each attribute, negated objects left out."""
        return tuple((a.text, o.text) for o in self.objects if not o.negated for a in o.attributes)

    @property
    def counts(self) -> tuple[tuple[int, str], ...]:
        """(number, object) for each counted object that is not negated."""
        return tuple((o.count.value, o.text) for o in self.objects if o.count is not None and not o.negated)

    @property
    def bound(self) -> tuple[Span, ...]:
        """The spans of all objects, attributes, counts and relations, in order; with ``ignored``, what was read."""
        spans = {o.span for o in self.objects} | {a.span for o in self.objects for a in o.attributes}
        spans |= {o.count.span for o in self.objects if o.count is not None} | {r.span for r in self.relations}
        return tuple(sorted(spans))

    @property
    def nothing_to_bind(self) -> bool:
        """True if no object of the prompt has an attribute."""
        return not self.pairs


@dataclass(frozen=True)
class Region:
    """Where an object was found: ``weights`` is a float array [rows, columns] over the patch grid that sums to 1;
    ``box`` is the region's and ``window`` the grid's, as fractions of the image: some backbones crop."""

    weights: np.ndarray = field(repr=False)
    box: Box
    window: Box = (0.0, 0.0, 1.0, 1.0)


@dataclass(frozen=True)
class PairScore:
    """How well one attribute sits on its object. ``evidence`` and ``margin`` are cosines (differences of cosines).

    ``competitor`` is the strongest other value, "" the bare noun where none competes. ``probability`` that the pair is
    bound, ``competitor_probability``, the same of the competitor in its place, and ``certainty``, that the verdict
    holds, are None where the scorer gives none. ``seen`` is the value that the object has where the verdict is
    "swapped" or "wrong" ("" where none is to be seen), ``seen_of`` the object that a swapped one was asked of.
    ``contrast`` is a float array [rows, columns] over the region's grid: how much more each patch looks like the asked
    value than like the competitor, on average under the region's weights ``margin``; None where there is no such map.
    """

    attribute: Attribute
    object: ObjectPhrase
    evidence: float
    competitor: str
    margin: float
    region: Region
    verdict: Verdict
    probability: float | None = None
    competitor_probability: float | None = None
    contrast: np.ndarray | None = None
    seen: str | None = None
    seen_of: str | None = None
    certainty: float | None = None

    def __repr__(self) -> str:
        likely = "" if self.probability is None else f", probability={self.probability:.3f}"
        numbers = f"margin={self.margin:+.4f}, evidence={self.evidence:.4f}, competitor={self.competitor!r}{likely}"
        return f"PairScore({f'{self.attribute.text} {self.object.text}'!r}, {self.verdict!r}, {numbers})"


PartKind = Literal["sub-image", "question", "member", "object", "attribute", "count", "relation"]
ATOMS: tuple[PartKind, ...] = ("object", "attribute", "count", "relation")


@dataclass(frozen=True)
class Part:
    """What a score is made of, with weight and place where it has them: a sub-image, a question for the whole prompt, a
    member of an ensemble; or an atom (object, ...), whose ``value`` is the probability that the image shows it."""

    kind: PartKind
    text: str
    value: float
    weight: float | None = None
    box: Box | None = None


@dataclass(frozen=True)
class NoPicture:
    """Stands where a picture is to be scored and there is none, and says why."""

    reason: str


@dataclass(frozen=True)
class Score:
    """The score of one image for one prompt, with its terms and each pair's evidence. ``value`` is None exactly when
    ``status`` is "unscored"; ``reason`` then says why. With "nothing to bind" the value is the global score alone."""

    value: float | None
    status: Status
    scorer: str
    global_score: float | None = None
    local: float | None = None
    binding_difference: float | None = None
    pairs: tuple[PairScore, ...] = ()
    reason: str | None = None
    parts: tuple[Part, ...] = ()


@dataclass(frozen=True)
class Candidate:
    """One image with its score; ``seed`` is None for images that were not sampled here, ``renewed`` says what else than
    its seed made the noise of an image, and ``steps`` in how many steps a draft was drawn: see :class:`Recipe`."""

    image: Image
    score: Score
    seed: int | None = None
    source: str | None = None
    renewed: tuple[tuple[int, float], ...] = ()
    steps: int | None = None

    @property
    def recipe(self) -> Recipe:
        """How it is drawn again. Raises ValueError for an image that was not sampled here."""
        if self.seed is None:
            raise ValueError("the image was not sampled here")
        return Recipe(self.seed, self.steps, self.renewed)


@dataclass(frozen=True)
class Sample:
    """One drawn image and its seed; ``failure`` says why it is no picture of the prompt, None where it is one;
    ``renewed`` and ``steps`` are those of its :class:`Recipe`."""

    seed: int
    image: Image
    failure: str | None = None
    renewed: tuple[tuple[int, float], ...] = ()
    steps: int | None = None

    @property
    def picture(self) -> Image | NoPicture:
        """What there is to be scored."""
        return self.image if self.failure is None else NoPicture(self.failure)


@dataclass(frozen=True)
class Samples:
    """The images drawn of one prompt, in the order of their seeds, and how they were drawn."""

    images: tuple[Sample, ...]
    drawing: Drawing


@dataclass(frozen=True)
class Settings(Mapping[str, object]):
    """What a ranking rests on: the stamp of its scorer and, where its candidates were drawn, how; one mapping, as
    reports have it: n, seed, batch_size, scorer, the pipeline's arguments, device, dtype, and ``strategy``, a mapping,
    where there was one."""

    scorer: str
    drawing: Drawing | None = None
    course: Course | None = None

    def __getitem__(self, name: str) -> object:
        return self._together[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._together)

    def __len__(self) -> int:
        return len(self._together)

    @property
    def _together(self) -> dict[str, object]:
        if self.drawing is None:
            return {"scorer": self.scorer}
        drawn = self.drawing
        numbers = {"n": drawn.n, "seed": drawn.seed, "batch_size": drawn.batch_size, "scorer": self.scorer}
        scheduler = {} if drawn.scheduler is None else {"scheduler": drawn.scheduler}
        strategy = {} if self.course is None else {"strategy": self.course.told}
        place = {"device": drawn.device, "dtype": drawn.dtype}
        return numbers | dict(drawn.arguments) | scheduler | place | strategy


@dataclass(frozen=True)
class Ranking:
    """Candidates of one prompt, best first; unscored ones last. Ties keep the order in which they came."""

    prompt: str
    spec: Spec
    candidates: tuple[Candidate, ...]
    settings: Settings

    @property
    def best(self) -> Candidate:
        """The candidate with the highest score. Raises ValueError if none could be scored."""
        if not self.candidates or self.candidates[0].score.value is None:
            raise ValueError("no candidate could be scored")
        return self.candidates[0]

    def top_k(self, k: int) -> tuple[Candidate, ...]:
        """The first ``k`` candidates. Raises ValueError unless ``k`` is positive."""
        if k >= 1:
            return self.candidates[:k]
        raise ValueError(f"k must be at least 1, got {k}")
