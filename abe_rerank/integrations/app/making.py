"""How candidates come to be: drawn by the reranker's own loop, or read from pictures that were there, each scored."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from abe_rerank.errors import AbeRerankError, UsageError
from abe_rerank.integrations.app.loaded import Loaded
from abe_rerank.integrations.app.orders import Order, rescoring
from abe_rerank.integrations.app.works import Work
from abe_rerank.runs.generated import Report, RunFacts, build_report
from abe_rerank.runs.records import ModelRecord
from abe_rerank.types import Candidate, Ranking, Settings

if TYPE_CHECKING:
    from PIL.Image import Image

    from abe_rerank.drawing.sampling import Sampling
    from abe_rerank.drawing.strategies import Strategy
    from abe_rerank.types import Drawing, Spec

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

    assert loaded.pipeline is not None
    assert loaded.text_to_image is not None
    _check_same(work, loaded, loaded.text_to_image)
    order = work.order
    sampling = order.sampling(work.wanted - len(work.found), work.next_seed)
    return _Course(
        order,
        as_spec(order.prompt),
        loaded,
        folder,
        sampling,
        settled=settle(loaded.pipeline, order.sampling(work.wanted, order.seed)),
        call=call_arguments(loaded.pipeline, sampling),
        strategy=order.strategy and make_strategy(order.strategy, sampling.n, sampling.seed, **order.strategy_settings),
        created=datetime.fromisoformat(work.report.created) if work.report else datetime.now().astimezone(),
        said=[line for line in (work.report.warnings if work.report else ()) if not line.startswith("interrupted:")],
        found={candidate.seed: candidate.score.value for candidate in work.found},
    ).draw


@dataclass
class _Course:
    """A run as it goes on: ``settled`` is how all of it is drawn, ``sampling`` and ``call`` how the rest; ``said`` are
    the warnings so far, ``found`` the scores by seed."""

    order: Order
    spec: Spec
    loaded: Loaded
    folder: Path
    sampling: Sampling
    settled: Drawing
    call: Mapping[str, Any]
    strategy: Strategy | str | None
    created: datetime
    said: list[str]
    found: dict[int | None, float | None]

    def draw(self, take: Callable[[Arrival], bool]) -> Arrival | None:
        """What :func:`drawing` gives."""
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("ignore")
            warnings.simplefilter("always", UserWarning)

            def arrived(candidate: Candidate) -> bool:
                self._note(caught)
                return take(self._arrived(candidate))

            ranking = self.loaded.reranker.generate(
                self.loaded.pipeline,
                self.spec,
                self.sampling.n,
                self.sampling.seed,
                batch_size=self.order.batch_size,
                strategy=self.strategy,
                on_candidate=arrived,
                **self.call,
            )
            self._note(caught)
        if self.strategy is None:
            return None
        self.found = {candidate.seed: candidate.score.value for candidate in ranking.candidates}
        return _arrival(ranking, self._facts())

    def _note(self, caught: Sequence[warnings.WarningMessage]) -> None:
        self.said += [line for line in (str(one.message) for one in caught) if line not in self.said]

    def _arrived(self, candidate: Candidate) -> Arrival:
        self.found[candidate.seed] = candidate.score.value
        settings = Settings(self.loaded.reranker.scorer.stamp, replace(self.settled, n=len(self.found)))
        return _arrival(Ranking(self.spec.prompt, self.spec, (candidate,), settings), self._facts())

    def _facts(self) -> RunFacts:
        scored = {seed: value for seed, value in self.found.items() if seed is not None and value is not None}
        best = max(scored, key=lambda seed: (scored[seed], -seed), default=None)
        count, again = (self.order.n if self.strategy else len(self.found)), self.order.strategy != "search"
        assert self.loaded.text_to_image is not None
        return RunFacts(
            text_to_image=self.loaded.text_to_image,
            backbone=self.loaded.backbone,
            commands=self.order.commands(count, best if again else None, self.folder),
            created=self.created,
            choices=_choices(self.order.models),
            warnings=tuple(self.said),
        )


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
