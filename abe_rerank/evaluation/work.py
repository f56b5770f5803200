"""A run: open its folder, do what is not done yet, merge what all processes wrote."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from abe_rerank.evaluation.judging import Measure
from abe_rerank.evaluation.plan import Key, Plan
from abe_rerank.evaluation.processes import World
from abe_rerank.evaluation.sources import Source
from abe_rerank.runs.evaluation_folder import open_folder
from abe_rerank.runs.journal import collect, merge, results_file, writing
from abe_rerank.runs.results import RunRecord


@dataclass(frozen=True)
class State:
    """What was found in the folder of a run: the record of when it was begun, and which results are there."""

    begun: RunRecord
    done: frozenset[Key]
    complete: bool


def open_run(out: Path, record: RunRecord, prompts: bytes, plan: Plan) -> State:
    """Make the run, or find it and what is done of it; a damaged last line is cut off.

    Raises as :func:`abe_rerank.runs.evaluation_folder.open_folder` and :func:`abe_rerank.runs.journal.collect` do.
    """
    begun = open_folder(out, record, prompts)
    if (out / "results.jsonl").is_file():
        return State(begun, frozenset(plan.keys), complete=True)
    return State(begun, frozenset(collect(out, plan.keys)), complete=False)


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
