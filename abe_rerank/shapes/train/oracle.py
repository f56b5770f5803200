"""Trains the oracle from nothing: a supervised detector on rendered scenes."""

from __future__ import annotations

import json
import logging
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import typer
from numpy.typing import NDArray
from safetensors.torch import save_file
from torch import Tensor
from torch.nn import functional as F

from abe_rerank.benchmarks.oracle import exactness
from abe_rerank.shapes.detector import Detector, DetectorConfig, parts
from abe_rerank.shapes.oracle import Oracle
from abe_rerank.shapes.train.common import load_checkpoint, log_to, save_checkpoint
from abe_rerank.shapes.train.oracle_data import disturbed, learned_from

log = logging.getLogger(__name__)

BATCH = 64
PEAK_RATE = 3e-3
SPREAD = 0.65
"""Standard deviation, in cells, of the presence that is asked for around a centre."""
DECODING = {"threshold": 0.4, "apart": 0.5}
"""See :func:`abe_rerank.shapes.detector.decode`; chosen on the split "choose"."""


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
    steps: Annotated[int, typer.Option(min=1, help="steps of 64 scenes")] = 3200,
    scenes: Annotated[int, typer.Option(min=64, help="rendered scenes to learn from, kept on disk (2 GB)")] = 40_000,
    seed: int = 0,
    device: str = "cpu",
) -> None:
    """Trains the oracle (about 35 minutes on one CPU core); the same command goes on from the last checkpoint."""
    work = out / "work"
    log_to(work)
    images, labels = learned_from(work, scenes)
    torch.manual_seed(seed)
    config = DetectorConfig()
    model = Detector(config).to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimizer = torch.optim.AdamW(model.parameters(), lr=PEAK_RATE, weight_decay=0.02)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, PEAK_RATE, total_steps=steps, pct_start=0.12)
    parts_of_state = {"model": model, "optimizer": optimizer, "schedule": schedule}
    first = 0
    if state := load_checkpoint(work / "checkpoint.pt", device):
        first = state["step"]
        for name, part in parts_of_state.items():
            part.load_state_dict(state[name])
    sums: Counter[str] = Counter()
    for step in range(first, steps):
        batch, told = _batch(images, labels, seed, step)
        sums.update(_step(model.train(), optimizer, schedule, batch.to(device), told.to(device)))
        if (step + 1) % 50 == 0:
            log.info("step %d of %d, %s", step + 1, steps, ", ".join(f"{k} {v / 50:.4f}" for k, v in sums.items()))
            sums.clear()
        if (step + 1) % 200 == 0 or step + 1 == steps:
            kept = {name: part.state_dict() for name, part in parts_of_state.items()}
            save_checkpoint(work / "checkpoint.pt", {**kept, "step": step + 1})
        if (step + 1) % 800 == 0 or step + 1 == steps:
            log.info("two objects: %s", exactness(Oracle(model, **DECODING), 2, 256, "choose"))
    write(model, out, config)


def _batch(images: NDArray[np.uint8], labels: NDArray[np.float32], seed: int, step: int) -> tuple[Tensor, Tensor]:
    """The scenes of one step, disturbed; they depend on seed and step alone, so a resumed training sees the same."""
    chosen = np.sort(np.random.default_rng((step, seed)).choice(len(images), BATCH, replace=False))
    batch = torch.from_numpy(images[chosen]).permute(0, 3, 1, 2).float() / 255
    return disturbed(batch, torch.from_numpy(labels[chosen]), torch.Generator().manual_seed(seed + step))


def _step(model: Detector, optimizer: Any, schedule: Any, batch: Tensor, told: Tensor) -> dict[str, float]:
    with torch.autocast(batch.device.type, torch.bfloat16):
        cells = model(batch.contiguous(memory_format=torch.channels_last))
    terms = loss_of(cells, told)
    optimizer.zero_grad(set_to_none=True)
    torch.stack(list(terms.values())).sum().backward()  # type: ignore[no-untyped-call]
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
