"""The models of a command, loaded beneath a progress bar."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from abe_rerank.cli.asked import BackboneOptions, DrawOptions
from abe_rerank.cli.terminal import note, quiet_libraries, step, warn

if TYPE_CHECKING:
    from abe_rerank.drawing.pipelines import Pipeline
    from abe_rerank.reranker import Reranker


def load_models(
    draw: DrawOptions, backbone: BackboneOptions, scorer: str, *, shown: bool = True
) -> tuple[Pipeline, Reranker]:
    """The text-to-image pipeline and the reranker, on one device and with one dtype unless it is asked for otherwise.

    A pipeline that is to be offloaded is on the CPU, for
    :func:`abe_rerank.drawing.placement.offload`. A progress bar stands on stderr if it is to
    be ``shown``. Raises as :func:`abe_rerank.drawing.pipelines.load_pipeline` and :func:`load_reranker` do.
    """
    from tqdm import tqdm

    from abe_rerank.backbones.progress import bars_wanted

    form = "{desc}: {n_fmt}/{total_fmt} [{elapsed}]"
    with tqdm(
        total=3, desc="loading libraries", bar_format=form, leave=False, disable=not (shown and bars_wanted())
    ) as bar:
        quiet_libraries()
        from abe_rerank.backbones.devices import choose
        from abe_rerank.backbones.hub import Hub
        from abe_rerank.drawing.pipelines import find_pipeline, load_pipeline
        from abe_rerank.drawing.placement import check_offload

        named = draw.choices
        hub, pickle = Hub(named.revision), backbone.allow_pickle
        find_pipeline(draw.model, named.lora, named.model_config, hub, named.variant, pickle)
        step(bar, "loading the backbone")
        place = choose(backbone.device, backbone.dtype)
        if draw.offload != "none":
            check_offload(draw.offload, place.device)
        reranker = load_reranker(replace(backbone, device=draw.score_on or backbone.device), scorer)
        step(bar, "loading the text-to-image model")
        start = place.device if draw.offload == "none" else "cpu"
        chosen = vars(draw.choices) | {"allow_pickle": backbone.allow_pickle}
        pipeline = load_pipeline(draw.model, start, place.dtype, **chosen)
        bar.update()
    return pipeline, reranker


def check_scorer(name: str, backbone: str | None = None, allow_pickle: bool = False) -> None:
    """Raises UsageError, before anything is loaded, for an unknown scorer, or where its model, or a backbone of its
    own, is not there."""
    from abe_rerank.backbones.loading import find_model
    from abe_rerank.scoring.registry import named

    if named(name).takes == "MODEL":
        find_model(name.partition(":")[2], None, False, what="model that answers questions")
    if backbone:
        find_model(backbone, None, allow_pickle)


def load_reranker(backbone: BackboneOptions, scorer: str) -> Reranker:
    """The reranker on its backbone. Raises as :meth:`abe_rerank.reranker.Reranker.from_pretrained` does."""
    quiet_libraries()
    check_scorer(scorer)
    from abe_rerank.reranker import Reranker
    from abe_rerank.scoring import make_scorer
    from abe_rerank.scoring.tuned import tuning_of

    made = make_scorer(scorer, backbone.load())
    if made.relative:
        warn(f"{made.stamp.partition(' | ')[0]}: it says nothing of an image alone")
    if (line := tuning_of(made)) is not None:
        note(line)
    return Reranker(made)
