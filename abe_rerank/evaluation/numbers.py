"""What statistics need of a run: a few numbers for each image, in columns, folded from its lines one at a time."""

from __future__ import annotations

from array import array
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, fields
from sys import intern
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from abe_rerank.drawing.strategies import Tried, has_ended, make_strategy
from abe_rerank.runs.evaluated import Result, RunRecord
from abe_rerank.runs.reading import RunFolder, damaged, lines
from abe_rerank.types import ATOMS, Status

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

STATUSES: tuple[Status, ...] = ("scored", "nothing to bind", "unscored")
SCORED, NOTHING, UNSCORED = range(3)
EXAMPLES = 5


class Prompt(NamedTuple):
    """One prompt of a run."""

    id: str
    category: str
    text: str


class Unscored(NamedTuple):
    """An image without a score, and why."""

    prompt: Prompt
    candidate: int
    reason: str


@dataclass(frozen=True)
class Images:
    """One row for each image, sorted by prompt and candidate; candidates of a prompt count from 0 without a gap.

    ``prompt`` is the place in :attr:`RunNumbers.prompts`; ``value``, ``global_score``, ``judge`` and ``right`` (1 or 0)
    are nan where there is none; ``status`` is a place in :data:`STATUSES`; of the image's ``pairs``, ``bound`` are
    bound, and ``probability`` sums the probabilities of the ``calibrated`` ones. The judge's value counts only where
    the judge found something to bind. ``file``, ``offset`` and ``line`` say where the result stands. ``atoms`` have a
    probability, the judge's where ``by_judge``; ``soft_mean`` and ``soft_product`` are their arithmetic and geometric
    mean, ``kinds`` [images, 8] the sums of those of each kind of :data:`abe_rerank.types.ATOMS`, then their numbers.
    """

    prompt: Ints
    candidate: Ints
    status: Ints
    value: Floats
    global_score: Floats
    pairs: Ints
    bound: Ints
    calibrated: Ints
    probability: Floats
    judge: Floats
    right: Floats
    atoms: Ints
    by_judge: Ints
    soft_mean: Floats
    soft_product: Floats
    file: Ints
    offset: Ints
    line: Ints
    kinds: Floats

    def __len__(self) -> int:
        return len(self.prompt)

    def where(self, rows: NDArray[Any]) -> Images:
        """The rows of a mask or of places."""
        return Images(**{f.name: getattr(self, f.name)[rows] for f in fields(self)})


@dataclass(frozen=True)
class RunNumbers:
    """The prompts of a run that have all their images, and the numbers of these; ``unfinished`` counts the others.

    ``gone`` are the images drawn by the run that are there no more.
    """

    run: RunFolder
    prompts: tuple[Prompt, ...]
    images: Images
    unfinished: int
    unscored: tuple[Unscored, ...]
    gone: tuple[str, ...] = ()


@dataclass
class _Columns:
    """The rows while they are read: typed arrays, 155 bytes for each image."""

    prompt: array[int] = field(default_factory=lambda: array("q"))
    candidate: array[int] = field(default_factory=lambda: array("q"))
    status: array[int] = field(default_factory=lambda: array("q"))
    value: array[float] = field(default_factory=lambda: array("d"))
    global_score: array[float] = field(default_factory=lambda: array("d"))
    pairs: array[int] = field(default_factory=lambda: array("q"))
    bound: array[int] = field(default_factory=lambda: array("q"))
    calibrated: array[int] = field(default_factory=lambda: array("q"))
    probability: array[float] = field(default_factory=lambda: array("d"))
    judge: array[float] = field(default_factory=lambda: array("d"))
    right: array[float] = field(default_factory=lambda: array("d"))
    atoms: array[int] = field(default_factory=lambda: array("h"))
    by_judge: array[int] = field(default_factory=lambda: array("b"))
    soft_mean: array[float] = field(default_factory=lambda: array("f"))
    soft_product: array[float] = field(default_factory=lambda: array("f"))
    file: array[int] = field(default_factory=lambda: array("q"))
    offset: array[int] = field(default_factory=lambda: array("q"))
    line: array[int] = field(default_factory=lambda: array("q"))
    kinds: array[float] = field(default_factory=lambda: array("f"))


def read_numbers(run: RunFolder) -> RunNumbers:
    """Folds the lines of a run. Raises AbeRerankError, naming file and line, for one that is not a result.

    A result that stands twice is refused too. Drawn prompts with fewer images than the run asks for are unfinished, and
    so are prompts whose candidates have a gap, and those for which a strategy asks for more. Drafts do not count.
    """
    columns, prompts, unscored = _Columns(), dict[int, Prompt](), list[Unscored]()
    gone: list[str] = []
    tried: dict[int, dict[int, Tried]] = defaultdict(dict)
    drawn = run.record.text_to_image is not None
    follows = drawn and not run.record.is_fixed and not run.complete
    appends = [getattr(columns, name).append for name in _NAMES if name != "kinds"]
    for file, line in lines(run):
        result = line.result
        assert result is not None
        if follows:
            tried[result.index][result.candidate] = result.tried
        if result.steps is not None:
            continue
        prompt = Prompt(result.prompt_id, intern(result.category), result.prompt)
        if prompts.setdefault(result.index, prompt) != prompt:
            what = f"prompt {result.index} is another one than in the lines before"
            raise damaged(run.files[file], line.number, what)
        row = (result.index, result.candidate, *_numbers(result), file, line.start, line.number)
        for append, number in zip(appends, row, strict=True):
            append(number)
        columns.kinds.extend(_kinds(result))
        if result.status == "unscored" and len(unscored) < EXAMPLES:
            unscored.append(Unscored(prompts[result.index], result.candidate, str(result.reason)))
        if drawn and result.image is not None and not run.image_file(result.image).is_file():
            gone.append(result.image)
    ended = _ended(run.record, tried) if follows else None
    return _whole(run, prompts, columns, tuple(unscored), tuple(gone), ended)


def _ended(record: RunRecord, tried: Mapping[int, Mapping[int, Tried]]) -> list[int]:
    """The prompts for which the strategy of a stopped run asks for no more."""
    told: Any = dict(record.settings["strategy"])  # type: ignore[arg-type]
    seed: Any = record.settings["seed"]
    strategy = make_strategy(told.pop("name"), record.n, seed, **told)
    return [index for index, found in tried.items() if has_ended(strategy, found)]


_NAMES = tuple(f.name for f in fields(Images))


def _numbers(result: Result) -> tuple[float, ...]:
    """Of a result: status, value, global_score, pairs, bound, calibrated, probability, judge, right, atoms, by_judge,
    soft_mean, soft_product."""
    likely = [pair.probability for pair in result.pairs if pair.probability is not None]
    judged = result.judge is not None and result.judge.status == "scored"
    right = None if result.oracle is None else result.oracle.right
    return (
        STATUSES.index(result.status),
        _nan(result.value),
        _nan(result.global_score),
        len(result.pairs),
        sum(pair.verdict == "bound" for pair in result.pairs),
        len(likely),
        sum(likely),
        _nan(result.judge.value if judged and result.judge is not None else None),
        _nan(right),
        *_soft(result),
    )


def _atoms(result: Result) -> Sequence[tuple[str, float]]:
    """(kind, probability) of each atom: the judge's, else the scorer's own with its calibrated pairs."""
    judged, own = (
        [(part.kind, part.value) for part in parts if part.kind in ATOMS]
        for parts in ((() if result.judge is None else result.judge.parts), result.parts)
    )
    if judged or any(kind == "attribute" for kind, _ in own):
        return judged or own
    pairs = [("attribute", pair.probability) for pair in result.pairs if pair.probability is not None]
    return [*pairs, *own] if pairs else []


def _soft(result: Result) -> tuple[float, ...]:
    values = np.array([value for _, value in _atoms(result)])
    by_judge = result.judge is not None and any(part.kind in ATOMS for part in result.judge.parts)
    if not len(values):
        return 0, by_judge, float("nan"), float("nan")
    likely = np.clip(values, 0.0, 1.0)
    product = float(np.exp(np.log(likely).mean())) if likely.all() else 0.0
    return min(len(values), 32_767), by_judge, float(values.mean()), product


def _kinds(result: Result) -> list[float]:
    atoms = _atoms(result)
    sums = [sum(value for kind, value in atoms if kind == k) for k in ATOMS]
    return [*sums, *(sum(kind == k for kind, _ in atoms) for k in ATOMS)]


def _nan(value: float | None) -> float:
    return float("nan") if value is None else float(value)


def _shared(column: array[Any]) -> NDArray[Any]:
    """A column as an array of the same memory."""
    return np.frombuffer(column, dtype=column.typecode) if column else np.array(column, dtype=column.typecode)


def _whole(
    run: RunFolder,
    prompts: Mapping[int, Prompt],
    columns: _Columns,
    unscored: Sequence[Unscored],
    gone: tuple[str, ...],
    ended: Collection[int] | None,
) -> RunNumbers:
    """The rows of prompts that are all there, sorted, with prompts renumbered in their order; of those of a stopped
    strategy the ones that ``ended``."""
    arrays = {name: _shared(getattr(columns, name)) for name in _NAMES}
    images = Images(**arrays | {"kinds": arrays["kinds"].reshape(-1, 2 * len(ATOMS))})
    images = images.where(np.lexsort((images.candidate, images.prompt)))
    _refuse_contradictions(run, images)
    indices, starts, counts = np.unique(images.prompt, return_index=True, return_counts=True)
    if run.record.text_to_image is not None and not run.record.is_fixed:  # drafts came before, and are left out
        images.candidate[:] -= np.repeat(images.candidate[starts], counts)
    ends = starts + counts - 1
    whole = images.candidate[ends] == counts - 1 if len(images) else np.zeros(0, dtype=bool)
    if run.record.is_fixed:
        whole &= counts >= run.record.n
    elif ended is not None:
        whole &= np.isin(indices, list(ended))
    places = np.repeat(np.cumsum(whole) - 1, counts)
    kept = images if whole.all() else images.where(np.repeat(whole, counts))  # no second copy where all is there
    kept.prompt[:] = places[np.repeat(whole, counts)]
    there = tuple(prompts[int(index)] for index in indices[whole])
    return RunNumbers(run, there, kept, max(run.record.prompts, len(indices)) - len(there), tuple(unscored), gone)


def _refuse_contradictions(run: RunFolder, images: Images) -> None:
    """Raises AbeRerankError if an image stands twice, two of a prompt differ in pairs, or some pairs of the run alone
    have probabilities; ``images`` are sorted.
    """
    asked = np.flatnonzero((images.status == SCORED) & (images.pairs > 0))
    pairs, calibrated = images.pairs[asked], images.calibrated[asked]
    some = calibrated != (pairs if len(asked) and calibrated[0] else 0)
    if some.any():
        k = int(asked[np.argmax(some)])
        raise damaged(run.files[images.file[k]], int(images.line[k]), "some pairs of the run alone have probabilities")
    together = np.diff(images.prompt) == 0
    again = together & (np.diff(images.candidate) == 0)
    scored = images.status == SCORED
    unlike = together & scored[1:] & scored[:-1] & (np.diff(images.pairs) != 0)
    for wrong, what in ((again, "stands a second time"), (unlike, "has other pairs than the candidate before it")):
        if wrong.any():
            k = int(np.argmax(wrong)) + 1
            which = f"candidate {images.candidate[k]} of prompt {images.prompt[k]}"
            raise damaged(run.files[images.file[k]], int(images.line[k]), f"{which} {what}")
