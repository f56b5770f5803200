"""``abe-rerank evaluate``: draw or take the images of a suite, score each, and write lines that survive a kill."""

from __future__ import annotations

import hashlib
import json
import os
import shlex
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from abe_rerank.commands.loading import load_models, load_reranker
from abe_rerank.commands.terminal import note, say
from abe_rerank.errors import AbeRerankError, UsageError
from abe_rerank.run_folder import words_of

if TYPE_CHECKING:
    from abe_rerank.evaluation.identity import Asked
    from abe_rerank.evaluation.listing import Listing
    from abe_rerank.evaluation.measure import Drawn, Found, Measure
    from abe_rerank.evaluation.plan import Plan
    from abe_rerank.evaluation.records import RunRecord
    from abe_rerank.evaluation.run import State
    from abe_rerank.evaluation.world import World
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
    out: Path | None = None

    @property
    def folder(self) -> Path:
        """Where the run lies: ``--out``, or a folder under ``runs`` that the same settings always lead to."""
        if self.out is not None:
            return self.out
        settings = json.dumps(asdict(self), sort_keys=True, default=str, ensure_ascii=True)
        digest = hashlib.sha256(settings.encode()).hexdigest()[:8]
        return Path("runs") / f"{words_of(str(self.suite or self.images or SUITE), 32)}-{digest}"

    @property
    def asks_oracle(self) -> bool:
        """Whether the oracle of the shapes world judges: as said, or where the suite is that of its world."""
        return self.suite_name.startswith("shapes") if self.oracle is None else self.oracle

    @property
    def suite_name(self) -> str:
        """What the run calls its prompts: a suite, the name of a file, or nothing where the images name them."""
        if self.suite is None:
            return "" if self.images else SUITE
        return Path(self.suite).name if Path(self.suite).exists() else self.suite

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
    from abe_rerank.evaluation.folder import check_folder

    out = request.folder
    check_folder(out)
    listing = _listing(request)
    from abe_rerank.evaluation.world import World

    world = World.join(request.device)
    try:
        _run(request, listing, out, world)
    finally:
        world.leave()


def _run(request: Request, listing: Listing, out: Path, world: World) -> None:
    from abe_rerank.evaluation.identity import prompts_file, record_of
    from abe_rerank.evaluation.run import finish, open_run, work

    source, measure, plan = _loaded(request, listing, out, world)
    record = record_of(_asked(request), plan, source, measure)
    state = world.by_first(lambda: open_run(out, record, prompts_file(plan), plan))
    if world.is_first:
        _greet(out, plan, state, record, listing)
    if not state.complete:
        if world.is_first:
            _warn(plan, source, measure)
        work(out, plan, source, measure, state, world)
        world.wait()
        world.by_first(lambda: finish(out, plan))
    if world.is_first:
        _conclude(out)


def _listing(request: Request) -> Listing:
    """The prompts, with the files of their images if there are any. Raises UsageError for what does not go together."""
    from abe_rerank.evaluation.listing import Listing, find_images
    from abe_rerank.suites import load_prompts

    if request.images is None:
        prompts = load_prompts(request.suite or SUITE)[: request.limit]
        return Listing(tuple(prompts), ((),) * len(prompts))
    drawing = {"--model": request.model, "--steps": request.steps, "--guidance": request.guidance}
    given = [name for name, value in drawing.items() if value is not None]
    if given:
        raise UsageError(f"{', '.join(given)} draws images, and --images takes those that are there; leave one out")
    suite = None if request.suite is None else load_prompts(request.suite)[: request.limit]
    return find_images(Path(os.path.abspath(request.images)), suite).first(request.limit)


def _loaded(request: Request, listing: Listing, out: Path, world: World) -> tuple[Drawn | Found, Measure, Plan]:
    """Where images come from, what measures them, and the plan of the work."""
    from abe_rerank.evaluation.measure import Drawn, Found
    from abe_rerank.evaluation.plan import Plan
    from abe_rerank.generation import Sampling

    if request.images is not None:
        counts = [max(1, len(files)) if request.n is None else request.n for files in listing.files]
        reranker = load_reranker(request.backbone, request.scorer, world.device, request.dtype)
        plan = Plan(listing.prompts, tuple(counts), request.batch_size)
        return Found(Path(os.path.abspath(request.images)), listing.files), _measure(request, reranker, world), plan
    n = request.n or N
    batch_size = min(request.batch_size, n)
    sampling = Sampling(n, request.seed, batch_size, request.steps, request.guidance)
    names = (request.model, request.backbone, request.scorer)
    pipeline, reranker = load_models(*names, world.device, request.dtype, shown=world.is_first)
    plan = Plan(listing.prompts, (n,) * len(listing.prompts), batch_size)
    return Drawn(pipeline, sampling, out), _measure(request, reranker, world), plan


def _measure(request: Request, reranker: Reranker, world: World) -> Measure:
    """The scorer with the judge and the oracle that are asked for. Raises UsageError for a judge that is the scorer."""
    from abe_rerank.evaluation.measure import Measure
    from abe_rerank.scorers import make_scorer

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


def _asked(request: Request) -> Asked:
    from abe_rerank.evaluation.identity import Asked

    return Asked(request.suite_name, request.model or "built-in", request.backbone or "built-in", request.command)


def _greet(out: Path, plan: Plan, state: State, record: RunRecord, listing: Listing) -> None:
    """Say what is begun or gone on with, and what may make its results differ."""
    total = len(plan.keys)
    if state.complete:
        note(f"{out} is complete; nothing is done")
    elif state.done:
        note(f"going on in {out}: {len(state.done)} of {total} results are there")
    else:
        note(f"{total} images of {len(plan.prompts)} prompts into {out}")
    changed = [name for name, version in record.versions.items() if state.begun.versions.get(name) != version]
    if changed and not state.complete:
        was = ", ".join(f"{name} {state.begun.versions.get(name)}" for name in changed)
        note(f"warning: the run was begun with {was}; what comes now may differ in the last digits")
    if listing.left_out:
        note(f"warning: {len(listing.left_out)} files are left out, the first: {listing.left_out[0]}")


def _warn(plan: Plan, source: Drawn | Found, measure: Measure) -> None:
    """One line each for what the models cannot read in the prompts."""
    from abe_rerank.evaluation.measure import Drawn
    from abe_rerank.generation import cut_off, tokenizers_of, unknown_words

    prompts = [prompt.prompt for prompt in plan.prompts]
    backbone = measure.reranker.scorer.backbone
    readers = {"the backbone": [backbone.tokenizer]}
    if isinstance(source, Drawn):
        readers["the text-to-image model"] = tokenizers_of(source.pipeline)
        cut = [cut_off(source.pipeline, prompt) is not None for prompt in prompts]
        _note_some(cut, "are longer than the text-to-image model reads, which cuts them")
    for name, tokenizers in readers.items():
        unknown = [unknown_words(tokenizers, prompt) for prompt in prompts]
        words = list(dict.fromkeys(word for some in unknown for word in some))
        listed = ", ".join(words[:8]) + (", ..." if len(words) > 8 else "")
        _note_some([bool(some) for some in unknown], f"have words for which {name} has no token: {listed}")
    parts = [len(backbone.text_windows(prompt)) > 1 for prompt in prompts]
    _note_some(parts, "are longer than the backbone reads at once: they are read in parts cut at phrases")


def _note_some(which: list[bool], what: str) -> None:
    if any(which):
        note(f"warning: {sum(which)} of {len(which)} prompts {what}")


def _conclude(out: Path) -> None:
    """Say what the complete run holds. Raises AbeRerankError if an image is unscored."""
    from abe_rerank.evaluation.run import outcome

    found = outcome(out)
    bound = found.images - found.unscored - found.nothing_to_bind
    parts = [f"{bound} scored"]
    parts += [f"{found.nothing_to_bind} with nothing to bind"] if found.nothing_to_bind else []
    parts += [f"{found.unscored} unscored"] if found.unscored else []
    say(f"{found.images} images: {', '.join(parts)}")
    say(f"{out / 'results.jsonl'}\nnext: abe-rerank summarize {shlex.quote(str(out))}")
    if found.unscored:
        raise AbeRerankError(
            f"{found.unscored} of {found.images} images could not be scored; the first: {found.first_reason}"
        )
