"""How candidates come to be: drawn by the reranker's own loop, or read from pictures that were there, each scored."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from abe_rerank.errors import AbeRerankError, UsageError
from abe_rerank.integrations.app.loaded import Loaded
from abe_rerank.integrations.app.orders import rescoring
from abe_rerank.integrations.app.works import Work
from abe_rerank.runs.generated import Report, RunFacts, build_report
from abe_rerank.runs.records import ModelRecord
from abe_rerank.types import Candidate, Ranking, Settings

if TYPE_CHECKING:
    from PIL.Image import Image

Arrival = tuple[Report, dict[str, "Image"]]
"""A report of new candidates, and their images by the SHA-256 of their pixels."""

Pictures = Sequence[tuple[str, "Image"]]


def drawing(work: Work, loaded: Loaded, folder: Path) -> Callable[[Callable[[Arrival], bool]], Arrival | None]:
    """What draws the candidates of a run that are not there yet: a function that is called with what takes each.

    It stops after the candidate for which that gives False. Where a strategy draws, it gives all that may be picked, in
    the place of what came: drafts are no pictures. Raises UsageError where the run was begun with other models
    than are there now, or for arguments that the model does not take, AbeRerankError as drawing does.
    """
    from abe_rerank.drawing.sampling import call_arguments, settle
    from abe_rerank.drawing.strategies import make_strategy
    from abe_rerank.reranker import as_spec

    pipeline, model = loaded.pipeline, loaded.text_to_image
    assert pipeline is not None
    assert model is not None
    _check_same(work, loaded, model)
    order, spec = work.order, as_spec(work.order.prompt)
    sampling = order.sampling(work.wanted - len(work.found), work.next_seed)
    stamp = loaded.reranker.scorer.stamp
    settings = Settings(stamp, settle(pipeline, order.sampling(work.wanted, order.seed)))
    call, renewed = call_arguments(pipeline, sampling), order.strategy == "search"
    strategy = order.strategy and make_strategy(order.strategy, sampling.n, sampling.seed, **order.strategy_settings)
    begun = work.report.created if work.report else None
    created = datetime.fromisoformat(begun) if begun else datetime.now().astimezone()

    def draw(take: Callable[[Arrival], bool]) -> Arrival | None:
        said = [line for line in (work.report.warnings if work.report else ()) if not line.startswith("interrupted:")]
        found = {candidate.seed: candidate.score.value for candidate in work.found}

        def facts() -> RunFacts:
            scored = {seed: value for seed, value in found.items() if seed is not None and value is not None}
            best = max(scored, key=lambda seed: (scored[seed], -seed), default=None)
            return RunFacts(
                text_to_image=model,
                backbone=loaded.backbone,
                commands=order.commands(order.n if order.strategy else len(found), None if renewed else best, folder),
                created=created,
                choices=_choices(order.models),
                warnings=tuple(dict.fromkeys([*said, *(str(one.message) for one in caught)])),
            )

        def arrived(candidate: Candidate) -> bool:
            found[candidate.seed] = candidate.score.value
            assert settings.drawing is not None
            drawn = replace(settings, drawing=replace(settings.drawing, n=len(found)))
            return take(_arrival(Ranking(spec.prompt, spec, (candidate,), drawn), facts()))

        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("ignore")
            warnings.simplefilter("always", UserWarning)
            ranking = loaded.reranker.generate(
                pipeline,
                spec,
                sampling.n,
                sampling.seed,
                batch_size=order.batch_size,
                strategy=strategy,
                on_candidate=arrived,
                **call,
            )
        if order.strategy is None:
            return None
        found.clear()
        found.update({candidate.seed: candidate.score.value for candidate in ranking.candidates})
        return _arrival(ranking, facts())

    return draw


def read_pictures(files: Sequence[tuple[str, Path]]) -> Pictures:
    """The pictures in files, with the names they had. Raises UsageError for one that is no picture."""
    from abe_rerank.images import read

    found = []
    for name, path in files:
        try:
            found.append((name, read(str(path))))
        except AbeRerankError as error:
            raise UsageError(str(error).replace(str(path), name)) from None
    return found


NO_MODEL = ModelRecord(name="none: pictures that were there", kind="pictures", weights="none")


def scoring(work: Work, pictures: Pictures, loaded: Loaded, folder: Path) -> Iterator[Arrival]:
    """Score pictures for the prompt of a run, one after the other."""
    from abe_rerank.reranker import as_spec

    spec = as_spec(work.order.prompt)
    created = datetime.now().astimezone()
    command = rescoring(spec.prompt, work.order.models, folder)
    facts = RunFacts(
        text_to_image=NO_MODEL,
        backbone=loaded.backbone,
        commands=work.order.commands(len(pictures), None, folder).model_copy(update={"run": command}),
        created=created,
    )
    for name, image in pictures:
        ranking = loaded.reranker.rank(spec, [image])
        report, images = _arrival(ranking, facts)
        stem = re.sub(r"[^\w.-]+", "-", Path(name).stem).strip("-.")[:60] or "picture"
        (record,) = report.candidates
        named = record.model_copy(update={"image": f"candidates/01_{stem}.png"})
        yield report.model_copy(update={"candidates": (named,)}), images


def _arrival(ranking: Ranking, facts: RunFacts) -> Arrival:
    report = build_report(ranking, facts)
    pairs = zip(report.candidates, ranking.candidates, strict=True)
    return report, {record.pixels_sha256: candidate.image for record, candidate in pairs}


def _choices(models: object) -> dict[str, object]:
    chosen = {name: getattr(models, name) for name in ("variant", "revision")}
    lora = list(getattr(models, "lora", ()))
    return {name: value for name, value in {**chosen, "lora": lora or None}.items() if value is not None}


def _check_same(work: Work, loaded: Loaded, model: ModelRecord) -> None:
    """Raises UsageError where a run has candidates of other weights, or scores of another scorer."""
    if work.report is None:
        return
    now = {"text-to-image model": model.weights, "scorer": loaded.reranker.scorer.stamp}
    then = {"text-to-image model": work.report.text_to_image.weights, "scorer": work.report.scorer}
    if changed := [name for name in now if now[name] != then[name]]:
        raise UsageError(f"the {changed[0]} is not the one that this run was begun with; draw the prompt anew")
