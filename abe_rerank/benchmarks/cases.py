"""Cases: pictures and captions of which picture i belongs to caption i, and public benchmarks that are such cases.

A benchmark is read from its authors' own files by a function with the decorator :func:`case_format`. Nothing is
downloaded.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from abe_rerank.errors import UsageError
from abe_rerank.files import check_folder

if TYPE_CHECKING:
    import numpy as np
    from PIL import Image

    from abe_rerank.backbones import Backbone, ImageFeatures
    from abe_rerank.scoring import Scorer
    from abe_rerank.types import Box


log = logging.getLogger(__name__)

BLOCK = 8
"""So many cases are looked at together."""
IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp")


@dataclass(frozen=True)
class Crop:
    """A part of a picture on disk: (left, top, right, bottom) in pixels."""

    path: Path
    box: tuple[float, float, float, float]

    def load(self) -> Image.Image:
        """The part as an RGB image. Raises what :func:`abe_rerank.images.to_pil` raises."""
        from abe_rerank.images import to_pil

        return to_pil(self.path).crop(self.box)


@dataclass(frozen=True)
class Target:
    """One object of a picture that its caption names: the words, the box in fractions, the mask [h, w] in [0, 1]."""

    colour: str
    shape: str
    box: Box
    mask: np.ndarray


@dataclass(frozen=True)
class Seen:
    """A picture with its caption and where the caption's objects are."""

    image: Image.Image
    caption: str
    targets: tuple[Target, ...]


@dataclass(frozen=True)
class Case:
    """Pictures and captions; picture i belongs to caption i, and a caption without a picture is wrong for all."""

    images: tuple[Image.Image | Path | Crop, ...]
    captions: tuple[str, ...]
    category: str = ""


Reader = Callable[[Path], "Iterator[Case]"]
_READERS: dict[str, Reader] = {}


def case_format(name: str) -> Callable[[Reader], Reader]:
    """Register a reader of a benchmark's own files: given their folder, it yields their cases.

    The reader raises UsageError for files that are not there or cannot be read; pictures are read when they are scored.
    """

    def register(read: Reader) -> Reader:
        _READERS[name] = read
        return read

    return register


def case_formats() -> tuple[str, ...]:
    """The names of the benchmarks that can be read."""
    return tuple(_READERS)


def read_cases(name: str, folder: Path) -> Iterator[Case]:
    """The cases of a benchmark in ``folder``, laid out as its authors give it.

    Raises UsageError for an unknown name, or files that are not there or cannot be read.
    """
    if name not in _READERS:
        raise UsageError(f"unknown benchmark format {name!r}; choose from {', '.join(_READERS)}")
    check_folder(folder)
    return _READERS[name](folder)


@case_format("aro")
def _aro(folder: Path) -> Iterator[Case]:
    """Those of arXiv 2210.01936: visual_genome_attribution.json and visual_genome_relation.json, or one of them, with
    images/; the pictures are cropped to the file's boxes as there.
    """
    files = _some(folder, ("visual_genome_attribution.json", "visual_genome_relation.json"))
    for file in files:
        for number, row in enumerate(_json(file)):
            with _naming(file, number):
                left, top = row["bbox_x"], row["bbox_y"]
                box = (left, top, left + row["bbox_w"], top + row["bbox_h"])
                image = Crop(folder / "images" / row["image_path"], box)
                captions = (row["true_caption"], row["false_caption"])
            yield Case((image,), captions, file.stem)


@case_format("sugarcrepe")
def _sugarcrepe(folder: Path) -> Iterator[Case]:
    """Those of arXiv 2306.14610: swap_att.json and its like, with COCO's pictures in val2017/, images/ or the
    folder itself.
    """
    names = [f"{kind}_{part}.json" for kind in ("swap", "replace", "add") for part in ("att", "obj", "rel")]
    files = _some(folder, tuple(names))
    places = [folder / place for place in ("val2017", "images", ".") if (folder / place).is_dir()]
    for file in files:
        rows = _json(file)
        for key, row in rows.items() if isinstance(rows, dict) else enumerate(rows):
            with _naming(file, key):
                captions = (row["caption"], row["negative_caption"])
                found = [place / row["filename"] for place in places if (place / row["filename"]).is_file()]
            yield Case((found[0] if found else places[0] / row["filename"],), captions, file.stem)


@case_format("winoground")
def _winoground(folder: Path) -> Iterator[Case]:
    """Those of arXiv 2204.03162: examples.jsonl with images/."""
    (file,) = _some(folder, ("examples.jsonl",))
    for number, line in enumerate(_lines(file)):
        with _naming(file, number):
            row = json.loads(line)
            images = tuple(_picture(folder / "images", str(row[f"image_{i}"])) for i in (0, 1))
            captions = (row["caption_0"], row["caption_1"])
        yield Case(images, captions, str(row.get("collapsed_tag") or row.get("tag") or "winoground"))


@case_format("abc6k")
def _abc6k(folder: Path) -> Iterator[Case]:
    """The captions of arXiv 2212.05032: ABC-6K.txt, whose lines 2k and 2k+1 are a caption and the same with two colours
    exchanged; it has no pictures of its own, so that of pair k is images/k with any suffix.
    """
    (file,) = _some(folder, ("ABC-6K.txt",))
    lines = [line.strip() for line in _lines(file)]
    pairs = list(zip(lines[::2], lines[1::2], strict=len(lines) % 2 == 0))
    same = sum(_letters(a) == _letters(b) for a, b in pairs)
    if same:
        log.warning("ABC-6K: %d pairs of equal captions are left out", same)
    for number, (caption, swapped) in enumerate(pairs):
        if _letters(caption) != _letters(swapped):
            yield Case((_picture(folder / "images", str(number)),), (caption, swapped), "ABC-6K")


def _letters(text: str) -> str:
    return "".join(character for character in text.lower() if character.isalnum())


def _picture(folder: Path, stem: str) -> Path:
    """The picture called ``stem``, with its suffix in the name or any usual one on disk."""
    names = [stem, *(stem + suffix for suffix in IMAGE_SUFFIXES)]
    found = [folder / name for name in names if (folder / name).is_file()]
    if not found:
        raise UsageError(f"no picture {stem} in {folder}")
    return found[0]


def _some(folder: Path, names: tuple[str, ...]) -> list[Path]:
    files = [folder / name for name in names if (folder / name).is_file()]
    if not files:
        raise UsageError(f"none of {', '.join(names)} in {folder}")
    return files


def _lines(file: Path) -> list[str]:
    try:
        return [line for line in file.read_text(encoding="utf-8").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{file} cannot be read: {error}") from error


def _json(file: Path) -> Any:
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(f"{file} cannot be read as JSON: {error}") from error


@contextmanager
def _naming(file: Path, row: object) -> Iterator[None]:
    """Turns a missing key or a wrong type of a row into a UsageError that names file and row."""
    try:
        yield
    except UsageError:
        raise
    except (KeyError, TypeError, ValueError) as error:
        raise UsageError(f"{file}, row {row}: {type(error).__name__} {error}") from error


@dataclass
class Judged:
    """Per case: ``right``, the share of pictures whose own caption beats the others; ``group``, whether in addition
    each caption's own picture beats the others (Winoground's group score), NaN for cases with one picture.
    """

    right: list[float] = field(default_factory=list)
    group: list[float] = field(default_factory=list)


def judge(
    backbone: Backbone, scorers: Mapping[str, Scorer], cases: Iterable[Case], block: int = BLOCK
) -> dict[str, Judged]:
    """Every scorer on every case. A tie is wrong. Raises as :func:`case_values` does."""
    results = {name: Judged() for name in scorers}
    for chunk in blocks(cases, block):
        for name, found in case_values(backbone, scorers, chunk).items():
            for values in found:
                right, group = verdicts(values)
                results[name].right.append(right)
                results[name].group.append(group)
    return results


def case_values(backbone: Backbone, scorers: Mapping[str, Scorer], cases: list[Case]) -> dict[str, list[np.ndarray]]:
    """The scores [pictures, captions] of each case by each scorer, one vision forward per picture and patch readout.

    A scorer that shares no features sees each case alone. Raises what :func:`abe_rerank.images.to_pil` raises for a
    picture that cannot be read.
    """
    from abe_rerank.images import to_pil
    from abe_rerank.parsing import parse

    pictures = [[i.load() if isinstance(i, Crop) else to_pil(i) for i in case.images] for case in cases]
    specs = [[parse(caption) for caption in case.captions] for case in cases]
    shared: dict[str, ImageFeatures] = {}
    found: dict[str, list[np.ndarray]] = {}
    for name, scorer in scorers.items():
        if not scorer.shares_features:
            found[name] = [scorer.score(mine, asked) for mine, asked in zip(pictures, specs, strict=True)]
            continue
        readout = scorer.patch_readout or backbone.readouts[0]
        if readout not in shared:
            shared[readout] = backbone.encode_images([image for mine in pictures for image in mine], readout)
        prepared = scorer.prepare([spec for asked in specs for spec in asked])
        matrix = scorer.score_features(shared[readout], prepared).float().cpu().numpy()
        found[name] = []
        row = column = 0
        for mine, asked in zip(pictures, specs, strict=True):
            found[name].append(matrix[row : row + len(mine), column : column + len(asked)])
            row, column = row + len(mine), column + len(asked)
    return found


def verdicts(matrix: np.ndarray) -> tuple[float, float]:
    """(share of pictures that prefer their caption, group score) of one case's scores [pictures, captions]."""
    import numpy as np

    n, t = matrix.shape
    own = matrix[np.arange(n), np.arange(n)]
    by_picture = [all(own[i] > matrix[i, j] for j in range(t) if j != i) for i in range(n)]
    by_caption = [all(own[i] > matrix[k, i] for k in range(n) if k != i) for i in range(n)]
    group = float(all(by_picture) and all(by_caption)) if n > 1 else float("nan")
    return float(np.mean(by_picture)), group


def blocks(cases: Iterable[Case], size: int = BLOCK) -> Iterator[list[Case]]:
    """The cases, so many at a time."""
    rest = iter(cases)
    while chunk := list(islice(rest, size)):
        yield chunk
