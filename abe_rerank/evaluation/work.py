"""A run at work: its record, what is not done yet, and the merging of what all processes wrote."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from pydantic import JsonValue

from abe_rerank.evaluation.processes import World
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


def work(
    out: Path,
    plan: Plan,
    source: Source,
    measure: Judges,
    state: State,
    world: World,
    stopped: Callable[[], bool] = lambda: False,
    label: str | None = "evaluating",
) -> None:
    """This process' share of what is not done, one line after the other, each on the disk before the next.

    Between blocks it looks whether it is ``stopped``, and then leaves the rest undone. ``label`` is that of the bar,
    None for no bar. Raises DeviceError where the device runs out of memory or fails; the lines that are written stay.
    """
    from tqdm import tqdm

    from abe_rerank.backbones.progress import bars_wanted

    share = plan.share(state.done, world.rank, world.processes)
    todo = sum(len(_waiting(block.keys, state.done)) for block in share)
    hidden = label is None or not world.is_first or not bars_wanted()
    title = label if world.processes == 1 else f"{label}, process 1 of {world.processes}"
    with (
        writing(results_file(out, world.rank)) as journal,
        tqdm(total=todo, desc=title, unit="image", disable=hidden) as bar,
    ):
        for block in share:
            if stopped():
                return
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


def missing_of(out: Path, plan: Plan) -> list[Key]:
    """The results that no process has written yet. Raises as :func:`abe_rerank.runs.journal.collect` does."""
    there = collect(out, plan.keys)
    return [key for key in plan.keys if key not in there]


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


def record_of(
    asked: Asked, plan: Plan, source: Drawn | Found, measure: Judges, processes: int | None = None
) -> RunRecord:
    """The record of a run that begins now, in so many processes."""
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
        backbone=backbone_record(scorer, readable(asked.backbone)),
        settings={**origin, **asked.choices, "batch_size": plan.batch_size, "device": reader.device.type},
        versions=versions(),
        command=readable(asked.command),
        processes=processes,
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
