"""Synthetic run folders: real records, random numbers from a seed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from abe_rerank.cli.app import main
from abe_rerank.runs.evaluated import JudgeResult, OracleResult, Result, RunRecord
from abe_rerank.runs.records import ModelRecord, PairRecord, RegionRecord
from abe_rerank.types import Region

STAMP = "abe-rerank 0.1.0 float32 | abe | 0123456789ab | mu=1.0"
PLAIN = ("colour", "shape", "size")


@dataclass(frozen=True)
class Shape:
    """What a synthetic run is like; ``drift`` is added to all scores, ``first`` is the number of its first prompt."""

    prompts: int = 12
    n: int = 4
    seed: int = 0
    drift: float = 0.0
    unscored: float = 0.0
    nothing: float = 0.0
    calibrated: bool = True
    judge: str | None = "abe-rerank 0.1.0 float32 | clip | 0123456789ab"
    oracle: bool = True
    drawn: bool = True
    scorer: str = STAMP
    weights: str = "0123456789ab"
    categories: tuple[str, ...] = PLAIN
    first: int = 0
    side: int = 12


def results(shape: Shape) -> list[Result]:
    """The results of a run, in the order of prompts and candidates. Equal seeds give equal scenes of chance."""
    return [result for index in range(shape.prompts) for result in prompt_results(shape, index)]


def prompt_results(shape: Shape, index: int) -> list[Result]:
    """The results of one prompt."""
    number = shape.first + index
    rng = np.random.default_rng([shape.seed, number])
    pairs = 1 + number * 7 % 3  # what a prompt asks for is the same in every run
    nothing = rng.random() < shape.nothing
    found = []
    for candidate in range(shape.n):
        value = round(float(rng.normal(1.0 + shape.drift, 0.3)), 6)
        unscored = rng.random() < shape.unscored
        bound = [_pair(rng, shape) for _ in range(pairs)]
        right = bool(rng.random() < 0.5)
        image = f"images/{index:05d}_{candidate:02d}.png" if shape.drawn else f"/data/{number}/{candidate}.png"
        status = "unscored" if unscored else "nothing to bind" if nothing else "scored"
        scored = status == "scored"
        found.append(
            Result(
                index=index,
                candidate=candidate,
                prompt_id=f"p{number}",
                category=shape.categories[number % len(shape.categories)],
                prompt=f"prompt number {number}",
                seed=number * shape.n + candidate if shape.drawn else None,
                image=None if unscored else image,
                value=None if unscored else value,
                status=status,
                reason="the file is not an image" if unscored else None,
                global_score=None if unscored else round(value / 4, 6),
                local=round(value / 2, 6) if scored else None,
                binding_difference=round(value / 8, 6) if scored else None,
                pairs=tuple(bound) if scored else (),
                judge=_judge(rng, shape, status),
                oracle=OracleResult(right=None if unscored else right) if shape.oracle else None,
            )
        )
    return found


def by_prompt(found: list[Result]) -> list[list[Result]]:
    """Results in lists, one for each prompt."""
    prompts: dict[int, list[Result]] = {}
    for result in found:
        prompts.setdefault(result.index, []).append(result)
    return list(prompts.values())


def picked_of(images: list[Result]) -> Result | None:
    """The image with the highest value, ties to the first; None if there is no value."""
    best = None
    for image in images:
        if image.value is not None and (best is None or image.value > best.value):
            best = image
    return best


def bound(image: Result) -> int:
    """How many pairs are bound."""
    return sum(pair.verdict == "bound" for pair in image.pairs)


def said_by(capsys: pytest.CaptureFixture, *words: object) -> tuple[int, str, str]:
    """(exit code, stdout, stderr) of a command line."""
    with pytest.raises(SystemExit) as ended:
        main([str(word) for word in words])
    out, err = capsys.readouterr()
    return ended.value.code or 0, out, err


def run_record(shape: Shape) -> RunRecord:
    """The record of a run."""
    return RunRecord(
        created="2026-01-02T03:04:05+00:00",
        suite="synthetic",
        prompts=shape.prompts,
        prompts_sha256="0" * 64,
        n=shape.n,
        scorer=shape.scorer,
        judge=shape.judge,
        oracle=shape.oracle,
        text_to_image=ModelRecord(name="tiny", kind="Pipeline", weights="00") if shape.drawn else None,
        backbone=ModelRecord(name="built-in", kind="SiglipModel", weights=shape.weights),
        settings={"seed": 0},
        versions={"abe-rerank": "0.1.0"},
        command="abe-rerank evaluate",
    )


def write_run(folder: Path, shape: Shape, found: list[Result] | None = None, complete: bool = True) -> Path:
    """A run folder; an incomplete one has its lines in two files under results/."""
    folder.mkdir(parents=True)
    (folder / "run.json").write_bytes(run_record(shape).text())
    made = results(shape) if found is None else found
    lines = [result.line() + "\n" for result in made]
    if shape.drawn:
        (folder / "images").mkdir()
        for result in made:
            if result.image is not None:
                (folder / result.image).touch()
    if complete:
        (folder / "results.jsonl").write_text("".join(lines), encoding="utf-8")
    else:
        (folder / "results").mkdir()
        for rank in range(2):
            (folder / "results" / f"rank{rank}.jsonl").write_text("".join(lines[rank::2]), encoding="utf-8")
    return folder


def _pair(rng: np.random.Generator, shape: Shape) -> PairRecord:
    verdict = ("bound", "swapped", "unsure", "not found")[int(rng.choice(4, p=[0.6, 0.2, 0.1, 0.1]))]
    region = Region(rng.random((shape.side, shape.side)), (0.1, 0.1, 0.5, 0.5))
    return PairRecord(
        attribute="red",
        attribute_span=(0, 3),
        object="cube",
        object_span=(4, 8),
        evidence=round(float(rng.normal(0.2, 0.05)), 6),
        competitor="blue",
        margin=round(float(rng.normal(0.02, 0.02)), 6),
        verdict=verdict,
        probability=round(float(rng.random()), 6) if shape.calibrated else None,
        region=RegionRecord.of(region),
    )


def _judge(rng: np.random.Generator, shape: Shape, status: str) -> JudgeResult | None:
    value = round(float(rng.normal(0.25, 0.02)), 6)
    if shape.judge is None:
        return None
    if status == "unscored":
        return JudgeResult(value=None, status="unscored", reason="the file is not an image")
    return JudgeResult(value=value, status="scored" if status == "scored" else "nothing to bind")
