"""Trains the oracle from nothing: a supervised detector on rendered scenes."""

from __future__ import annotations

import json
import logging
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import typer
from numpy.typing import NDArray
from safetensors.torch import save_file
from torch import Tensor
from torch.nn import functional as F

from abe_rerank.benchmarks.checkout.oracle_agreement import exactness
from abe_rerank.shapes.oracle import Detector, DetectorConfig, Oracle, parts
from abe_rerank.shapes.training.common import load_checkpoint, log_to, save_checkpoint
from abe_rerank.shapes.training.oracle_data import disturbed, learned_from, passed_through

log = logging.getLogger(__name__)

BATCH = 64
PEAK_RATE = 3e-3
TUNING_RATE = 2e-4
PASSED = 1500
"""Pictures that pass through the autoencoder."""
SPREAD = 0.65
"""Standard deviation, in cells, of the presence that is asked for around a centre."""
DECODING = {"threshold": 0.4, "apart": 0.5}
"""See :func:`abe_rerank.shapes.oracle.decode`; chosen on the split "choose"."""


def aims(labels: Tensor, rows: int, columns: int) -> tuple[Tensor, Tensor]:
    """What each cell is asked for, from labels [B, objects, 6].

    Returns the presence [B, rows, columns], a Gaussian of the distance from the cell's middle to the nearest centre,
    and that object's labels with the way to its centre in cells: (way x, way y, diameter, colour, shape, pattern)
    [B, rows, columns, 6].
    """
    across = torch.arange(columns) + 0.5
    down = torch.arange(rows) + 0.5
    way_x = labels[..., 0, None, None] * columns - across
    way_y = labels[..., 1, None, None] * rows - down[:, None]
    way_x, way_y = way_x.expand(-1, -1, rows, -1), way_y.expand(-1, -1, -1, columns)
    square = way_x**2 + way_y**2 + (labels[..., 0, None, None] < 0) * 1e6
    nearest = square.argmin(1, keepdim=True)
    presence = torch.exp(-square.gather(1, nearest) / (2 * SPREAD**2))[:, 0]
    others = labels[:, :, None, None, 2:].expand(*square.shape, 4)
    told = torch.cat((way_x[..., None], way_y[..., None], others), -1)
    return presence, told.gather(1, nearest[..., None].expand(-1, -1, -1, -1, 6))[:, 0]


def loss_of(cells: Tensor, labels: Tensor) -> dict[str, Tensor]:
    """The terms of the loss: presence (quality focal loss), place, diameter, and cross-entropies near the centres."""
    answer = parts(cells.float())
    presence, told = aims(labels, *cells.shape[-2:])
    logit = answer["presence"][:, 0]
    hardness = (logit.sigmoid() - presence).abs().detach() ** 2
    objects = (labels[..., 0] >= 0).sum().clamp(min=1)
    terms = {
        "presence": (hardness * F.binary_cross_entropy_with_logits(logit, presence, reduction="none")).sum() / objects
    }
    at = torch.nonzero(presence > 0.25, as_tuple=True)
    weight = presence[at] / presence[at].sum()
    told = told[at]
    near = {name: part.permute(0, 2, 3, 1)[at] for name, part in answer.items()}
    terms["place"] = (weight[:, None] * F.smooth_l1_loss(near["place"], told[:, :2], reduction="none", beta=0.2)).sum()
    gap = F.smooth_l1_loss(near["diameter"][:, 0], told[:, 2].log(), reduction="none", beta=0.1)
    terms["diameter"] = 2 * (weight * gap).sum()
    for k, name in enumerate(("colour", "shape", "pattern")):
        terms[name] = (weight * F.cross_entropy(near[name], told[:, 3 + k].long(), reduction="none")).sum()
    return terms


def main(
    out: Annotated[Path, typer.Option(help="folder of the oracle that is written")] = Path("checkpoints/oracle"),
    steps: Annotated[int, typer.Option(min=1, help="steps of 64 rendered scenes")] = 3200,
    scenes: Annotated[int, typer.Option(min=64, help="rendered scenes to learn from, kept on disk (2 GB)")] = 40_000,
    autoencoder: Annotated[Path | None, typer.Option(help="autoencoder whose faults to learn then (a folder)")] = None,
    tuning: Annotated[int, typer.Option(min=1, help="steps of 64 pictures, half from the autoencoder")] = 160,
    seed: int = 0,
    device: str = "cpu",
) -> None:
    """Trains the oracle (about 35 minutes on one CPU core); the same command goes on from the last checkpoint.

    With the autoencoder of a text-to-image model, it learns afterwards from pictures that have passed through it too.
    """
    work = out / "work"
    log_to(work)
    torch.manual_seed(seed)
    config = DetectorConfig()
    model = Detector(config).to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    rendered = Source(*learned_from(work, scenes), seed)
    _course(model, work / "rendered.pt", steps, PEAK_RATE, rendered.batch)
    if autoencoder is not None:
        passed = Source(*passed_through(work, autoencoder, PASSED), seed + 1)
        both = _halves(rendered, passed, first=steps)
        _course(model, work / "tuned.pt", tuning, TUNING_RATE, both)
    write(model, out, config)


@dataclass(frozen=True)
class Source:
    """Pictures with their labels, of which each step gets others; they depend on seed and step alone."""

    images: NDArray[np.uint8]
    labels: NDArray[np.float32]
    seed: int

    def batch(self, step: int, count: int = BATCH) -> tuple[Tensor, Tensor]:
        """``count`` disturbed pictures, float [count, 3, SIDE, SIDE] in [0, 1], and their labels."""
        chosen = np.sort(np.random.default_rng((step, self.seed)).choice(len(self.images), count, replace=False))
        pictures = torch.from_numpy(self.images[chosen]).permute(0, 3, 1, 2).float() / 255
        return disturbed(
            pictures, torch.from_numpy(self.labels[chosen]), torch.Generator().manual_seed(self.seed + step)
        )


def _halves(one: Source, other: Source, first: int) -> Callable[[int], tuple[Tensor, Tensor]]:
    """Batches of half the one and half the other; the first source goes on with the pictures of step ``first``."""

    def batch(step: int) -> tuple[Tensor, Tensor]:
        halves = zip(one.batch(first + step, BATCH // 2), other.batch(step, BATCH // 2), strict=True)
        pictures, told = (torch.cat(pair) for pair in halves)
        return pictures, told

    return batch


def _course(
    model: Detector, file: Path, steps: int, peak: float, batch_of: Callable[[int], tuple[Tensor, Tensor]]
) -> None:
    """One course of training with a one-cycle rate; goes on from the checkpoint ``file`` if it is there."""
    device = next(model.parameters()).device
    optimizer = torch.optim.AdamW(model.parameters(), lr=peak, weight_decay=0.02)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, peak, total_steps=steps, pct_start=0.12)
    states: dict[str, Any] = {"model": model, "optimizer": optimizer, "schedule": schedule}
    first = 0
    if state := load_checkpoint(file, str(device)):
        first = state["step"]
        for name, part in states.items():
            part.load_state_dict(state[name])
    sums: Counter[str] = Counter()
    for step in range(first, steps):
        pictures, told = batch_of(step)
        sums.update(_step(model.train(), optimizer, schedule, pictures.to(device), told.to(device)))
        if (step + 1) % 50 == 0:
            log.info("step %d of %d, %s", step + 1, steps, ", ".join(f"{k} {v / 50:.4f}" for k, v in sums.items()))
            sums.clear()
        if (step + 1) % 200 == 0 or step + 1 == steps:
            save_checkpoint(file, {**{name: part.state_dict() for name, part in states.items()}, "step": step + 1})
        if (step + 1) % 800 == 0 or step + 1 == steps:
            log.info("two objects: %s", exactness(Oracle(model, **DECODING), 2, 256, "choose"))


def _step(model: Detector, optimizer: Any, schedule: Any, pictures: Tensor, told: Tensor) -> dict[str, float]:
    with torch.autocast(pictures.device.type, torch.bfloat16):
        cells = model(pictures.contiguous(memory_format=torch.channels_last))
    terms = loss_of(cells, told)
    optimizer.zero_grad(set_to_none=True)
    torch.stack(list(terms.values())).sum().backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 5.0)
    optimizer.step()
    schedule.step()
    return {name: float(term.detach()) for name, term in terms.items()}


def write(model: Detector, out: Path, config: DetectorConfig) -> None:
    """Writes the oracle's folder: float16 weights, and the network's measures with the settings of its decoding."""
    out.mkdir(parents=True, exist_ok=True)
    kept = {name: value for name, value in model.state_dict().items() if not name.endswith("num_batches_tracked")}
    save_file({name: value.half().contiguous().cpu() for name, value in kept.items()}, out / "model.safetensors")
    (out / "config.json").write_text(json.dumps({**asdict(config), **DECODING}, indent=2) + "\n")
