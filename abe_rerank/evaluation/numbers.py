"""What statistics need of a run: a few numbers for each image, in columns, folded from its lines one at a time."""

from __future__ import annotations

from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from math import isfinite
from sys import intern
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from abe_rerank.runs.reading import RunFolder, damaged, lines
from abe_rerank.types import Status

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

STATUSES: tuple[Status, ...] = ("scored", "nothing to bind", "unscored")
SCORED, NOTHING, UNSCORED = range(3)
EXAMPLES = 5
_MOST = 2**40


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
    the judge found something to bind. ``file``, ``offset`` and ``line`` say where the result stands.
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
    file: Ints
    offset: Ints
    line: Ints

    def __len__(self) -> int:
        return len(self.prompt)

    def where(self, rows: NDArray[Any]) -> Images:
        """The rows of a mask or of places."""
        return Images(**{f.name: getattr(self, f.name)[rows] for f in fields(self)})


@dataclass(frozen=True)
class RunNumbers:
    """The prompts of a run that have all their images, and the numbers of these; ``unfinished`` counts the others."""

    run: RunFolder
    prompts: tuple[Prompt, ...]
    images: Images
    unfinished: int
    unscored: tuple[Unscored, ...]


@dataclass
class _Columns:
    """The rows while they are read: typed arrays, 112 bytes for each image."""

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
    file: array[int] = field(default_factory=lambda: array("q"))
    offset: array[int] = field(default_factory=lambda: array("q"))
    line: array[int] = field(default_factory=lambda: array("q"))


def read_numbers(run: RunFolder) -> RunNumbers:
    """Folds the lines of a run. Raises AbeRerankError, naming file and line, for one that is not a result.

    A result that stands twice is refused too. Drawn prompts with fewer images than the run asks for are unfinished, and
    so are prompts whose candidates have a gap.
    """
    columns, prompts, unscored = _Columns(), dict[int, Prompt](), list[Unscored]()
    appends = [getattr(columns, name).append for name in _NAMES]
    for line in lines(run):
        try:
            index, candidate, prompt = _key(line.fields)
            row = _numbers(line.fields)
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            missing = f"{error} is missing" if isinstance(error, KeyError) else str(error)
            raise damaged(run.files[line.file], line.number, missing) from None
        if prompts.setdefault(index, prompt) != prompt:
            raise damaged(run.files[line.file], line.number, f"prompt {index} is another one than in the lines before")
        for append, number in zip(appends, (index, candidate, *row, line.file, line.offset, line.number), strict=True):
            append(number)
        if row[0] == UNSCORED and len(unscored) < EXAMPLES:
            unscored.append(Unscored(prompts[index], candidate, str(line.fields.get("reason"))))
    return _whole(run, prompts, columns, tuple(unscored))


_NAMES = tuple(f.name for f in fields(Images))


def _key(line: Mapping[str, Any]) -> tuple[int, int, Prompt]:
    """(index, candidate, prompt) of a line."""
    index, candidate = line["index"], line["candidate"]
    if type(index) is not int or type(candidate) is not int or not (0 <= index < _MOST and 0 <= candidate < _MOST):
        raise ValueError("index and candidate must be whole numbers from 0")
    prompt = Prompt(line["prompt_id"], line["category"], line["prompt"])
    if not all(isinstance(text, str) for text in prompt):
        raise ValueError("prompt_id, category and prompt must be texts")
    return index, candidate, prompt._replace(category=intern(prompt.category))


def _numbers(line: Mapping[str, Any]) -> tuple[float, ...]:
    """Of a line: status, value, global_score, pairs, bound, calibrated, probability, judge, right."""
    status, value = _status(line["status"]), _number(line["value"], "value")
    if (status == UNSCORED) != (value != value):
        raise ValueError('value must be null exactly where the status is "unscored"')
    global_score = _number(line["global_score"], "global_score")
    pairs, bound, calibrated, probability = line["pairs"], 0, 0, 0.0
    for pair in pairs:
        bound += pair["verdict"] == "bound"
        likely = pair["probability"]
        if likely is not None:
            calibrated += 1
            probability += _number(likely, "probability")
    judge, oracle = line["judge"], line["oracle"]
    says = float("nan")
    if judge is not None and _status(judge["status"]) == SCORED:
        says = _number(judge["value"], "the judge's value")
    right = None if oracle is None else oracle["right"]
    if right is not None and not isinstance(right, bool):
        raise ValueError("the oracle's right must be true, false or null")
    verdict = float("nan") if right is None else float(right)
    return status, value, global_score, len(pairs), bound, calibrated, probability, says, verdict


def _status(text: object) -> int:
    if text not in STATUSES:
        raise ValueError(f"unknown status {text!r}")
    return STATUSES.index(text)


def _number(value: object, name: str) -> float:
    """A number of a line, nan for null."""
    if value is None:
        return float("nan")
    if not isinstance(value, (int, float)) or isinstance(value, bool) or not isfinite(value):
        raise ValueError(f"{name} must be a number or null")
    return float(value)


def _whole(
    run: RunFolder, prompts: Mapping[int, Prompt], columns: _Columns, unscored: Sequence[Unscored]
) -> RunNumbers:
    """The rows of prompts that are all there, sorted, with prompts renumbered in their order."""
    images = Images(**{name: np.array(getattr(columns, name)) for name in _NAMES})
    images = images.where(np.lexsort((images.candidate, images.prompt)))
    _refuse_contradictions(run, images)
    indices, starts, counts = np.unique(images.prompt, return_index=True, return_counts=True)
    ends = starts + counts - 1
    whole = images.candidate[ends] == counts - 1 if len(images) else np.zeros(0, dtype=bool)
    if run.record.text_to_image is not None:
        whole &= counts >= run.record.n
    places = np.repeat(np.cumsum(whole) - 1, counts)
    kept = images.where(np.repeat(whole, counts))
    kept.prompt[:] = places[np.repeat(whole, counts)]
    there = tuple(prompts[int(index)] for index in indices[whole])
    return RunNumbers(run, there, kept, max(run.record.prompts, len(indices)) - len(there), tuple(unscored))


def _refuse_contradictions(run: RunFolder, images: Images) -> None:
    """Raises AbeRerankError if an image stands twice or two of a prompt differ in pairs; ``images`` are sorted."""
    together = np.diff(images.prompt) == 0
    again = together & (np.diff(images.candidate) == 0)
    scored = images.status == SCORED
    unlike = together & scored[1:] & scored[:-1] & (np.diff(images.pairs) != 0)
    for wrong, what in ((again, "stands a second time"), (unlike, "has other pairs than the candidate before it")):
        if wrong.any():
            k = int(np.argmax(wrong)) + 1
            which = f"candidate {images.candidate[k]} of prompt {images.prompt[k]}"
            raise damaged(run.files[images.file[k]], int(images.line[k]), f"{which} {what}")
