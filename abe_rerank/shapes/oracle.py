"""The judge of generated shapes images: a supervised detector that shares no weights, data or code with the scorers.

It is for benchmarks and tests; nothing that picks an image may use it. What it can say about a prompt is defined here:
our own rules, stated in :func:`is_right`.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from abe_rerank import builtin
from abe_rerank.errors import AbeRerankError
from abe_rerank.shapes.wishes import Wanted, asked_of
from abe_rerank.shapes.world import COLOURS, PATTERNS, SHAPES

if TYPE_CHECKING:
    from PIL.Image import Image

    from abe_rerank.types import Spec


SIDE = 128
"""Images are resized to this width and height before they are looked at."""


@dataclass(frozen=True)
class Detection:
    """One object in an image.

    ``box`` is (left, top, right, bottom) as fractions of the image's width and height: the square that holds the
    object. ``confidence`` in [0, 1] is the product of the probabilities of its colour, shape and pattern.
    """

    colour: str
    shape: str
    pattern: str
    box: tuple[float, float, float, float]
    confidence: float

    @property
    def diameter(self) -> float:
        """The side of the box, the mean of width and height, as the world's size words mean it."""
        return (self.box[2] - self.box[0] + self.box[3] - self.box[1]) / 2


class Oracle:
    """Finds the objects of shapes images and judges them by a prompt's Spec."""

    def __init__(self, model: Detector, threshold: float, apart: float) -> None:
        self._model = model.eval()
        self._threshold = threshold
        self._apart = apart

    @classmethod
    def load(cls, device: str | torch.device | None = None, folder: Path | None = None) -> Oracle:
        """The built-in oracle, or that of another folder, on ``device`` (default: the CPU; it takes a few ms an image).

        Raises AbeRerankError if the folder holds no oracle.
        """
        from safetensors.torch import load_file

        folder = folder or builtin.path("oracle")
        try:
            config = json.loads((folder / "config.json").read_text())
            weights = load_file(folder / "model.safetensors")
            model = Detector(DetectorConfig(tuple(config["channels"]), tuple(config["blocks"])))
            threshold, apart = float(config["threshold"]), float(config["apart"])
            missing, unknown = model.load_state_dict(weights, strict=False)
        except OSError as error:
            raise AbeRerankError(
                f"no oracle in {folder} ({error}); install the package again, or name a folder that holds one"
            ) from error
        except Exception as error:
            raise AbeRerankError(
                f"the oracle in {folder} is damaged or of another kind ({type(error).__name__}); train it again"
            ) from error
        if unknown or any(not name.endswith("num_batches_tracked") for name in missing):
            raise AbeRerankError(f"{folder / 'model.safetensors'} does not fit its config.json; train the oracle again")
        if broken := [name for name, tensor in weights.items() if not tensor.isfinite().all()]:
            raise AbeRerankError(f"the oracle in {folder} holds NaN or infinity in {broken[0]}; train it again")
        return cls(model.to(device or "cpu"), threshold, apart)

    def detect(self, images: Sequence[Image], batch: int = 32) -> list[list[Detection]]:
        """The objects of each image, the most certainly present first. Any size and mode of image will do."""

        found: list[list[Found]] = []
        for start in range(0, len(images), batch):
            cells = self._cells(images[start : start + batch])
            found += decode(cells, self._threshold, self._apart)
        return [[_detection(thing) for thing in things] for things in found]

    def is_right(self, image: Image, spec: Spec) -> bool:
        """Whether the image shows exactly what the spec asks for; see :func:`is_right`."""
        asked = asked_of(spec)  # first, so that a spec that cannot be judged costs no detection
        return _fits(self.detect([image])[0], asked)

    def _cells(self, images: Sequence[Image]) -> torch.Tensor:
        import numpy as np
        from PIL.Image import Resampling

        pixels = [i.convert("RGB") if i.size == (SIDE, SIDE) else _resized(i, Resampling.BICUBIC) for i in images]
        batch = torch.from_numpy(np.stack([np.asarray(i) for i in pixels])).permute(0, 3, 1, 2)
        device = next(self._model.parameters()).device
        with torch.inference_mode():
            cells: torch.Tensor = self._model((batch.to(device).float() / 255).contiguous()).cpu()
        return cells


def is_right(detections: Sequence[Detection], spec: Spec) -> bool:
    """Whether exactly the asked objects are there, each with its attributes, and nothing extra.

    An object of the spec is matched by a detection of its shape that has each of its attributes; what is not asked for
    is free: a striped cube is a right answer to "a cube", as a red one is. Every detection must be accounted for. "Two
    cubes" needs two, "cubes" two or more, "no cube" and "zero cubes" none. A size word is checked against the world's
    own limits with one pixel of grace (:data:`abe_rerank.shapes.wishes.GRACE`). Relations ("left of") are not judged.

    Raises UsageError for a spec with a noun or an attribute that is not of the shapes world, or without objects.
    """
    return _fits(detections, asked_of(spec))


def _fits(detections: Sequence[Detection], asked: Sequence[Wanted]) -> bool:
    if any(w.most == 0 and w.matches(d) for w in asked for d in detections):
        return False
    wanted = [w for w in asked if w.most != 0]
    return _assign(list(detections), wanted, [0] * len(wanted))


def _assign(detections: list[Detection], wanted: list[Wanted], given: list[int]) -> bool:
    """Whether the detections can be shared out so that each wanted thing gets as many as it asks for."""
    if not detections:
        return all(n >= w.least for n, w in zip(given, wanted, strict=True))
    first, *others = detections
    for k, thing in enumerate(wanted):
        if (thing.most is None or given[k] < thing.most) and thing.matches(first):
            taken = [n + (j == k) for j, n in enumerate(given)]
            if _assign(others, wanted, taken):
                return True
    return False


def _resized(image: Image, how: int) -> Image:
    return image.convert("RGB").resize((SIDE, SIDE), how)


def _detection(thing: Found) -> Detection:
    r = thing.diameter / 2
    return Detection(
        colour=COLOURS[int(thing.colour.argmax())],
        shape=SHAPES[int(thing.shape.argmax())],
        pattern=PATTERNS[int(thing.pattern.argmax())],
        box=(thing.x - r, thing.y - r, thing.x + r, thing.y + r),
        confidence=float(thing.colour.max() * thing.shape.max() * thing.pattern.max()),
    )


STRIDE = 8
SMALLEST_LOGARITHM = -3.0
LAYOUT = {
    "presence": 1,
    "place": 2,
    "diameter": 1,
    "colour": len(COLOURS),
    "shape": len(SHAPES),
    "pattern": len(PATTERNS),
}
"""The output channels in their order."""


@dataclass(frozen=True)
class DetectorConfig:
    """Channels at strides 2, 4 and 8, and the number of residual blocks at strides 4 and 8."""

    channels: tuple[int, int, int] = (32, 64, 128)
    blocks: tuple[int, int] = (2, 3)


class Detector(nn.Module):
    """Images float [B, 3, H, W] in [0, 1] to cells float [B, channels of LAYOUT, H/8, W/8]."""

    def __init__(self, config: DetectorConfig = DetectorConfig()) -> None:
        super().__init__()
        stem, middle, deep = config.channels
        dilations = (1, 2, 4, 1, 2)
        self.body = nn.Sequential(
            _convolution(3, stem, stride=2),
            _convolution(stem, middle, stride=2),
            *(_Residual(middle) for _ in range(config.blocks[0])),
            _convolution(middle, deep, stride=2),
            *(_Residual(deep, dilations[k % len(dilations)]) for k in range(config.blocks[1])),
            nn.Conv2d(deep, deep, 1),
            nn.ReLU(inplace=True),
        )
        self.head = nn.Conv2d(deep, sum(LAYOUT.values()), 1)
        nn.init.constant_(self.head.bias[:1], -3.0)  # type: ignore[index]

    def forward(self, images: Tensor) -> Tensor:
        """Raw outputs; see :func:`parts`."""
        cells: Tensor = self.head(self.body((images - 0.5) / 0.25))
        return cells


def parts(cells: Tensor) -> dict[str, Tensor]:
    """Splits the channels of LAYOUT off: each [B, n, rows, columns]."""
    return dict(zip(LAYOUT, torch.split(cells, list(LAYOUT.values()), dim=1), strict=True))


def places(answer: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
    """Centres [B, 2, rows, columns] (x, y) and diameters [B, rows, columns] that the cells speak of, as fractions.

    A cell gives the way from its middle to the object's centre in cells, and the logarithm of the diameter.
    """
    way = answer["place"]
    rows, columns = way.shape[-2:]
    across = (torch.arange(columns, device=way.device) + 0.5).expand(rows, columns)
    down = (torch.arange(rows, device=way.device) + 0.5)[:, None].expand(rows, columns)
    scale = torch.tensor([columns, rows], device=way.device)[:, None, None]
    centres = (torch.stack((across, down)) + way) / scale
    return centres, answer["diameter"][:, 0].clamp(SMALLEST_LOGARITHM, 0.3).exp()


@dataclass(frozen=True)
class Found:
    """One object as the network sees it: place and diameter as fractions, probabilities of each attribute."""

    x: float
    y: float
    diameter: float
    presence: float
    colour: Tensor
    shape: Tensor
    pattern: Tensor


def decode(cells: Tensor, threshold: float, apart: float) -> list[list[Found]]:
    """Objects of each image, most certain first.

    A cell counts if its presence is at least ``threshold`` and no stronger cell speaks of a centre nearer than
    ``apart`` times the mean diameter of the two: neighbouring cells name the same centre, so no window is guessed.
    """
    answer = {name: part.float() for name, part in parts(cells).items()}
    presence = answer["presence"][:, 0].sigmoid()
    centres, diameters = places(answer)
    chances = {name: answer[name].softmax(1) for name in ("colour", "shape", "pattern")}
    images = []
    for k in range(len(cells)):
        found: list[Found] = []
        for row, column in _strongest_first(presence[k], threshold):
            x, y = centres[k, :, row, column].tolist()
            diameter = float(diameters[k, row, column])
            if all((x - f.x) ** 2 + (y - f.y) ** 2 >= (apart * (diameter + f.diameter) / 2) ** 2 for f in found):
                kinds = {name: chance[k, :, row, column] for name, chance in chances.items()}
                found.append(Found(x, y, diameter, float(presence[k, row, column]), **kinds))
        images.append(found)
    return images


def _strongest_first(presence: Tensor, threshold: float) -> list[tuple[int, int]]:
    places_ = torch.nonzero(presence >= threshold)
    order = presence[places_[:, 0], places_[:, 1]].argsort(descending=True, stable=True)
    return [(int(row), int(column)) for row, column in places_[order].tolist()]


def _convolution(inputs: int, outputs: int, stride: int = 1, dilation: int = 1) -> nn.Sequential:
    convolution = nn.Conv2d(inputs, outputs, 3, stride, dilation, dilation, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(outputs), nn.ReLU(inplace=True))


class _Residual(nn.Module):
    def __init__(self, channels: int, dilation: int = 1) -> None:
        super().__init__()
        self.first = _convolution(channels, channels, dilation=dilation)
        self.second = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(x + self.norm(self.second(self.first(x))))
