"""The models of a command, loaded beneath a progress bar."""

from __future__ import annotations

from typing import TYPE_CHECKING

from abe_rerank.cli.asked import BackboneOptions, DrawOptions
from abe_rerank.cli.terminal import note, quiet_libraries, step

if TYPE_CHECKING:
    from abe_rerank.drawing.pipelines import Pipeline
    from abe_rerank.reranker import Reranker


def load_models(
    draw: DrawOptions, backbone: BackboneOptions, scorer: str, *, shown: bool = True
) -> tuple[Pipeline, Reranker]:
    """The text-to-image pipeline and the reranker, on one device and with one dtype.

    A progress bar stands on stderr if it is to be ``shown``. Raises as
    :func:`abe_rerank.drawing.pipelines.load_pipeline` and :func:`load_reranker` do.
    """
    from tqdm import tqdm

    form = "{desc}: {n_fmt}/{total_fmt} [{elapsed}]"
    with tqdm(total=3, desc="loading libraries", bar_format=form, leave=False, disable=not shown) as bar:
        quiet_libraries()
        from abe_rerank.drawing.pipelines import load_pipeline

        step(bar, "loading the backbone")
        reranker = load_reranker(backbone, scorer)
        step(bar, "loading the text-to-image model")
        place, chosen = reranker.scorer.backbone, vars(draw.choices)
        pipeline = load_pipeline(draw.model, place.device, place.dtype, allow_pickle=backbone.allow_pickle, **chosen)
        bar.update()
    return pipeline, reranker


def load_reranker(backbone: BackboneOptions, scorer: str) -> Reranker:
    """The reranker on its backbone. Raises as :meth:`abe_rerank.reranker.Reranker.from_pretrained` does."""
    quiet_libraries()
    from abe_rerank.reranker import Reranker
    from abe_rerank.scoring import make_scorer
    from abe_rerank.scoring.tuned import tuning_line

    made = make_scorer(scorer, backbone.load())
    if scorer == "abe" and (line := tuning_line(made.backbone)) is not None:
        note(line)
    return Reranker(made)
