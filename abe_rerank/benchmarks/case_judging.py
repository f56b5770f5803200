"""Does a scorer know which caption belongs to which picture of a case?"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np

from abe_rerank.benchmarks.cases import Case, Crop
from abe_rerank.images import to_pil
from abe_rerank.parsing import parse

if TYPE_CHECKING:
    from abe_rerank.backbones import Backbone, ImageFeatures
    from abe_rerank.scoring import Scorer


@dataclass
class Judged:
    """Per case: ``right``, the share of pictures whose own caption beats the others; ``group``, whether in addition
    each caption's own picture beats the others (Winoground's group score), NaN for cases with one picture.
    """

    right: list[float] = field(default_factory=list)
    group: list[float] = field(default_factory=list)


def judge(
    backbone: Backbone, scorers: Mapping[str, Scorer], cases: Iterable[Case], block: int = 8
) -> dict[str, Judged]:
    """Every scorer on every case, one vision forward per picture and patch readout. A tie is wrong.

    Raises what :func:`abe_rerank.images.to_pil` raises for a picture that cannot be read.
    """
    results = {name: Judged() for name in scorers}
    for chunk in _blocks(cases, block):
        pictures = [i.load() if isinstance(i, Crop) else to_pil(i) for case in chunk for i in case.images]
        specs = [parse(caption) for case in chunk for caption in case.captions]
        features: dict[str, ImageFeatures] = {}
        for name, scorer in scorers.items():
            readout = scorer.patch_readout or backbone.readouts[0]
            if readout not in features:
                features[readout] = backbone.encode_images(pictures, readout)
            matrix = scorer.score_features(features[readout], scorer.prepare(specs)).cpu().numpy()
            row = column = 0
            for case in chunk:
                n, t = len(case.images), len(case.captions)
                right, group = verdicts(matrix[row : row + n, column : column + t])
                results[name].right.append(right)
                results[name].group.append(group)
                row, column = row + n, column + t
    return results


def verdicts(matrix: np.ndarray) -> tuple[float, float]:
    """(share of pictures that prefer their caption, group score) of one case's scores [pictures, captions]."""
    n, t = matrix.shape
    own = matrix[np.arange(n), np.arange(n)]
    by_picture = [all(own[i] > matrix[i, j] for j in range(t) if j != i) for i in range(n)]
    by_caption = [all(own[i] > matrix[k, i] for k in range(n) if k != i) for i in range(n)]
    group = float(all(by_picture) and all(by_caption)) if n > 1 else float("nan")
    return float(np.mean(by_picture)), group


def _blocks(cases: Iterable[Case], size: int) -> Iterator[list[Case]]:
    rest = iter(cases)
    while chunk := list(islice(rest, size)):
        yield chunk
