"""A run at work: its record, what is not done yet, what a strategy asks for next, and the merging of what all wrote."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from pydantic import JsonValue

from abe_rerank.drawing.strategies import Strategy, settings_of
from abe_rerank.evaluation.plan import Plan
from abe_rerank.evaluation.processes import World
from abe_rerank.evaluation.workload import Drawn, Found, Judges, Source
from abe_rerank.files import inside, readable
from abe_rerank.runs.doctor import compared
from abe_rerank.runs.evaluated import Key, Result, RunRecord
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
from abe_rerank.runs.reading import read_lines
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
    known = frozenset(plan.possible)
    merged: dict[Key, Place] = {}
    if (out / "results.jsonl").is_file():
        merged, whole = merged_places(out)
        done = grown(out, plan)
        if whole and done.is_whole and merged.keys() == set(done.keys) and not _gone(out, begun, merged):
            return State(begun, frozenset(done.keys), complete=True)
    places = collect(out, known)
    if (out / "results.jsonl").is_file():
        reopen(out, [place for key, place in merged.items() if key in known and key not in places])
        places = collect(out, known)
    gone = _gone(out, begun, places)
    drop((place.file, place.number) for place in gone.values())
    images = tuple(str(place.image) for place in gone.values())
    return State(begun, frozenset(places) - frozenset(gone), complete=False, gone=images)


def grown(out: Path, plan: Plan, seconds: float = 0.0) -> Plan:
    """The plan with what its strategy asks for after the results in ``out``, ``seconds`` after the beginning."""
    if plan.is_whole:
        return plan
    merged = out / "results.jsonl"
    files = [merged] if merged.is_file() else sorted((out / "results").glob("*.jsonl"))
    found: Iterator[Result | None] = (line.result for file in files for line in read_lines(file))
    return plan.after({result.key: result.tried for result in found if result is not None}, seconds)


def check_strategy(plan: Plan, measure: Judges) -> None:
    """As :func:`abe_rerank.reranker.check_followed`, for the first prompt that has something to bind."""
    from abe_rerank.reranker import as_spec, check_followed

    if plan.is_whole or plan.strategy is None:
        return
    specs = [as_spec(prompt.prompt) for prompt in plan.prompts]
    spec = next((spec for spec in specs if not spec.nothing_to_bind), specs[0])
    check_followed(plan.strategy, measure.reranker.scorer, spec)


def work(
    out: Path,
    plan: Plan,
    source: Source,
    measure: Judges,
    state: State,
    world: World,
    stopped: Callable[[], bool] = lambda: False,
    label: str | None = "evaluating",
) -> Plan:
    """What is not done, shared out among the processes: each line is on the disk before the next. Gives the plan as it
    is then, with all that its strategy asked for.

    After each of its steps a strategy is asked in the first process, when all have come there. Between blocks a process
    looks whether it is ``stopped``, and then leaves the rest undone. ``label`` is that of the bar, None for no bar.
    Raises DeviceError where the device runs out of memory or fails; the lines that are written stay.
    """
    began, done = time.monotonic(), state.done
    plan = grown(out, plan)
    while True:
        _share(out, plan, source, measure, done, world, stopped, label)
        if plan.is_whole or world.any(stopped()):
            return plan
        done |= frozenset(plan.keys)
        plan = world.by_first(lambda asked=plan: grown(out, asked, time.monotonic() - began))  # type: ignore[misc]


def _share(
    out: Path,
    plan: Plan,
    source: Source,
    measure: Judges,
    done: Collection[Key],
    world: World,
    stopped: Callable[[], bool],
    label: str | None,
) -> None:
    """This process' share of what is asked for now."""
    from tqdm import tqdm

    from abe_rerank.backbones.progress import bars_wanted

    share = [(block, _waiting(block.keys, done)) for block in plan.share(done, world.rank, world.processes)]
    todo = sum(len(wanted) for _, wanted in share)
    hidden = label is None or not world.is_first or not bars_wanted()
    title = label if world.processes == 1 else f"{label}, process 1 of {world.processes}"
    with (
        writing(results_file(out, world.rank)) as journal,
        tqdm(total=todo, desc=title, unit="image", disable=hidden) as bar,
    ):
        for block, wanted in share:
            if stopped():
                return
            prompt = plan.prompts[block.index]
            taken = source.take(block, prompt.prompt, wanted)
            for result in measure.results(block, prompt, taken):
                if result.candidate in wanted:
                    journal.add(result)
                    bar.update()


def finish(out: Path, plan: Plan) -> None:
    """Merge the lines of all processes. Raises AbeRerankError if one is missing or there twice."""
    merge(out, grown(out, plan).keys)


def missing_of(out: Path, plan: Plan) -> list[Key]:
    """The results that no process has written yet. Raises as :func:`abe_rerank.runs.journal.collect` does."""
    there = collect(out, plan.possible)
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
    model that draws (variant, revision, LoRAs); kept as a file can hold it."""

    suite: str
    model: str
    backbone: str
    command: str
    choices: Mapping[str, JsonValue] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("suite", "model", "backbone", "command"):
            object.__setattr__(self, name, readable(getattr(self, name)))


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
    followed = {} if plan.strategy is None or plan.is_whole else {"strategy": _told(plan.strategy)}
    return RunRecord(
        created=datetime.now().astimezone().isoformat(timespec="seconds"),
        suite=asked.suite,
        prompts=len(plan.prompts),
        prompts_sha256=hashlib.sha256(prompts_file(plan)).hexdigest(),
        n=max(plan.counts) if plan.strategy is None else plan.strategy.n,
        scorer=scorer.stamp,
        judge=None if judge is None else judge.scorer.stamp,
        oracle=measure.oracle is not None,
        text_to_image=pipeline_record(source.pipeline, asked.model) if isinstance(source, Drawn) else None,
        backbone=backbone_record(scorer, asked.backbone),
        settings={**origin, **asked.choices, **followed, "batch_size": plan.batch_size, "device": reader.device.type},
        versions=versions(),
        command=asked.command,
        processes=processes,
    )


def _drawing(source: Drawn) -> dict[str, JsonValue]:
    """The settings of drawing: the first seed, the number type and the arguments of the pipeline."""
    drawing = source.drawing
    arguments = json.loads(json.dumps(drawing.arguments, default=repr))
    return {"seed": drawing.seed, "dtype": drawing.dtype, "scheduler": drawing.scheduler, **arguments}


def _told(strategy: Strategy) -> JsonValue:
    """A strategy as a record has it; best of N is what a record means that names none."""
    return {"name": strategy.name, **json.loads(json.dumps(dict(settings_of(strategy))))}


def _listing(source: Found) -> dict[str, JsonValue]:
    """What identifies images that existed before: where they are, how many, and a SHA-256 of their names in order."""
    names = json.dumps([[str(file) for file in files] for files in source.files])
    digest = hashlib.sha256(names.encode()).hexdigest()
    return {"images": readable(source.folder), "files": sum(map(len, source.files)), "files_sha256": digest}
