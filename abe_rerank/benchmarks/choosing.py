"""Which settings ``abe-rerank tune`` takes: the best of a search, if they are better than the defaults where none of it
looked.

The best of some hundreds of settings is better on the scenes of the search by chance alone. So the scenes of the
choosing split are parted: some are searched on, and on the others the one that was found meets the defaults, case by
case.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from functools import cache, partial
from itertools import islice
from typing import TYPE_CHECKING, Any

from abe_rerank.backbones.features import REGIONS, read_plan
from abe_rerank.benchmarks.preferences import Right, gain, is_own, judge_both_ways
from abe_rerank.benchmarks.tuning import search
from abe_rerank.scoring.abe import AbeScorer, regions_of
from abe_rerank.scoring.terms import AbeSettings

if TYPE_CHECKING:
    from abe_rerank.backbones import Backbone
    from abe_rerank.benchmarks.cases import Case
    from abe_rerank.benchmarks.scene_sources import Draw

TUNED, UNTUNED = "ABE, tuned", "ABE, untuned"
DENSE = AbeSettings(region="top", softness=2.0, competition=2.0, local="regions", lambda_=1.0, mu=1.5)
"""Where patches are read, the search begins from what suits the built-in backbone."""

Step = Callable[[str, Callable[[], Any]], Any]
"""Does what is called so, or gives what it gave when it was done before; JSON."""


@dataclass(frozen=True)
class Choice:
    """The ``settings`` that are taken, and ``why``, in words; "" where none were searched."""

    settings: AbeSettings
    why: str = ""


@dataclass(frozen=True)
class Parted:
    """The cases of the choosing split by task: those that are searched on, and those that the outcome is tried on."""

    searched: Mapping[str, list[Case]]
    held: Mapping[str, list[Case]]


def part(drawn: Mapping[str, Draw], scenes: int) -> Parted:
    """``scenes`` of each own task and a third as many of the foreign ones, and as many again, none of them twice."""
    searched: dict[str, list[Case]] = {}
    held: dict[str, list[Case]] = {}
    for name, draw in drawn.items():
        count = scenes if is_own(name) else max(1, scenes // 3)
        cases = draw("choose", 2 * count)
        searched[name], held[name] = list(islice(cases, count)), list(cases)
    return Parted(searched, held)


def choose(backbone: Backbone, readouts: tuple[str, ...], scenes: int, drawn: Mapping[str, Draw], step: Step) -> Choice:
    """The settings for a backbone; those in use where no ``readouts`` are searched."""
    if not readouts:
        return Choice(AbeScorer(backbone).settings)
    parted = cache(partial(part, drawn, scenes))
    rows = [step(f"searching {name}", partial(_best, backbone, parted, name)) for name in readouts]
    best = AbeSettings(**max(rows, key=lambda row: row["mean"])["settings"])
    if _spelled(backbone, best) == _spelled(backbone, AbeSettings()):
        return Choice(AbeSettings(), "The defaults stay: no settings that were searched rank better.")
    return settled(best, step("trying what was found", partial(compared, backbone, parted, best)))


def _spelled(backbone: Backbone, settings: AbeSettings) -> AbeSettings:
    """The same with the readout in full."""
    readout = settings.patch_readout or regions_of(backbone) or backbone.readouts[0]
    return replace(settings, patch_readout=str(read_plan(readout) or readout))


def compared(backbone: Backbone, parted: Callable[[], Parted], best: AbeSettings) -> dict[str, Right]:
    """Settings and the defaults on the cases of each task that were held back."""
    scorers = {TUNED: AbeScorer(backbone, best), UNTUNED: AbeScorer(backbone, AbeSettings())}
    return {name: judge_both_ways(backbone, scorers, cases) for name, cases in parted().held.items()}


def settled(best: AbeSettings, right: Mapping[str, Right]) -> Choice:
    """``best`` if it is more often right than the defaults on cases held back, by an interval that leaves out 0."""
    found = gain(right, TUNED, UNTUNED)
    cases = sum(len(one[TUNED][0]) for one in right.values())
    by = f"{found.mean:+.3f} [{found.low:+.3f}, {found.high:+.3f}] against the defaults on {cases} cases held back"
    if found.low > 0:
        return Choice(best, f"The settings that were found are taken: {by}.")
    return Choice(AbeSettings(), f"The defaults stay: the settings that were found are {by}.")


def _best(backbone: Backbone, parted: Callable[[], Parted], readout: str) -> dict[str, Any]:
    """The best trial of a readout, as JSON."""
    base = AbeSettings() if readout.startswith(REGIONS) else DENSE
    return asdict(search(backbone, list(parted().searched.values()), [readout], base)[0])
