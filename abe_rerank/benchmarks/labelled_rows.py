"""``abe-rerank calibrate``: fit and keep a calibration for a backbone, on the user's labelled rows or the shapes world.

A row is a picture, a prompt, and whether the prompt is bound in it. With ``bound`` true every pair of the prompt is
bound. With ``bound`` false at least one is not: the pair with the smallest margin is taken, unless the row names it in
``pair`` ("yellow cylinder"). An optional ``kind`` (swapped, missing, ...) is counted in the calibration's mix; rows
of the kind "missing", whose object is not there, say what evidence an object must have to be called found.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from abe_rerank.errors import UsageError
from abe_rerank.images import to_pil
from abe_rerank.parsing import parse
from abe_rerank.scoring.calibration import Calibration, fit, write_calibration
from abe_rerank.suites.manifest import read_records

if TYPE_CHECKING:
    from abe_rerank.scoring.abe import AbeScorer

MISSING = "missing"
_YES, _NO = {"1", "true", "yes", "bound", "right"}, {"0", "false", "no", "unbound", "wrong"}


@dataclass(frozen=True)
class LabelledRow:
    """One labelled picture; ``pair`` names the pair that the label is about, "" for the rule of the module."""

    image: Path
    prompt: str
    bound: bool
    pair: str = ""
    kind: str = ""


def read_rows(path: Path) -> list[LabelledRow]:
    """Rows of a CSV or JSONL file with image, prompt, bound, and optionally pair and kind; paths relative to the file.

    Raises UsageError, naming the line, for what cannot be read.
    """
    rows = [_row(path, number, record) for number, record in read_records(path)]
    if not rows:
        raise UsageError(f"no labelled rows in {path}")
    return rows


def _row(path: Path, number: int, record: dict[str, object]) -> LabelledRow:
    if not all(record.get(key) not in (None, "") for key in ("image", "prompt", "bound")):
        raise UsageError(f"{path}, line {number}: needs image, prompt and bound")
    label = str(record["bound"]).strip().lower()
    if label not in _YES | _NO:
        raise UsageError(f"{path}, line {number}: bound is {record['bound']!r}; say true or false")
    return LabelledRow(
        image=path.parent / str(record["image"]),
        prompt=str(record["prompt"]),
        bound=label in _YES,
        pair=" ".join(str(record.get("pair") or "").split()),
        kind=str(record.get("kind") or ""),
    )


def calibrate_on_rows(scorer: AbeScorer, rows: Sequence[LabelledRow]) -> Calibration:
    """A calibration for ``scorer`` from labelled rows.

    Raises UsageError for a row without pairs, a named pair that its prompt does not have, or too few rows of one label,
    and AbeRerankError for a picture that cannot be read.
    """
    features, labels, found, mix = [], [], [], Counter[str]()
    for row in rows:
        for numbers in _pairs(scorer, row):
            features.append(numbers)
            labels.append(row.bound)
            found.append(row.kind != MISSING)
            mix[row.kind or ("right" if row.bound else "wrong")] += 1
    return fit(np.array(features), np.array(labels), scorer.calibration_key, mix, np.array(found))


def _pairs(scorer: AbeScorer, row: LabelledRow) -> Iterator[np.ndarray]:
    """The (margin, evidence, noun) rows [3] of the pairs that the label is about."""
    spec = parse(row.prompt)
    if spec.nothing_to_bind:
        raise UsageError(f"{row.image}: nothing to bind was found in the prompt {row.prompt!r}; leave the row out")
    (numbers,) = scorer.pair_features(scorer.encode([to_pil(row.image)]), [spec])
    if row.pair:
        names = [f"{attribute} {noun}" for attribute, noun in spec.pairs]
        if row.pair not in names:
            raise UsageError(f"{row.image}: no pair {row.pair!r} in its prompt; there are {', '.join(names)}")
        yield numbers[0, names.index(row.pair)]
    elif row.bound:
        yield from numbers[0]
    else:
        yield numbers[0, int(numbers[0, :, 0].argmin())]


def main(
    backbone: str | Path | None = None,
    rows: Path | None = None,
    device: str | None = None,
    image_size: str | None = None,
) -> str:
    """Fit a calibration and write it beside the backbone; returns what was done in words.

    ``rows`` None calibrates on the choosing split of the shapes world, which suits the built-in backbone.
    """
    from abe_rerank.backbones import load_backbone
    from abe_rerank.benchmarks.labelled_pairs import calibrate_on_shapes
    from abe_rerank.scoring.abe import AbeScorer

    loaded = load_backbone(backbone, device, image_size=image_size)
    scorer = AbeScorer(loaded)
    calibration = calibrate_on_shapes(scorer) if rows is None else calibrate_on_rows(scorer, read_rows(rows))
    path = write_calibration(loaded.folder, calibration)
    mix = ", ".join(f"{count} {kind}" for kind, count in sorted(calibration.mix.items()))
    absence = "" if calibration.found_above is not None else f"; no row has the kind {MISSING}: absence was not fitted"
    return f"calibrated on {mix} pairs; calibration error on them {calibration.ece:.3f}{absence}; written to {path}"
