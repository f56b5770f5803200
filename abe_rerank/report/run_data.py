"""The results of evaluation runs as the data of a page: prompts with their images, for one run or two side by side."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from pydantic import JsonValue

from abe_rerank.evaluation.numbers import Prompt, RunNumbers
from abe_rerank.report.sentences import brief, claim, mark
from abe_rerank.runs.evaluated import Result
from abe_rerank.runs.reading import lines
from abe_rerank.runs.records import PairRecord

MOST_MAPS = 10_000
"""Runs with more images than this are shown without patch maps, with the frames alone, so that the page stays light."""

Data = dict[str, JsonValue]


def data_of(runs: Sequence[RunNumbers], page_folder: Path) -> list[Data]:
    """The prompts that all ``runs`` have, in the order of the first, each with the images of each run.

    Paths of images are relative to ``page_folder``. Raises AbeRerankError, naming file and line, for a damaged result.
    """
    images = [_images_of(numbers, page_folder, maps_fit(runs)) for numbers in runs]
    return [
        {
            "id": prompt.id,
            "category": prompt.category,
            "text": prompt.text,
            "images": [by_prompt[prompt] for by_prompt in images],
        }
        for prompt in runs[0].prompts
        if all(prompt in by_prompt for by_prompt in images)
    ]


def maps_fit(runs: Sequence[RunNumbers]) -> bool:
    """Whether a page of these runs holds their patch maps."""
    return sum(len(numbers.images) for numbers in runs) <= MOST_MAPS


def _images_of(numbers: RunNumbers, page_folder: Path, maps: bool) -> Mapping[Prompt, list[JsonValue]]:
    """The images of each finished prompt, in the order of candidates."""
    found: dict[Prompt, list[Result]] = {prompt: [] for prompt in numbers.prompts}
    for _, line in lines(numbers.run):
        result = line.result
        assert result is not None
        prompt = Prompt(result.prompt_id, result.category, result.prompt)
        if prompt in found:
            found[prompt].append(result)

    def source(image: str) -> str:
        path = os.path.relpath(numbers.run.image_path(image), page_folder)
        return quote(os.fsencode(path.replace(os.sep, "/")))

    return {
        prompt: [
            image_data(result, None if result.image is None else source(result.image), maps)
            for result in sorted(results, key=lambda result: result.candidate)
        ]
        for prompt, results in found.items()
    }


def image_data(result: Result, source: str | None, maps: bool) -> Data:
    """One image with what was found in it; objects are listed once, and pairs name theirs by its place."""
    objects: list[JsonValue] = []
    places: dict[tuple[str, str], int] = {}
    pairs: list[JsonValue] = []
    for pair in result.pairs:
        key = (pair.object, pair.region.heat.levels)
        if key not in places:
            places[key] = len(objects)
            objects.append(_object_data(pair, maps))
        pairs.append(_pair_data(pair, places[key]))
    return {
        "candidate": result.candidate,
        "seed": result.seed,
        "src": source,
        "value": _rounded(result.value),
        "reason": result.reason or ("nothing to bind" if result.status == "nothing to bind" else None),
        "right": None if result.oracle is None else result.oracle.right,
        "judge": None if result.judge is None else _rounded(result.judge.value),
        "pairs": pairs,
        "objects": objects,
    }


def _pair_data(pair: PairRecord, place: int) -> Data:
    return {
        "verdict": pair.verdict,
        "mark": mark(pair),
        "brief": brief(pair),
        "claim": claim(pair),
        "margin": _rounded(pair.margin),
        "evidence": _rounded(pair.evidence),
        "probability": _rounded(pair.probability),
        "object": place,
    }


def _object_data(pair: PairRecord, maps: bool) -> Data:
    region, heat = pair.region, pair.region.heat
    data: dict[str, Any] = {"name": pair.object, "box": [_rounded(edge) for edge in region.box]}
    if maps:
        window = [_rounded(edge) for edge in region.window]
        data |= {"window": window, "rows": heat.rows, "columns": heat.columns, "levels": heat.levels}
    return data


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)
