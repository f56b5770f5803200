"""The oracle's network: a small fully convolutional detector with an answer in each cell of eight pixels."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from abe_rerank.shapes.world import COLOURS, PATTERNS, SHAPES

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
