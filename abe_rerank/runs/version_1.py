"""Records of schema version 1 made into those of today: maps were nested numbers in reports, boxes stood in heat maps.

Numbers that are printed or compared are the same to the bit; patch maps are kept as bytes.
"""

from __future__ import annotations

import json
from base64 import b64decode
from collections.abc import Mapping
from typing import Any

import numpy as np

from abe_rerank.runs.records import HeatRecord


def upgraded(text: bytes) -> str | None:
    """The JSON of a report, result or run of version 1 as one of version 2; None if it is of another version.

    Raises ValueError, naming the field, for maps that are none. What else is wrong with it is left as it is.
    """
    try:
        fields = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(fields, dict) or type(fields.get("schema_version")) is not int or fields["schema_version"] != 1:
        return None
    fields["schema_version"] = 2
    for k, pair in enumerate(_list(fields.get("pairs"))):
        _upgrade_result(pair, f"pairs.{k}")
    for k, candidate in enumerate(_list(fields.get("candidates"))):
        score = candidate.get("score") if isinstance(candidate, dict) else None
        for j, pair in enumerate(_list(score.get("pairs") if isinstance(score, dict) else None)):
            _upgrade_reported(pair, f"candidates.{k}.score.pairs.{j}")
    return json.dumps(fields)


def _upgrade_reported(pair: object, field: str) -> None:
    """A pair of a report: its region's weights and its contrast were [rows][columns]."""
    if not isinstance(pair, dict):
        return
    region = pair.get("region")
    if isinstance(region, dict) and "weights" in region:
        region["heat"] = _heat(region.pop("weights"), f"{field}.region.weights", low=0.0)
    if pair.get("contrast") is not None:
        pair["contrast"] = _heat(pair["contrast"], f"{field}.contrast")


def _upgrade_result(pair: object, field: str) -> None:
    """A pair of a line of results: its heat held box and window, and its levels were relative to the largest."""
    if not isinstance(pair, dict) or not isinstance(pair.get("heat"), dict):
        return
    heat = pair.pop("heat")
    pair["region"] = {name: heat.pop(name) for name in ("box", "window") if name in heat}
    try:
        total = sum(b64decode(heat["levels"]))
    except (KeyError, TypeError, ValueError):
        raise ValueError(f"{field}.heat.levels: not base64") from None
    pair["region"]["heat"] = {**heat, "low": 0.0, "high": 255 / total if total else 0.0}
    pair |= {"attribute_span": (0, 0), "object_span": (0, 0)}


def _heat(rows: object, field: str, low: float | None = None) -> Mapping[str, Any]:
    try:
        grid = np.array(rows, dtype=np.float64)
        if grid.ndim != 2 or grid.size == 0 or not np.abs(grid).max() <= 1e9:
            raise ValueError
        return HeatRecord.of(grid, low).model_dump()
    except (TypeError, ValueError, OverflowError):
        raise ValueError(f"{field}: must be rows of finite numbers, all of one length") from None


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []
