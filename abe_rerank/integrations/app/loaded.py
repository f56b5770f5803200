"""The models that are in memory: those used last, with the records that a run keeps of them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from abe_rerank.integrations.app.orders import BUILT_IN, Models

if TYPE_CHECKING:
    from abe_rerank.drawing.pipelines import Pipeline
    from abe_rerank.reranker import Reranker
    from abe_rerank.runs.records import ModelRecord


@dataclass(frozen=True)
class Loaded:
    """Models that are loaded; the pipeline and its record are None where nothing is to be drawn."""

    models: Models
    reranker: Reranker
    backbone: ModelRecord
    pipeline: Pipeline | None = None
    text_to_image: ModelRecord | None = None


def load(models: Models, before: Loaded | None, *, drawing: bool) -> Loaded:
    """The models, of which those that ``before`` has are not loaded again. Raises UsageError and AbeRerankError as
    :meth:`abe_rerank.Reranker.from_pretrained` and :func:`abe_rerank.drawing.pipelines.load_pipeline` do."""
    from abe_rerank.drawing.pipelines import load_pipeline
    from abe_rerank.reranker import Reranker
    from abe_rerank.runs.provenance import backbone_record, pipeline_record

    if before is not None and _scoring(before.models) == _scoring(models):
        reranker, backbone = before.reranker, before.backbone
    else:
        reranker = Reranker.from_pretrained(models.backbone, models.scorer, device=models.device, dtype=models.dtype)
        backbone = backbone_record(reranker.scorer, models.backbone or BUILT_IN)
    found = Loaded(models, reranker, backbone)
    if before is not None and before.pipeline is not None and _drawing(models) in _drawn_by(before):
        return replace(found, pipeline=before.pipeline, text_to_image=before.text_to_image)
    if not drawing:
        return found
    place = reranker.scorer.backbone
    chosen = {name: getattr(models, name) for name in ("variant", "revision", "scheduler", "lora")}
    pipeline = load_pipeline(models.model, place.device, place.dtype, **chosen)
    return replace(found, pipeline=pipeline, text_to_image=pipeline_record(pipeline, models.model or BUILT_IN))


def _scoring(models: Models) -> tuple[str | None, ...]:
    return models.backbone, models.scorer, models.device, models.dtype


def _drawn_by(loaded: Loaded) -> tuple[tuple[object, ...], ...]:
    """What may be asked for that is there: the models as they were, or with their scheduler named."""
    components = {} if loaded.pipeline is None else loaded.pipeline.components
    named = replace(loaded.models, scheduler=type(components.get("scheduler")).__name__)
    return _drawing(loaded.models), _drawing(named)


def _drawing(models: Models) -> tuple[object, ...]:
    place = (models.device, models.dtype)
    return models.model, models.variant, models.revision, models.scheduler, models.lora, *place
