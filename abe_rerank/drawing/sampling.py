"""The adapter to diffusers: any text-to-image pipeline, one seed per candidate.

The unit of generation is (prompt, seed). Each candidate has a ``torch.Generator`` of its own on the CPU, so its initial
latents and every later draw depend on its seed alone, whatever the device, ``n`` or the batch size. Batches are
always full (the last is filled up with repeats that are dropped), so that at equal batch size the images are equal to
the bit; at other batch sizes convolutions may differ in their last digits.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from abe_rerank.backbones.model_files import json_object
from abe_rerank.drawing.pipelines import Pipeline
from abe_rerank.errors import AbeRerankError, UsageError, first_line
from abe_rerank.types import Drawing, Sample, Samples

LARGEST_SEED = 2**63 - 1


class DeviceError(AbeRerankError):
    """The device ran out of memory or failed: another prompt would fare no better."""


@dataclass(frozen=True)
class Sampling:
    """What to draw: ``n`` candidates with the seeds ``seed``, ``seed + 1``, ...

    ``steps`` and ``guidance`` are None for the model's own; ``call`` holds further arguments of the pipeline's
    ``__call__`` (height, negative_prompt, ...). Raises UsageError for values that cannot be drawn.
    """

    n: int = 8
    seed: int = 0
    batch_size: int = 1
    steps: int | None = None
    guidance: float | None = None
    call: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.n < 1:
            raise UsageError(f"n must be at least 1, got {self.n}")
        if self.batch_size < 1:
            raise UsageError(f"the batch size must be at least 1, got {self.batch_size}")
        if self.steps is not None and self.steps < 1:
            raise UsageError(f"steps must be at least 1, got {self.steps}")
        if self.guidance is not None and not math.isfinite(self.guidance):
            raise UsageError(f"the guidance must be a finite number, got {self.guidance}")
        if self.seed < 0:
            raise UsageError(f"seeds must be at least 0, got {self.seed}")
        last = self.seed + self.n - 1
        if last > LARGEST_SEED:
            raise UsageError(
                f"the seeds {self.seed} to {last} go past the largest, {LARGEST_SEED}; give a smaller seed"
            )


def settle(pipeline: Pipeline, sampling: Sampling) -> Drawing:
    """What is asked of a pipeline, with everything that was left open decided.

    Raises UsageError for an argument that the pipeline does not take.
    """
    return Drawing(
        n=sampling.n,
        seed=sampling.seed,
        batch_size=sampling.batch_size,
        arguments=call_arguments(pipeline, sampling),
        device=str(pipeline.device),
        dtype=str(pipeline.dtype).removeprefix("torch."),
    )


def draw(pipeline: Pipeline, prompt: str, drawing: Drawing, progress: bool = False) -> Samples:
    """Draw ``drawing.n`` images of ``prompt``, in the order of their seeds.

    Raises DeviceError if the device fails (out of memory, ...), AbeRerankError if drawing fails otherwise.
    """
    drawn: list[Sample] = []
    with _progress_bars(pipeline, progress) as title:
        for start in range(0, drawing.n, drawing.batch_size):
            seeds = drawing.seeds[start : start + drawing.batch_size]
            last = start + len(seeds)
            first = "" if len(seeds) == 1 else f"{start + 1}-"
            title(f"sampling {first}{last} of {drawing.n}")
            drawn += _draw(pipeline, prompt, seeds, drawing)
    return Samples(tuple(drawn), drawing)


def call_arguments(pipeline: Pipeline, sampling: Sampling) -> dict[str, Any]:
    """The arguments of the pipeline's ``__call__`` besides prompt and generator, with defaults written out.

    Steps and guidance come from the caller, else from ``sampling.json`` in the model's folder, else from the
    pipeline's own defaults. Raises UsageError for an argument that the pipeline does not take.
    """
    parameters = inspect.signature(pipeline.__call__).parameters
    asked = dict(sampling.call)
    if sampling.steps is not None:
        asked["num_inference_steps"] = sampling.steps
    if sampling.guidance is not None:
        asked["guidance_scale"] = sampling.guidance
    unknown = [name for name in asked if name not in parameters]
    if unknown:
        raise UsageError(f"{type(pipeline).__name__} does not take {', '.join(unknown)}")
    defaults = {
        name: parameters[name].default for name in ("num_inference_steps", "guidance_scale") if name in parameters
    }
    return defaults | _folder_defaults(pipeline) | asked


def _draw(pipeline: Pipeline, prompt: str, seeds: range, drawing: Drawing) -> list[Sample]:
    """The images of one batch, filled up to the batch size."""
    import torch

    batch_size = drawing.batch_size
    padded = [*seeds, *([seeds[-1]] * (batch_size - len(seeds)))]
    generators = [torch.Generator("cpu").manual_seed(seed) for seed in padded]
    try:
        output = pipeline(prompt=[prompt] * batch_size, generator=generators, **drawing.arguments)
    except torch.OutOfMemoryError:
        way_out = "use --batch-size 1" if batch_size > 1 else "use a smaller model, --dtype float16 or another --device"
        raise DeviceError(f"out of memory while sampling {batch_size} images at once; {way_out}") from None
    except getattr(torch, "AcceleratorError", torch.OutOfMemoryError) as error:  # from torch 2.8 on
        raise DeviceError(f"the device {pipeline.device} failed: {first_line(error)}; start again") from error
    except (ValueError, TypeError, RuntimeError) as error:
        raise AbeRerankError(f"{type(pipeline).__name__} failed to draw: {first_line(error)}") from error
    blanked = getattr(output, "nsfw_content_detected", None) or [False] * batch_size
    return [
        Sample(seed, image.convert("RGB"), bool(blank))
        for seed, image, blank in zip(seeds, output.images, blanked, strict=False)
    ]


@contextmanager
def _progress_bars(pipeline: Pipeline, shown: bool) -> Iterator[Any]:
    """Title the pipeline's own step bars, and leave its configuration as it was."""
    before = getattr(pipeline, "_progress_bar_config", None)

    def title(text: str) -> None:
        pipeline.set_progress_bar_config(desc=text, disable=not shown, leave=False)

    try:
        yield title
    finally:
        pipeline.set_progress_bar_config(**(before or {}))


def _folder_defaults(pipeline: Pipeline) -> dict[str, Any]:
    """The arguments in ``sampling.json`` of the folder that the pipeline was loaded from, if it has one.

    Raises UsageError, naming it, for a key that the pipeline does not take, or steps or guidance that cannot be.
    """
    name = pipeline.config.get("_name_or_path")
    file = Path(str(name)) / "sampling.json"
    if not name or not file.is_file():
        return {}
    found = json_object(file)
    known = set(inspect.signature(pipeline.__call__).parameters) - {"self", "prompt", "generator", "args", "kwargs"}
    if unknown := [key for key in found if key not in known]:
        raise UsageError(f"{file}: {type(pipeline).__name__} does not take {', '.join(unknown)}; remove it there")
    steps, guidance = found.get("num_inference_steps", 1), found.get("guidance_scale", 1.0)
    if isinstance(steps, bool) or not isinstance(steps, int) or steps < 1:
        raise UsageError(f"{file}: num_inference_steps must be a whole number from 1 on, not {steps!r}")
    if isinstance(guidance, bool) or not isinstance(guidance, (int, float)) or not math.isfinite(guidance):
        raise UsageError(f"{file}: guidance_scale must be a finite number, not {guidance!r}")
    return found
