"""The second course of the built-in text-to-image model: from the weights there are, on what the suites ask for.

Same latents, same autoencoder, same loss as :mod:`abe_rerank.shapes.training.text_to_image`. The rate is constant and
falls to nothing over the last ``cool`` steps. To go on later, give more ``--steps``: the state from before the rate
fell is kept beside the last checkpoint and taken up again.
"""

from __future__ import annotations

import logging
import shutil
from pathlib import Path
from typing import Annotated

import torch
import typer
from diffusers import StableDiffusionPipeline
from diffusers.models.attention_processor import AttnProcessor

from abe_rerank import builtin
from abe_rerank.shapes.training.asked_pool import asked_pool
from abe_rerank.shapes.training.common import Pace, load_checkpoint, log_to, save_checkpoint
from abe_rerank.shapes.training.pipeline_folder import save_pipeline
from abe_rerank.shapes.training.text_to_image import Networks, Training, predict

log = logging.getLogger(__name__)

WARMUP = 60


def falling_rate(step: int, steps: int, peak: float, cool: int) -> float:
    """Linear warm-up, constant, and over the last ``cool`` steps linearly down to nothing."""
    return peak * max(0.0, min(1.0, (step + 1) / WARMUP, (steps - step) / cool))


def main(
    out: Annotated[Path, typer.Option(help="where the pipeline folder goes, again every --snapshot steps")],
    work: Annotated[Path, typer.Option(help="checkpoints, latents and the log")],
    start: Annotated[Path | None, typer.Option(help="pipeline folder to start from, else the built-in one")] = None,
    steps: Annotated[int, typer.Option(min=1)] = 4000,
    cool: Annotated[int, typer.Option(min=1, help="the last steps, over which the rate falls")] = 400,
    batch: Annotated[int, typer.Option(min=1)] = 48,
    scenes: Annotated[int, typer.Option(min=1)] = 40_000,
    peak: Annotated[float, typer.Option(help="learning rate")] = 8e-4,
    snapshot: Annotated[int, typer.Option(min=1)] = 250,
    half: Annotated[bool, typer.Option(help="bfloat16 by autocast: faster where the processor knows it")] = False,
) -> None:
    """Trains on; the same command goes on from the last checkpoint, and from before the rate fell with more steps."""
    log_to(work)
    pipeline = StableDiffusionPipeline.from_pretrained(
        start or builtin.path("text-to-image"), torch_dtype=torch.float32, safety_checker=None
    )
    networks = Networks(pipeline.unet, pipeline.text_encoder, pipeline.tokenizer)
    networks.modules.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    networks.modules.train().requires_grad_(True)
    pool = asked_pool(work, scenes, networks.tokenizer)
    training, pace = Training(networks, pool.batch, steps, peak, seed=2), Pace(every=120)
    state = load_checkpoint(work / "last.pt")
    if state and state["step"] > state["falls_from"] and steps - cool > state["falls_from"]:
        state = load_checkpoint(work / "warm.pt")
    if state:
        training.restore(state)
        pace.spent = state["seconds"]
    if half:
        networks.unet.set_attn_processor(AttnProcessor())  # in bfloat16 faster than the fused one on CPU
    has_fallen = state is not None and state["step"] > state["falls_from"]
    falls_from = state["falls_from"] if state and has_fallen else max(steps - cool, training.step)
    running = 0.0
    while training.step < steps:
        if training.step == falls_from:
            save_checkpoint(work / "warm.pt", {**training.state(), "falls_from": falls_from, "seconds": pace.spent})
        rate = falling_rate(training.step, steps, peak, cool)
        loss = float(training.advance(batch, predict, half=half, rate=rate))
        running = 0.98 * running + 0.02 * loss if running else loss
        if training.step % 25 == 0:
            log.info("step %d of %d, loss %.4f", training.step, steps, running)
        due = pace.due()
        if due or training.step == steps:
            save_checkpoint(work / "last.pt", {**training.state(), "falls_from": falls_from, "seconds": pace.spent})
        if training.step % snapshot == 0 or training.step == steps:
            kept = training.average
            save_pipeline(out.with_suffix(".new"), pipeline.vae, kept.unet, kept.text, networks.tokenizer)
            shutil.rmtree(out, ignore_errors=True)
            out.with_suffix(".new").rename(out)
            shutil.copy(builtin.path("text-to-image") / "sampling.json", out)
            log.info("snapshot at step %d after %.0f s", training.step, pace.spent)
