"""How often scorers prefer the right caption of a picture, and the right picture of a caption, task by task."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from abe_rerank.benchmarks import in_checkout
from abe_rerank.benchmarks.cases import Case, blocks, case_values
from abe_rerank.benchmarks.scene_sources import FOREIGN, OWN, Draw, scene_source
from abe_rerank.evaluation.statistics import Interval, bootstrap_mean, paired_difference

if TYPE_CHECKING:
    from abe_rerank.backbones import Backbone
    from abe_rerank.scoring import Scorer

Right = dict[str, tuple[list[float], list[float]]]
"""For each scorer, of each case: the share of pictures that prefer their caption, and of captions their picture."""


@dataclass(frozen=True)
class Preference:
    """One scorer on one task, shares with intervals."""

    scorer: str
    task: str
    captions: Interval
    pictures: Interval


def tasks(foreign: bool = True) -> dict[str, Draw]:
    """The tasks of the own world and, in a checkout, of the foreign ones, each of which has names of its own."""
    found = dict(scene_source(OWN).tasks)
    for name in FOREIGN if foreign and in_checkout() else ():
        found |= {f"{name}: {task}": draw for task, draw in scene_source(name).tasks.items()}
    return found


def is_swap(task: str) -> bool:
    """Whether a task exchanges attributes, which a bag of words cannot tell."""
    return "swapped" in task


def is_own(task: str) -> bool:
    """Whether a task is of the built-in models' own world."""
    return ":" not in task


def judge_both_ways(backbone: Backbone, scorers: Mapping[str, Scorer], cases: Iterable[Case]) -> Right:
    """Every scorer on cases with two pictures and two captions; a tie is wrong. A vision forward for each readout."""
    found: Right = {name: ([], []) for name in scorers}
    for chunk in blocks(cases):
        for name, values in case_values(backbone, scorers, chunk).items():
            found[name][0].extend(captions_right(value) for value in values)
            found[name][1].extend(captions_right(value.T) for value in values)
    return found


def captions_right(value: np.ndarray) -> float:
    """The share of pictures that prefer their own caption; ``value`` is [pictures, captions]."""
    return float(np.mean([value[0, 0] > value[0, 1], value[1, 1] > value[1, 0]]))


def preferences(task: str, right: Mapping[str, tuple[list[float], list[float]]]) -> list[Preference]:
    """The shares of one task with their intervals."""
    return [
        Preference(name, task, bootstrap_mean(np.array(captions)), bootstrap_mean(np.array(pictures)))
        for name, (captions, pictures) in right.items()
    ]


def gain(right: Mapping[str, Mapping[str, tuple[list[float], list[float]]]], one: str, other: str) -> Interval:
    """How much more often scorer ``one`` is right than ``other``, over all cases, both ways counting alike."""

    def both(name: str) -> np.ndarray:
        return np.concatenate([np.mean(found[name], axis=0) for found in right.values()])

    return paired_difference(both(one), both(other))


Progress = Callable[[str], None]
"""Is told what begins."""
