"""How long each part of best-of-N takes: ``abe-rerank benchmark speed``.

Every number is a median over rounds of one run, each with a prompt of its own, so that nothing is remembered from the
round before; what is compared takes turns within a round, and ratios are medians of the rounds' ratios.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from itertools import cycle, islice
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from abe_rerank.benchmarks.speed_rivals import AT_ONCE, rivals
from abe_rerank.drawing.sampling import Sampling, draw, settle
from abe_rerank.files import table
from abe_rerank.parsing import parse
from abe_rerank.report.views import write_views
from abe_rerank.runs.generated import Commands, RunFacts, build_report, write_generated
from abe_rerank.runs.provenance import backbone_record, pipeline_record
from abe_rerank.scoring.stream import rank, scores_of
from abe_rerank.types import Samples

if TYPE_CHECKING:
    from abe_rerank.drawing.pipelines import Pipeline
    from abe_rerank.scoring import Scorer
    from abe_rerank.types import Drawing

Clock = Callable[[], float]
N = 8
"""Candidates of the main job."""
FEW = 4
"""Steps of the images by which encoding once is measured: the text encoder's work is made to match theirs."""
ENCODING = "of that, encoding the prompt"
MAIN = ("parsing", "drawing", "scoring (abe)", "reporting")
"""What a run of ``generate`` does once its models are loaded."""


@dataclass(frozen=True)
class Part:
    """Seconds of one part of the work: the median over rounds, for the whole prompt of :data:`N` images."""

    name: str
    seconds: float


@dataclass(frozen=True)
class Rate:
    """Images a second of one way to score, and how many times faster the first (abe) is: the median of ratios."""

    name: str
    images_per_second: float
    abe_is_faster: float


@dataclass(frozen=True)
class Speed:
    """What was measured. ``share`` is scoring's part of the main job; ``encoding_once`` the time of N images whose
    prompt is encoded once, as a part of the time where it is encoded each time, with a text encoder that takes half of
    each call; ``left_out`` says what could not be measured and why."""

    n: int
    parts: tuple[Part, ...]
    share: float
    at_once: int
    rates: tuple[Rate, ...]
    encoding_once: float | None
    left_out: tuple[str, ...]


def measure(
    pipeline: Pipeline, scorers: Mapping[str, Scorer], prompts: Sequence[str], clock: Clock = time.perf_counter
) -> Speed:
    """The speed of a pipeline and of scorers, "abe" among them, on one backbone; a round for each prompt after the
    first, which is not counted."""
    rounds, drawn = [], []
    for prompt in prompts:
        seconds, samples = _round(pipeline, scorers, prompt, clock)
        rounds.append(seconds)
        drawn.append(samples)
    parts = tuple(Part(name, median(r[name] for r in rounds[1:])) for name in rounds[0])
    whole = {part.name: part.seconds for part in parts}
    images = [sample.image for samples in drawn for sample in samples.images]
    pictures = list(islice(cycle(images), AT_ONCE))
    ways, left_out = rivals(scorers, pictures)
    return Speed(
        n=N,
        parts=parts,
        share=whole["scoring (abe)"] / sum(whole[name] for name in MAIN),
        at_once=AT_ONCE,
        rates=compare(ways, prompts, AT_ONCE, clock),
        encoding_once=_encoding_once(pipeline, prompts, clock),
        left_out=left_out,
    )


def _round(
    pipeline: Pipeline, scorers: Mapping[str, Scorer], prompt: str, clock: Clock
) -> tuple[dict[str, float], Samples]:
    """The seconds of each part for one prompt, and what was drawn."""
    seconds = dict.fromkeys(("parsing", "drawing", ENCODING), 0.0)

    @contextmanager
    def timed(name: str) -> Iterator[None]:
        start = clock()
        yield
        seconds[name] = seconds.get(name, 0.0) + clock() - start

    with timed("parsing"):
        spec = parse(prompt)
    drawing = settle(pipeline, Sampling(n=N))
    with _watched(pipeline, lambda: timed(ENCODING)), timed("drawing"):
        samples = draw(pipeline, prompt, drawing)
    for name, scorer in scorers.items():
        with timed(f"scoring ({name})"):
            scores_of(scorer, spec, [sample.picture for sample in samples.images])
    ranking = rank(scorers["abe"], spec, samples)
    facts = RunFacts(
        text_to_image=pipeline_record(pipeline, "built-in"),
        backbone=backbone_record(scorers["abe"], "built-in"),
        commands=Commands(run="", redraw=None, rescore=""),
        created=datetime.now().astimezone(),
    )
    with tempfile.TemporaryDirectory() as folder, timed("reporting"):
        report = build_report(ranking, facts)
        images = [candidate.image for candidate in ranking.candidates]
        write_generated(Path(folder), report, images)
        write_views(Path(folder), report, images)
    return seconds, samples


@contextmanager
def _watched(pipeline: Any, around: Callable[[], Any]) -> Iterator[None]:
    """Within the block, the pipeline's own ``encode_prompt`` works within ``around()``."""
    encode = getattr(pipeline, "encode_prompt", None)
    if encode is None:
        yield
        return

    def watched(*values: Any, **named: Any) -> Any:
        with around():
            return encode(*values, **named)

    pipeline.encode_prompt = watched
    try:
        yield
    finally:
        del pipeline.encode_prompt


def compare(
    ways: Mapping[str, Callable[[str], object]], prompts: Sequence[str], images: int, clock: Clock
) -> tuple[Rate, ...]:
    """Ways to score ``images`` images for a prompt, in turns, a round for each prompt after the first; the order of a
    round is turned by one each time."""
    names = list(ways)
    seconds: dict[str, list[float]] = {name: [] for name in names}
    for number, prompt in enumerate(prompts):
        for name in names[number % len(names) :] + names[: number % len(names)]:
            start = clock()
            ways[name](prompt)
            seconds[name].append(clock() - start)
    own = seconds[names[0]][1:]
    return tuple(
        Rate(name, images / median(took[1:]), median(t / o for t, o in zip(took[1:], own, strict=True)))
        for name, took in seconds.items()
    )


def _encoding_once(pipeline: Any, prompts: Sequence[str], clock: Clock) -> float | None:
    """The time of N images, one by one, whose prompt is encoded once, as a part of that where it is encoded for each.

    The text encoder's work is repeated until it takes half of a call. None for a pipeline without ``text_encoder``.
    """
    encoder = pipeline.components.get("text_encoder")
    if encoder is None or not hasattr(pipeline, "encode_prompt"):
        return None
    drawing = settle(pipeline, Sampling(n=N, batch_size=1, steps=FEW))
    more = _repeats(pipeline, encoder, lambda: _each_time(pipeline, prompts[0], drawing), clock)

    def again(module: Any, values: Any, named: Any) -> None:
        for _ in range(more):
            module.forward(*values, **named)

    hook = encoder.register_forward_pre_hook(again, with_kwargs=True)
    try:
        ratios = []
        for prompt in prompts[1:]:
            start = clock()
            draw(pipeline, prompt, drawing)
            once = clock() - start
            start = clock()
            _each_time(pipeline, prompt, drawing)
            ratios.append(once / (clock() - start))
        return median(ratios)
    finally:
        hook.remove()


def _repeats(pipeline: Any, encoder: Any, work: Callable[[], None], clock: Clock) -> int:
    """How often more the text encoder's forward must run for encoding the prompt to take half of the time of ``work``,
    which is done once to warm up. The tokenizer, and what else encoding is, runs once all the same."""
    encoding: list[float] = []
    forward: list[float] = []

    @contextmanager
    def noted() -> Iterator[None]:
        start = clock()
        yield
        encoding.append(clock() - start)

    hooks = (
        encoder.register_forward_pre_hook(lambda *_: forward.append(-clock())),
        encoder.register_forward_hook(lambda *_: forward.append(clock())),
    )
    try:
        with _watched(pipeline, noted):
            work()
            encoding.clear()
            forward.clear()
            start = clock()
            work()
            whole = clock() - start
    finally:
        for hook in hooks:
            hook.remove()
    rest = whole - sum(encoding)
    return max(0, round((rest - sum(encoding)) / sum(forward))) if sum(forward) > 0 else 0


def _each_time(pipeline: Pipeline, prompt: str, drawing: Drawing) -> None:
    """Draw the images of a drawing in calls of their own, which encode the prompt each time."""
    for seed in drawing.seeds:
        draw(pipeline, prompt, replace(drawing, n=1, seed=seed))


def main(
    pipeline: Pipeline,
    scorers: Mapping[str, Scorer],
    prompts: Sequence[str],
    cpu_time: bool = False,
    json_output: bool = False,
) -> str:
    """Measures, and says the numbers as text or JSON; ``cpu_time`` counts the seconds of this process's processors."""
    found = measure(pipeline, scorers, prompts, time.process_time if cpu_time else time.perf_counter)
    if json_output:
        told = {"schema_version": 1, "benchmark": "speed", "rounds": len(prompts) - 1, "cpu_time": cpu_time}
        return json.dumps({**told, **asdict(found)})
    return as_text(found)


def as_text(found: Speed) -> str:
    """The tables, and a line for each number that stands alone."""
    parts = [
        [part.name, f"{part.seconds:.4f}", f"{part.seconds / found.n:.4f}" if part.name != "parsing" else "-"]
        for part in found.parts
    ]
    rates = [[rate.name, f"{rate.images_per_second:.1f}", f"{rate.abe_is_faster:.2f}"] for rate in found.rates]
    lines = [
        table([f"best of {found.n}", "seconds", "an image"], parts),
        f"scoring is {found.share:.1%} of the time of parsing, drawing, scoring and reporting",
        "",
        table([f"scoring {found.at_once} images at once", "images/s", "abe is faster, times"], rates),
        *found.left_out,
    ]
    if found.encoding_once is not None:
        lines += [
            "",
            f"with a text encoder that takes half of each call, {found.n} images whose prompt is encoded once take "
            f"{found.encoding_once:.2f} of the time of encoding it each time",
        ]
    return "\n".join(lines)
