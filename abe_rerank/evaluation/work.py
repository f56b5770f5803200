"""A run: open its folder, do what is not done yet, merge what all processes wrote."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from abe_rerank.evaluation.judging import Measure
from abe_rerank.evaluation.plan import Plan
from abe_rerank.evaluation.processes import World
from abe_rerank.evaluation.sources import Source
from abe_rerank.files import inside
from abe_rerank.runs.evaluated import Key, RunRecord
from abe_rerank.runs.journal import Place, collect, drop, merge, merged_places, reopen, results_file, writing
from abe_rerank.runs.resuming import open_folder


@dataclass(frozen=True)
class State:
    """What was found in the folder of a run: the record of when it was begun, and which results are there.

    ``gone`` are the drawn images that are there no more: they count as not done.
    """

    begun: RunRecord
    done: frozenset[Key]
    complete: bool
    gone: tuple[str, ...] = ()


def begin(out: Path, record: RunRecord, prompts: bytes, plan: Plan) -> State:
    """Make the run, or find it and what is done of it.

    A line that was cut off in writing is removed; a damaged ``results.jsonl`` is removed too, to be merged again, and
    so are the results of drawn images that are gone, to be done again. Raises as
    :func:`abe_rerank.runs.resuming.open_folder` and :func:`abe_rerank.runs.journal.collect` do.
    """
    begun = open_folder(out, record, prompts)
    known = frozenset(plan.keys)
    merged: dict[Key, Place] = {}
    if (out / "results.jsonl").is_file():
        merged, whole = merged_places(out)
        if whole and merged.keys() == known and not _gone(out, begun, merged):
            return State(begun, known, complete=True)
    places = collect(out, plan.keys)
    if (out / "results.jsonl").is_file():
        reopen(out, [place for key, place in merged.items() if key in known and key not in places])
        places = collect(out, plan.keys)
    gone = _gone(out, begun, places)
    drop((place.file, place.number) for place in gone.values())
    images = tuple(str(place.image) for place in gone.values())
    return State(begun, frozenset(places) - frozenset(gone), complete=False, gone=images)


def work(out: Path, plan: Plan, source: Source, measure: Measure, state: State, world: World) -> None:
    """This process' share of what is not done, one line after the other, each on the disk before the next.

    Raises DeviceError where the device runs out of memory or fails; the lines that are written stay.
    """
    from tqdm import tqdm

    share = plan.share(state.done, world.rank, world.processes)
    todo = sum(len(_waiting(block.keys, state.done)) for block in share)
    label = "evaluating" if world.processes == 1 else f"evaluating, process 1 of {world.processes}"
    with (
        writing(results_file(out, world.rank)) as journal,
        tqdm(total=todo, desc=label, unit="image", disable=not world.is_first) as bar,
    ):
        for block in share:
            wanted = _waiting(block.keys, state.done)
            prompt = plan.prompts[block.index]
            taken = source.take(block, prompt.prompt, wanted)
            for result in measure.results(block, prompt, taken):
                if result.candidate in wanted:
                    journal.add(result)
                    bar.update()


def finish(out: Path, plan: Plan) -> None:
    """Merge the lines of all processes. Raises AbeRerankError if one is missing or there twice."""
    merge(out, plan.keys)


def _waiting(keys: Collection[Key], done: Collection[Key]) -> set[int]:
    return {candidate for index, candidate in keys if (index, candidate) not in done}


def _gone(out: Path, begun: RunRecord, places: dict[Key, Place]) -> dict[Key, Place]:
    """The results of drawn images that are not there any more."""
    if begun.text_to_image is None:
        return {}
    return {
        key: place
        for key, place in places.items()
        if place.image is not None and not inside(out, place.image).is_file()
    }
