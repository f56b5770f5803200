"""The adapter to diffusers: any text-to-image pipeline, one seed per candidate.

The unit of generation is (prompt, seed). Each candidate has a ``torch.Generator`` of its own on the CPU, so its initial
latents and every later draw depend on its seed alone, whatever the device, ``n`` or the batch size. Batches are
always full (the last is filled up with repeats that are dropped), so that at equal batch size the images are equal to
the bit; at other batch sizes convolutions may differ in their last digits.
"""

from __future__ import annotations

import inspect
import math
import warnings
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from abe_rerank.backbones.model_files import json_object
from abe_rerank.backbones.progress import bars_wanted
from abe_rerank.drawing.components import encoding_once
from abe_rerank.drawing.failures import broken_of, failure_of
from abe_rerank.drawing.noise import renewed_noise
from abe_rerank.drawing.pipelines import (
    Pipeline,
    check_numbers,
    guidance_name,
    image_pixels,
    own_sides,
    read_arguments,
    settable,
)
from abe_rerank.drawing.placement import execution_device
from abe_rerank.errors import AbeRerankError, UsageError, first_line
from abe_rerank.recipes import LARGEST_SIDE, MOST_AT_ONCE, MOST_PICTURES, MOST_STEPS, Drawing, Recipe
from abe_rerank.types import Sample, Samples

if TYPE_CHECKING:
    import torch

LARGEST_SEED = 2**63 - 1
AT_ONCE = 8
"""The largest batch that is chosen where none is named."""


class DeviceError(AbeRerankError):
    """The device ran out of memory or failed: another prompt would fare no better."""


class BatchSizeError(DeviceError):
    """So many images at once are too much; ``fits`` at once are not."""

    def __init__(self, size: int, fits: int) -> None:
        super().__init__(f"out of memory while sampling {size} images at once; use --batch-size {fits}")
        self.fits = fits


@dataclass(frozen=True)
class Sampling:
    """What to draw: ``n`` candidates with the seeds ``seed``, ``seed + 1``, ...

    ``batch_size`` is how many at once, or "auto" (see :func:`fitting_batch`). ``steps``, ``guidance``, ``width`` and
    ``height`` (pixels) and ``negative_prompt`` are None for the model's own; ``call`` holds further arguments of the
    pipeline's ``__call__``, as values or as texts that its signature gives a type. Raises UsageError for values that
    cannot be drawn.
    """

    n: int = 8
    seed: int = 0
    batch_size: int | Literal["auto"] = "auto"
    steps: int | None = None
    guidance: float | None = None
    negative_prompt: str | None = None
    width: int | None = None
    height: int | None = None
    call: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        batch_size = None if self.batch_size == "auto" else self.batch_size
        counts = (
            ("n", self.n, MOST_PICTURES, ""),
            ("steps", self.steps, MOST_STEPS, ""),
            ("the batch size", batch_size, MOST_AT_ONCE, ', or "auto"'),
            ("the width", self.width, LARGEST_SIDE, " pixels"),
            ("the height", self.height, LARGEST_SIDE, " pixels"),
        )
        for name, number, most, what in counts:
            if number is not None and not 1 <= number <= most:
                bound = "at least 1" if number < 1 else f"at most {most}"
                raise UsageError(f"{name} must be {bound}{what}, got {number}")
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
    arguments = call_arguments(pipeline, sampling)
    check_numbers(own_sides(pipeline) | arguments)
    size = sampling.batch_size
    return Drawing(
        n=sampling.n,
        seed=sampling.seed,
        batch_size=fitting_batch(pipeline, sampling.n, arguments) if size == "auto" else size,
        arguments=arguments,
        device=str(execution_device(pipeline)),
        dtype=str(pipeline.dtype).removeprefix("torch."),
        scheduler=type(pipeline.components["scheduler"]).__name__ if pipeline.components.get("scheduler") else None,
    )


def fitting_batch(pipeline: Pipeline, n: int, arguments: Mapping[str, Any]) -> int:
    """How many of ``n`` images to draw at once where nobody says: batches of equal size, of at most :data:`AT_ONCE`.

    On a CPU, images of more than 256 x 256 pixels are drawn one by one, as they keep it busy: a batch would take memory
    and gain no time. Elsewhere a batch has at most as many pixels as eight of 512 x 512. Where the size of the images
    is not known before they are drawn, it is taken for 1024 x 1024.
    """
    pixels = image_pixels(pipeline, arguments) or 1024**2
    if execution_device(pipeline).type == "cpu":
        most = AT_ONCE if pixels <= 256**2 else 1
    else:
        most = max(1, min(AT_ONCE, AT_ONCE * 512**2 // pixels))
    return math.ceil(n / math.ceil(n / most))


def draw(
    pipeline: Pipeline,
    prompt: str,
    drawing: Drawing,
    progress: bool = False,
    recipes: Sequence[Recipe] | None = None,
) -> Samples:
    """Draw ``drawing.n`` images of ``prompt``, in the order of their seeds, or by ``recipes`` as :func:`batches` does.

    The drawing of the result has the batch size that went. Raises as :func:`batches` does.
    """
    found: list[Sample] = []
    for batch in batches(pipeline, prompt, drawing, progress, recipes):
        found = [*found, *batch.images] if batch.drawing == drawing else list(batch.images)
        drawing = batch.drawing
    return Samples(tuple(found), drawing)


def batches(
    pipeline: Pipeline,
    prompt: str,
    drawing: Drawing,
    progress: bool = False,
    recipes: Sequence[Recipe] | None = None,
) -> Generator[Samples, None, None]:
    """The images of ``prompt``, a batch after the other, in the order of their seeds; one batch at a time is in memory.

    With ``recipes``, all of the same steps, these are drawn in place of the seeds of ``drawing``.

    Where memory runs out, all are drawn again in batches of half the size: the drawing of a batch says its size, and
    one whose size differs from that of the batch before begins with the first seed again. Raises DeviceError if one
    image is too much or the device fails, AbeRerankError if drawing fails otherwise.
    """
    import torch

    while True:
        try:
            yield from _batches(pipeline, prompt, drawing, progress, recipes)
            return
        except torch.OutOfMemoryError:
            if drawing.batch_size == 1:
                raise DeviceError(
                    "out of memory while sampling one image; use a smaller model, --dtype float16 or another --device"
                ) from None
        drawing = replace(drawing, batch_size=math.ceil(drawing.batch_size / 2))
        if torch.cuda.is_available():
            torch.cuda.empty_cache()


def call_arguments(pipeline: Pipeline, sampling: Sampling) -> dict[str, Any]:
    """The arguments of the pipeline's ``__call__`` besides prompt and generator, with defaults written out.

    Steps and guidance come from the caller, else from ``sampling.json`` in the model's folder, else from the
    pipeline's own defaults. Guidance is the argument of :func:`guidance_name`; where that is ``true_cfg_scale``, which
    does nothing without a negative prompt, a blank one is given. Raises UsageError for an argument that the pipeline
    does not take, or that is not of the type it takes.
    """
    parameters = inspect.signature(pipeline.__call__).parameters
    scale = guidance_name(pipeline)
    named = {"num_inference_steps": sampling.steps, scale: sampling.guidance}
    named |= {name: getattr(sampling, name) for name in ("negative_prompt", "width", "height")}
    asked = read_arguments(
        pipeline, dict(sampling.call) | {name: value for name, value in named.items() if value is not None}
    )
    if len(sides := {"height", "width"} & set(asked)) == 1:  # without the other one, diffusers forgets this one
        asked = {name: side for name, side in own_sides(pipeline).items() if side and name not in sides} | asked
    if scale == "true_cfg_scale" and scale in asked:
        asked = {"negative_prompt": " "} | asked
    written = dict.fromkeys(("num_inference_steps", "guidance_scale", scale))
    defaults = {name: parameters[name].default for name in written if name in parameters}
    return defaults | _folder_defaults(pipeline) | asked


def _batches(
    pipeline: Pipeline, prompt: str, drawing: Drawing, progress: bool, recipes: Sequence[Recipe] | None
) -> Iterator[Samples]:
    asked = [Recipe(seed) for seed in drawing.seeds] if recipes is None else recipes
    with _progress_bars(pipeline, progress) as title, encoding_once(pipeline):
        for start in range(0, len(asked), drawing.batch_size):
            batch = asked[start : start + drawing.batch_size]
            first, last = batch[0].seed, batch[-1].seed
            title(f"sampling seed {first}" if len(batch) == 1 else f"sampling seeds {first}-{last}")
            yield Samples(tuple(_draw(pipeline, prompt, batch, drawing)), drawing)


def _draw(pipeline: Pipeline, prompt: str, recipes: Sequence[Recipe], drawing: Drawing) -> list[Sample]:
    """The images of one batch, filled up to the batch size."""
    import torch

    batch_size = drawing.batch_size
    padded = [*recipes, *([recipes[-1]] * (batch_size - len(recipes)))]
    generators = [torch.Generator("cpu").manual_seed(recipe.seed) for recipe in padded]
    steps = {} if recipes[0].steps is None else {"num_inference_steps": recipes[0].steps}
    arguments = {name: _for_each(name, value, batch_size) for name, value in {**drawing.arguments, **steps}.items()}
    last: dict[str, torch.Tensor] = {}

    def keep(_: Any, step: int, timestep: Any, tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        last.update(tensors)
        return {}

    if "callback_on_step_end" in inspect.signature(pipeline.__call__).parameters:
        arguments["callback_on_step_end"] = keep
    try:
        with warnings.catch_warnings():  # NaN is said of each image, see failure_of
            warnings.filterwarnings("ignore", "invalid value encountered in cast", RuntimeWarning)
            with renewed_noise(pipeline, padded):
                output = pipeline(prompt=[prompt] * batch_size, generator=generators, **arguments)
    except torch.OutOfMemoryError:
        raise
    except getattr(torch, "AcceleratorError", torch.OutOfMemoryError) as error:  # from torch 2.8 on
        raise DeviceError(
            f"the device {execution_device(pipeline)} failed: {first_line(error)}; start again"
        ) from error
    except (ValueError, TypeError, RuntimeError, AttributeError, LookupError, ArithmeticError) as error:
        if "allocate memory" in str(error):  # what a CPU says
            raise torch.OutOfMemoryError(str(error)) from error
        raise AbeRerankError(f"{type(pipeline).__name__} failed to draw: {first_line(error)}") from error
    blanked = getattr(output, "nsfw_content_detected", None) or [False] * batch_size
    broken = broken_of(last.get("latents"), batch_size)
    images = [image.convert("RGB") for image in output.images]
    return [
        Sample(recipe.seed, image, failure_of(image, bool(blank), nan), recipe.renewed, recipe.steps)
        for recipe, image, blank, nan in zip(recipes, images, blanked, broken, strict=False)
    ]


def _for_each(name: str, value: object, batch_size: int) -> object:
    """A text that goes with the prompt, once for each image; other arguments as they are."""
    return [value] * batch_size if isinstance(value, str) and "prompt" in name else value


@contextmanager
def _progress_bars(pipeline: Pipeline, shown: bool) -> Iterator[Any]:
    """Title the pipeline's own step bars, and leave its configuration as it was."""
    before = getattr(pipeline, "_progress_bar_config", None)

    def title(text: str) -> None:
        pipeline.set_progress_bar_config(desc=text, disable=not (shown and bars_wanted()), leave=False)

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
    if not name or not file.exists():
        return {}
    found = json_object(file)
    known = settable(pipeline)
    if unknown := [key for key in found if key not in known]:
        raise UsageError(f"{file}: {type(pipeline).__name__} does not take {', '.join(unknown)}; remove it there")
    try:
        check_numbers(found)
    except UsageError as error:
        raise UsageError(f"{file}: {error}") from None
    return found
