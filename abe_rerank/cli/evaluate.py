"""``abe-rerank evaluate``: draw or take the images of a suite, score each, and write lines that survive a kill."""

from __future__ import annotations

import hashlib
import json
import os
import shlex
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from abe_rerank.cli.loading import load_models, load_reranker
from abe_rerank.errors import UsageError
from abe_rerank.text import words_of

if TYPE_CHECKING:
    from abe_rerank.drawing.sampling import Sampling
    from abe_rerank.evaluation.judging import Measure
    from abe_rerank.evaluation.listing import Listing
    from abe_rerank.evaluation.plan import Plan
    from abe_rerank.evaluation.processes import World
    from abe_rerank.evaluation.sources import Drawn, Found
    from abe_rerank.reranker import Reranker

SUITE, N = "shapes", 4


@dataclass(frozen=True)
class Request:
    """What the command line asks for; None is the default, which may depend on the rest."""

    suite: str | None = None
    model: str | None = None
    n: int | None = None
    seed: int = 0
    batch_size: int = 1
    steps: int | None = None
    guidance: float | None = None
    images: Path | None = None
    limit: int | None = None
    backbone: str | None = None
    scorer: str = "abe"
    judge: str | None = None
    oracle: bool | None = None
    device: str | None = None
    dtype: str | None = None
    image_size: str | None = None
    out: Path | None = None

    @property
    def folder(self) -> Path:
        """Where the run lies: ``--out``, or a folder under ``runs`` that the same settings always lead to."""
        if self.out is not None:
            return self.out
        settings = json.dumps(asdict(self), sort_keys=True, default=str, ensure_ascii=True)
        digest = hashlib.sha256(settings.encode()).hexdigest()[:8]
        name = self.suite_name or Path(os.path.abspath(str(self.images))).name
        return Path("runs") / f"{words_of(name, 32)}-{digest}"

    @property
    def asks_oracle(self) -> bool:
        """Whether the oracle of the shapes world judges: as said, or where the suite is that of its world."""
        return self.suite_name.partition(":")[0] == SUITE if self.oracle is None else self.oracle

    @property
    def suite_name(self) -> str:
        """What the run calls its prompts: a suite, the name of a file, or nothing where the images name them."""
        if self.suite is None:
            return "" if self.images else SUITE
        return Path(self.suite).name if os.path.exists(self.suite) else self.suite

    @property
    def command(self) -> str:
        """The command line, with what is not default."""
        words = ["abe-rerank", "evaluate"]
        for name, value in asdict(self).items():
            if isinstance(value, bool):
                words.append(f"--{name}" if value else f"--no-{name}")
            elif value is not None and value != getattr(Request, name):
                words.append(f"--{name.replace('_', '-')}={value}")
        return shlex.join(words)


def evaluate(request: Request) -> None:
    """Do a run, or what is left of it, and say where its results are.

    Raises UsageError for input that cannot be used, AbeRerankError if some image could not be drawn, read or scored:
    the run is complete all the same, and the results name it.
    """
    from abe_rerank.cli.evaluate_notes import conclude
    from abe_rerank.evaluation.processes import World
    from abe_rerank.runs.resuming import check_folder

    check_folder(request.folder)
    listing = _listing(request)
    plan = _plan(request, listing)
    world = World.join(request.device)
    _run(request, listing, plan, world)
    world.leave()
    if world.is_first:
        conclude(request.folder)


def _run(request: Request, listing: Listing, plan: Plan, world: World) -> None:
    from abe_rerank.cli.evaluate_notes import greet, warn
    from abe_rerank.evaluation.identity import Asked, prompts_file, record_of
    from abe_rerank.evaluation.work import begin, finish, work

    out = request.folder
    source, reranker = _source(request, listing, world)
    measure = _measure(request, reranker, world)
    asked = Asked(request.suite_name, request.model or "built-in", request.backbone or "built-in", request.command)
    record = record_of(asked, plan, source, measure)
    state = world.by_first(lambda: begin(out, record, prompts_file(plan), plan))
    if world.is_first:
        greet(out, plan, state, record, listing)
    if not state.complete:
        if world.is_first:
            warn(plan, source, measure)
        work(out, plan, source, measure, state, world)
        world.wait()
        world.by_first(lambda: finish(out, plan))


def _listing(request: Request) -> Listing:
    """The prompts, with the files of their images if there are any. Raises UsageError for what does not go together."""
    from abe_rerank.evaluation.listing import Listing, find_images
    from abe_rerank.suites import load_prompts

    if request.images is None:
        prompts = load_prompts(request.suite or SUITE)[: request.limit]
        return Listing(tuple(prompts), ((),) * len(prompts))
    drawing = {"--model": request.model, "--steps": request.steps, "--guidance": request.guidance}
    drawing["--seed"] = request.seed or None
    given = [name for name, value in drawing.items() if value is not None]
    if given:
        raise UsageError(f"{', '.join(given)}: --images takes images that are there and draws none; leave one out")
    suite = None if request.suite is None else load_prompts(request.suite)[: request.limit]
    return find_images(Path(os.path.abspath(request.images)), suite).first(request.limit)


def _plan(request: Request, listing: Listing) -> Plan:
    """The work. Raises UsageError for numbers that cannot be."""
    from abe_rerank.evaluation.plan import Plan

    sampling = _sampling(request)
    if request.images is None:
        return Plan(listing.prompts, (sampling.n,) * len(listing.prompts), sampling.batch_size)
    counts = tuple(request.n or max(1, len(files)) for files in listing.files)
    return Plan(listing.prompts, counts, request.batch_size)


def _sampling(request: Request) -> Sampling:
    from abe_rerank.drawing.sampling import Sampling

    n = N if request.n is None else request.n
    return Sampling(n, request.seed, min(request.batch_size, n), request.steps, request.guidance)


def _source(request: Request, listing: Listing, world: World) -> tuple[Drawn | Found, Reranker]:
    """Where the images come from, and what scores them."""
    from abe_rerank.evaluation.sources import Drawn, Found

    if request.images is not None:
        reranker = load_reranker(request.backbone, request.scorer, world.device, request.dtype, request.image_size)
        return Found(Path(os.path.abspath(request.images)), listing.files), reranker
    names = (request.model, request.backbone, request.scorer)
    pipeline, reranker = load_models(*names, world.device, request.dtype, request.image_size, shown=world.is_first)
    return Drawn(pipeline, _sampling(request), request.folder), reranker


def _measure(request: Request, reranker: Reranker, world: World) -> Measure:
    """The scorer with the judge and the oracle that are asked for. Raises UsageError for a judge that is the scorer."""
    from abe_rerank.evaluation.judging import Measure
    from abe_rerank.scoring import make_scorer

    judge, oracle = None, None
    if request.judge is not None:
        name, _, backbone = request.judge.partition(":")
        if backbone in ("", request.backbone):
            judge = replace(reranker, scorer=make_scorer(name, reranker.scorer.backbone))
        else:
            judge = load_reranker(backbone, name, world.device, request.dtype)
        if judge.scorer.stamp == reranker.scorer.stamp:
            raise UsageError(f"the judge {request.judge} is what picks; name another scorer or backbone")
    if request.asks_oracle:
        from abe_rerank.shapes.oracle import Oracle

        oracle = Oracle.load(reranker.scorer.backbone.device)
    return Measure(reranker, judge, oracle)
