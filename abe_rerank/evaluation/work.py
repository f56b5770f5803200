"""A run at work: its record, its processes, what is not done yet, and the merging of what all processes wrote."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

from pydantic import JsonValue

from abe_rerank.errors import AbeRerankError, UsageError
from abe_rerank.evaluation.workload import Drawn, Found, Judges, Plan, Source
from abe_rerank.files import inside, readable
from abe_rerank.runs.doctor import compared
from abe_rerank.runs.evaluated import Key, RunRecord
from abe_rerank.runs.journal import (
    Place,
    collect,
    drop,
    merge,
    merged_places,
    open_folder,
    reopen,
    results_file,
    writing,
)
from abe_rerank.runs.provenance import backbone_record, pipeline_record, versions
from abe_rerank.suites import as_line


@dataclass(frozen=True)
class State:
    """What was found in the folder of a run: the record of when it was begun, and which results are there.

    ``gone`` are the images that are not there any more, or not those that were scored: they count as not done.
    """

    begun: RunRecord
    done: frozenset[Key]
    complete: bool
    gone: tuple[str, ...] = ()


def begin(out: Path, record: RunRecord, prompts: bytes, plan: Plan) -> State:
    """Make the run, or find it and what is done of it.

    A line that was cut off in writing is removed; a damaged ``results.jsonl`` is removed too, to be merged again, and
    so are the results of images that are gone or were changed, to be done again. Raises as
    :func:`abe_rerank.runs.journal.open_folder` and :func:`abe_rerank.runs.journal.collect` do.
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


def work(out: Path, plan: Plan, source: Source, measure: Judges, state: State, world: World) -> None:
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
    """The results of drawn images that are not there any more, and of images that are not those that were scored."""
    drawn = begun.text_to_image is not None

    def is_gone(place: Place) -> bool:
        if place.image is None:
            return False
        file = inside(out, place.image) if drawn else Path(place.image)
        if not file.is_file():
            return drawn
        return place.pixels is not None and compared(file, place.pixels) is not None

    with ThreadPoolExecutor(4) as pool:
        flags = pool.map(is_gone, places.values())
        return {key: place for (key, place), gone in zip(places.items(), flags, strict=True) if gone}


@dataclass(frozen=True)
class Asked:
    """What the suite and the models were called by who asked for them, the command that did, and what was chosen of the
    model that draws (variant, revision, LoRAs)."""

    suite: str
    model: str
    backbone: str
    command: str
    choices: Mapping[str, JsonValue] = field(default_factory=dict)


def prompts_file(plan: Plan) -> bytes:
    """The bytes of ``prompts.jsonl``."""
    return "".join(as_line(prompt) + "\n" for prompt in plan.prompts).encode()


def record_of(asked: Asked, plan: Plan, source: Drawn | Found, measure: Judges) -> RunRecord:
    """The record of a run that begins now."""
    scorer, judge = measure.reranker.scorer, measure.judge
    reader = scorer.backbone
    origin = _drawing(source) if isinstance(source, Drawn) else _listing(source)
    return RunRecord(
        created=datetime.now().astimezone().isoformat(timespec="seconds"),
        suite=readable(asked.suite),
        prompts=len(plan.prompts),
        prompts_sha256=hashlib.sha256(prompts_file(plan)).hexdigest(),
        n=max(plan.counts),
        scorer=scorer.stamp,
        judge=None if judge is None else judge.scorer.stamp,
        oracle=measure.oracle is not None,
        text_to_image=pipeline_record(source.pipeline, readable(asked.model)) if isinstance(source, Drawn) else None,
        backbone=backbone_record(reader, readable(asked.backbone)),
        settings={**origin, **asked.choices, "batch_size": plan.batch_size, "device": reader.device.type},
        versions=versions(),
        command=readable(asked.command),
    )


def _drawing(source: Drawn) -> dict[str, JsonValue]:
    """The settings of drawing: the first seed, the number type and the arguments of the pipeline."""
    drawing = source.drawing
    arguments = json.loads(json.dumps(drawing.arguments, default=repr))
    return {"seed": drawing.seed, "dtype": drawing.dtype, "scheduler": drawing.scheduler, **arguments}


def _listing(source: Found) -> dict[str, JsonValue]:
    """What identifies images that existed before: where they are, how many, and a SHA-256 of their names in order."""
    names = json.dumps([[str(file) for file in files] for files in source.files])
    digest = hashlib.sha256(names.encode()).hexdigest()
    return {"images": readable(source.folder), "files": sum(map(len, source.files)), "files_sha256": digest}


T = TypeVar("T")

_PATIENCE = timedelta(days=30)
"""How long processes wait for the slowest; the launcher stops all of them when one dies, so that none waits for it."""


@dataclass(frozen=True)
class World:
    """This process among all; ``device`` is None where it was left to choose and there is one process only."""

    rank: int
    processes: int
    device: str | None

    @classmethod
    def join(cls, device: str | None) -> World:
        """The world that ``accelerate launch`` or ``torchrun`` made, or that of a single process.

        Raises UsageError for a device with a number among several processes: each takes its own.
        """
        from accelerate import PartialState

        from abe_rerank.backbones.devices import pick_device

        state = PartialState(cpu=pick_device(device).startswith("cpu"), timeout=_PATIENCE)
        if state.num_processes == 1:
            return cls(0, 1, device)
        if device is not None and ":" in device:
            raise UsageError(f"--device {device} would put {state.num_processes} processes on one device; leave it out")
        place = "cpu" if state.device.type == "cpu" else str(state.device)
        return cls(state.process_index, state.num_processes, place)

    @property
    def is_first(self) -> bool:
        """Whether this process is the one that prints, and writes what all share."""
        return self.rank == 0

    def by_first(self, work: Callable[[], T]) -> T:
        """What ``work`` gives in the first process, in all of them; after an error of ours there, all end."""
        if self.processes == 1:
            return work()
        from accelerate.utils import broadcast_object_list

        box: list[Any] = [None, None]
        if self.is_first:
            try:
                box[0] = work()
            except AbeRerankError as error:
                box[1] = error
        broadcast_object_list(box, from_process=0)
        if box[1] is not None:
            raise box[1] if self.is_first else SystemExit(1)
        result: T = box[0]
        return result

    def wait(self) -> None:
        """Return when all processes have come here."""
        if self.processes > 1:
            from accelerate import PartialState

            PartialState().wait_for_everyone()

    def leave(self) -> None:
        """Close the connection between the processes."""
        if self.processes > 1:
            from accelerate import PartialState

            PartialState().destroy_process_group()
