"""What is written into ``run.json``: everything that results depend on."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from datetime import datetime

from pydantic import JsonValue

from abe_rerank.evaluation.judging import Measure
from abe_rerank.evaluation.plan import Plan
from abe_rerank.evaluation.sources import Drawn, Found
from abe_rerank.runs.evaluated import RunRecord
from abe_rerank.runs.provenance import backbone_record, pipeline_record, versions
from abe_rerank.suites import as_line
from abe_rerank.text import readable


@dataclass(frozen=True)
class Asked:
    """What the suite and the models were called by who asked for them, and the command that did."""

    suite: str
    model: str
    backbone: str
    command: str


def prompts_file(plan: Plan) -> bytes:
    """The bytes of ``prompts.jsonl``."""
    return "".join(as_line(prompt) + "\n" for prompt in plan.prompts).encode()


def record_of(asked: Asked, plan: Plan, source: Drawn | Found, measure: Measure) -> RunRecord:
    """The record of a run that begins now."""
    scorer, judge = measure.reranker.scorer, measure.judge
    reader = scorer.backbone
    origin = _drawing(source) if isinstance(source, Drawn) else _listing(source)
    return RunRecord(
        created=datetime.now().astimezone().isoformat(timespec="seconds"),
        suite=readable(asked.suite),
        prompts=len(plan.prompts),
        prompts_sha256=hashlib.sha256(prompts_file(plan)).hexdigest(),
        n=max(plan.counts),
        scorer=scorer.stamp,
        judge=None if judge is None else judge.scorer.stamp,
        oracle=measure.oracle is not None,
        text_to_image=pipeline_record(source.pipeline, readable(asked.model)) if isinstance(source, Drawn) else None,
        backbone=backbone_record(reader, readable(asked.backbone)),
        settings={**origin, "batch_size": plan.batch_size, "device": reader.device.type},
        versions=versions(),
        command=readable(asked.command),
    )


def _drawing(source: Drawn) -> dict[str, JsonValue]:
    """The settings of drawing: the first seed, the number type and the arguments of the pipeline."""
    drawing = source.drawing
    arguments = json.loads(json.dumps(drawing.arguments, default=repr))
    return {"seed": drawing.seed, "dtype": drawing.dtype, **arguments}


def _listing(source: Found) -> dict[str, JsonValue]:
    """What identifies images that existed before: where they are, how many, and a SHA-256 of their names in order."""
    names = json.dumps([[str(file) for file in files] for files in source.files])
    digest = hashlib.sha256(names.encode()).hexdigest()
    return {"images": readable(source.folder), "files": sum(map(len, source.files)), "files_sha256": digest}
