"""What a second is worth: gain in right pictures against time, by strategy: ``abe-rerank benchmark strategies``.

Each picture of a prompt is drawn and scored once and serves every strategy that asks for it. What a strategy costs is
the sum of what its batches cost, from times measured in the same run; scoring is part of it. Settings are chosen on
other prompts than those that are reported.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from abe_rerank.benchmarks.checkout.faults import FAULTS, Pairs, faulty
from abe_rerank.benchmarks.checkout.strategy_figure import Row, write_figure
from abe_rerank.benchmarks.verdicts import said
from abe_rerank.drawing.sampling import AT_ONCE, Sampling, batches, settle
from abe_rerank.drawing.strategies import Strategy, make_strategy
from abe_rerank.drawing.strategies.pursuit import pursue
from abe_rerank.evaluation.statistics import bootstrap_mean
from abe_rerank.files import table
from abe_rerank.parsing import parse
from abe_rerank.recipes import Drawing, Recipe
from abe_rerank.scoring.stream import candidates_of, ranking_of
from abe_rerank.shapes.oracle import Oracle, is_right
from abe_rerank.shapes.world import COLOURS, SHAPES
from abe_rerank.types import Candidate, Samples, Settings

if TYPE_CHECKING:
    from abe_rerank.drawing.pipelines import Pipeline
    from abe_rerank.scoring import Scorer

Clock = Callable[[], float]
MOST = 16
"""Pictures of a prompt."""
RATE = 0.6
"""So many pictures are drawn with a fault where faults are known."""
ENOUGH = 0.95
"""The part of best-of-16's gain that a setting is to reach where it is chosen."""
DRAFTS = tuple({"draft_steps": steps, "keep": keep} for steps in (2, 3, 4) for keep in (1, 2, 4))
BOUND = tuple({"probability": p, "at_once": k} for p in (0.8, 0.9, 0.95, 0.97) for k in (2, 4))


@dataclass(frozen=True)
class Task:
    """Prompts of ``objects`` objects, drawn with known faults at a ``rate``, or as they are with a ``guidance``."""

    name: str
    objects: int
    rate: float = 0.0
    guidance: float | None = None


TASKS = (
    Task("2 objects, three in five with a fault", 2, RATE),
    Task("3 objects, three in five with a fault", 3, RATE),
    Task("2 objects, guidance 1", 2, guidance=1.0),
)


class Faulty:
    """A pipeline that draws some seeds' pictures for the prompt with one fault, as ``rate`` and the seed decide."""

    def __init__(self, core: Any, pairs: Pairs, rate: float) -> None:
        self.__dict__.update(core=core, pairs=pairs, rate=rate, __call__=_signed(core, self.draw))

    def __getattr__(self, name: str) -> Any:
        return getattr(self.core, name)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self.core, name, value)

    def __delattr__(self, name: str) -> None:
        delattr(self.core, name)

    def told(self, seed: int) -> str:
        """What the picture of a seed is drawn for."""
        rng = np.random.default_rng((seed, len(self.pairs)))
        if rng.random() >= self.rate:
            return said(self.pairs)
        return said(faulty(self.pairs, str(rng.choice(FAULTS)), rng))

    def draw(self, *, prompt: list[str], generator: list[Any], **call: Any) -> Any:
        """The core's call, each image for what its seed is told."""
        return self.core(prompt=[self.told(one.initial_seed()) for one in generator], generator=generator, **call)

    def __call__(self, **call: Any) -> Any:
        """See :meth:`draw`."""
        return self.draw(**call)


def _signed(core: Any, call: Any) -> Any:
    """A function with the signature of the core's call, by which its arguments are known."""
    return wraps(core.__call__)(lambda *values, **named: call(*values, **named))


@dataclass(frozen=True)
class Costs:
    """Seconds of a batch by steps and size, those between two sizes on a line, and of scoring a picture."""

    batch: Mapping[int, Mapping[int, float]]
    scoring: float

    def of(self, steps: int, count: int) -> float:
        """Drawing and scoring so many pictures, in batches of equal size."""
        size = math.ceil(count / math.ceil(count / AT_ONCE))
        sizes = sorted(self.batch[steps])
        return (
            math.ceil(count / size) * float(np.interp(size, sizes, [self.batch[steps][k] for k in sizes]))
            + count * self.scoring
        )


def measured_costs(
    pipeline: Pipeline, scorer: Scorer, steps: Iterable[int], guidance: float | None, clock: Clock
) -> Costs:
    """The least of two times each, after a first round that is not counted."""
    spec = parse("a red cube and a blue star")
    found: dict[int, dict[int, float]] = {}
    for number in steps:
        found[number] = {}
        for size in (1, 2, 4, AT_ONCE):
            drawing = settle(pipeline, Sampling(n=size, batch_size=size, steps=number, guidance=guidance))
            took = []
            for _ in range(2):
                start = clock()
                (samples,) = batches(pipeline, spec.prompt, drawing)
                took.append(clock() - start)
            found[number][size] = min(took)
    took = []
    for _ in range(3):
        start = clock()
        candidates_of(scorer, spec, samples)
        took.append((clock() - start) / len(samples.images))
    return Costs(found, min(took))


@dataclass(frozen=True)
class Outcome:
    """Whether the picked picture is right, and the seconds until it was picked."""

    right: bool
    seconds: float


@dataclass
class Pool:
    """The pictures of one prompt, each drawn, scored and judged when it is first asked for."""

    pipeline: Any
    scorer: Scorer
    oracle: Oracle
    prompt: str
    guidance: float | None
    costs: Costs
    candidates: dict[Recipe, Candidate] = field(default_factory=dict)
    right: dict[Recipe, bool] = field(default_factory=dict)
    seconds: float = 0.0
    asked: tuple[Recipe, ...] = ()

    def drawing(self, count: int, steps: int | None = None) -> Drawing:
        """How pictures are drawn."""
        return settle(self.pipeline, Sampling(n=count, steps=steps, guidance=self.guidance))

    def ask(self, recipes: Sequence[Recipe], drawing: Drawing) -> Iterator[Samples]:
        """Make sure that the pictures are there, and count what they cost."""
        missing = [recipe for recipe in recipes if recipe not in self.candidates]
        if missing:
            spec = parse(self.prompt)
            for batch in batches(self.pipeline, self.prompt, self.drawing(len(missing)), recipes=missing):
                for one in candidates_of(self.scorer, spec, batch):
                    self.candidates[one.recipe] = one
                    self.right[one.recipe] = is_right(self.oracle.detect([one.image])[0], spec)
        full = int(drawing.arguments["num_inference_steps"])  # type: ignore[call-overload]
        self.seconds += self.costs.of(recipes[0].steps or full, len(recipes))
        self.asked = tuple(recipes)
        yield Samples((), drawing)

    def outcome(self, strategy: Strategy) -> Outcome:
        """What a strategy picks here, and after how many seconds."""
        self.seconds = 0.0
        done = pursue(
            strategy,
            self.drawing,
            self.ask,  # type: ignore[arg-type]
            lambda _: [self.candidates[recipe] for recipe in self.asked],
            clock=lambda: self.seconds,
        )
        ranking = ranking_of(parse(self.prompt), done.candidates, Settings(self.scorer.stamp))
        best = ranking.candidates[0]
        return Outcome(best.score.value is not None and self.right[best.recipe], self.seconds)


def pools(pipeline: Pipeline, scorer: Scorer, task: Task, costs: Costs, prompts: int, split: int) -> list[Pool]:
    """The prompts of a task, all colours and shapes of a prompt different; ``split`` is 0 to report, 1 to choose."""
    oracle, found = Oracle.load(), []
    for k in range(prompts):
        rng = np.random.default_rng((17, split, task.objects, k))
        colours = rng.choice(COLOURS, task.objects, replace=False)
        shapes = rng.choice(SHAPES, task.objects, replace=False)
        pairs = [(str(c), str(s)) for c, s in zip(colours, shapes, strict=True)]
        drawer = Faulty(pipeline, pairs, task.rate) if task.rate else pipeline
        found.append(Pool(drawer, scorer, oracle, said(pairs), task.guidance, costs))
    return found


def rows(found: Sequence[Pool], strategies: Mapping[str, Callable[[int], Strategy]]) -> list[Row]:
    """The numbers of strategies, each made with a first seed; the first, best of 16, is what the rest is a part of."""
    outcomes = {
        name: [pool.outcome(make(1000 * k)) for k, pool in enumerate(found)] for name, make in strategies.items()
    }
    plain = [[right for recipe, right in p.right.items() if _plain(recipe, k)] for k, p in enumerate(found)]
    random = np.mean([np.mean(rights) for rights in plain])
    listed: list[Row] = []
    for name, results in outcomes.items():
        right = np.array([float(one.right) for one in results])
        gain, seconds = float(right.mean() - random), float(np.mean([one.seconds for one in results]))
        whole = listed[0] if listed else None
        share = 1.0 if whole is None else gain / whole.gain if whole.gain > 0 else None
        part = 1.0 if whole is None else seconds / whole.seconds
        listed.append(Row(name, str(bootstrap_mean(right)), gain, seconds, share, part))
    return listed


def _plain(recipe: Recipe, number: int) -> bool:
    """Whether a picture is one of those of best of 16 of a prompt."""
    return recipe.steps is None and not recipe.renewed and recipe.seed < 1000 * number + MOST


def chosen(found: Sequence[Row], names: Sequence[str]) -> str:
    """The quickest of some rows that reaches :data:`ENOUGH` of best-of-16's gain, else that of the most gain."""
    own = [row for row in found if row.strategy in names]
    enough = [row for row in own if row.of_gain is not None and row.of_gain >= ENOUGH]
    if enough:
        return min(enough, key=lambda row: row.seconds).strategy
    return max(own, key=lambda row: (row.gain, -row.seconds)).strategy


def _named(name: str, settings: Mapping[str, float]) -> str:
    return f"{name} ({', '.join(f'{key} {value:g}' for key, value in settings.items())})"


def _made(name: str, n: int, settings: Mapping[str, Any]) -> Callable[[int], Strategy]:
    return lambda seed: make_strategy(name, n, seed, **settings)


def main(
    pipeline: Pipeline,
    scorer: Scorer,
    prompts: int,
    choosing: int,
    cpu_time: bool = False,
    json_output: bool = False,
    figure: Path | None = None,
) -> str:
    """Chooses settings on some prompts of the tasks with known faults, and reports on others of all tasks."""
    clock = time.process_time if cpu_time else time.perf_counter
    whole = {f"best of {MOST}": _made("best-of-n", MOST, {})}
    tried = {
        _named(name, one): _made(name, MOST, one)
        for name, some in (("drafts", DRAFTS), ("until-bound", BOUND))
        for one in some
    }
    full = int(settle(pipeline, Sampling()).arguments["num_inference_steps"])  # type: ignore[call-overload]
    steps = [full, *sorted({one["draft_steps"] for one in DRAFTS})]
    costs = {g: measured_costs(pipeline, scorer, steps, g, clock) for g in {task.guidance: 0 for task in TASKS}}
    faulty_tasks = [task for task in TASKS if task.rate]
    known = [pool for task in faulty_tasks for pool in pools(pipeline, scorer, task, costs[task.guidance], choosing, 1)]
    choices = rows(known, whole | tried)
    best = [chosen(choices, [name for name in tried if name.startswith(kind)]) for kind in ("drafts", "until-bound")]
    shown = whole | {f"best of {n}": _made("best-of-n", n, {}) for n in (1, 2, 4, 6, 8)}
    shown |= {name: tried[name] for name in best} | {"search": _made("search", MOST, {})}
    parts = [(task, rows(pools(pipeline, scorer, task, costs[task.guidance], prompts, 0), shown)) for task in TASKS]
    if figure is not None:
        write_figure(figure, [(task.name, found) for task, found in parts])
    if json_output:
        told = {"schema_version": 1, "benchmark": "strategies", "prompts": prompts, "cpu_time": cpu_time}
        listed = [asdict(task) | {"rows": [asdict(row) for row in found]} for task, found in parts]
        return json.dumps({**told, "choosing": [asdict(row) for row in choices], "tasks": listed})
    texts = [f"chosen on {len(known)} other prompts: {'; '.join(best)}\n{as_table(choices)}"]
    return "\n\n".join(texts + [f"{task.name}, {prompts} prompts\n{as_table(found)}" for task, found in parts])


def as_table(found: Sequence[Row]) -> str:
    """The rows as text."""
    cells = [
        [r.strategy, r.right, f"{r.gain:+.3f}", f"{r.seconds:.2f}", _share(r.of_gain), _share(r.of_seconds)]
        for r in found
    ]
    return table(["strategy", "right", "gain", "seconds", f"of best-of-{MOST}'s gain", "of its seconds"], cells)


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.0%}"
