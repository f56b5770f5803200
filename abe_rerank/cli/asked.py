"""What commands are asked: options that go together are one record, and :func:`spread` makes options of its fields.

With ``@spread`` the command ``def score(*, backbone: BackboneOptions)`` has the options ``--backbone``, ``--device``
and more, and is called with the record.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import MISSING, dataclass, fields, is_dataclass
from functools import wraps
from typing import TYPE_CHECKING, Any, get_type_hints

from abe_rerank.cli.options import (
    AllowPickle,
    BackboneName,
    BatchSize,
    Device,
    Dtype,
    Guidance,
    Height,
    ImageSize,
    Lora,
    Model,
    ModelConfig,
    NegativePrompt,
    Offload,
    Part,
    Revision,
    Scheduler,
    ScoreOn,
    Seed,
    Set,
    Slice,
    Steps,
    Variant,
    Width,
    read_batch_size,
    read_settings,
)

if TYPE_CHECKING:
    from abe_rerank.backbones.dual_encoder import DualEncoder
    from abe_rerank.drawing.pipelines import ModelChoices
    from abe_rerank.drawing.sampling import Sampling


@dataclass(frozen=True)
class _Options:
    """Options of one record, written out."""

    @property
    def parts(self) -> list[Part]:
        """Each option that is not default, for a command line; one that may be given several times is."""
        found: list[Part] = []
        for field in fields(self):
            value = getattr(self, field.name)
            name = {"arguments": "--set", "slices": "--slice"}.get(field.name, f"--{field.name.replace('_', '-')}")
            if isinstance(value, (list, tuple)):
                found += [(name, one) for one in value]
            elif value != field.default:
                found.append((name, value))
        return found


@dataclass(frozen=True)
class BackboneOptions(_Options):
    """The model that scores, and where models run."""

    backbone: BackboneName = None
    device: Device = None
    dtype: Dtype = None
    allow_pickle: AllowPickle = False
    image_size: ImageSize = None

    @property
    def name(self) -> str:
        """What a run calls it."""
        return self.backbone or "built-in"

    def load(self) -> DualEncoder:
        """The backbone. Raises as :func:`abe_rerank.backbones.load_backbone` does."""
        from abe_rerank.backbones import load_backbone

        return load_backbone(self.backbone, self.device, self.dtype, self.image_size, allow_pickle=self.allow_pickle)


@dataclass(frozen=True)
class DrawOptions(_Options):
    """The model that draws, and how it does."""

    seed: Seed = 0
    steps: Steps = None
    guidance: Guidance = None
    negative_prompt: NegativePrompt = None
    width: Width = None
    height: Height = None
    batch_size: BatchSize = "auto"
    arguments: Set = None
    model: Model = None
    model_config: ModelConfig = None
    scheduler: Scheduler = None
    lora: Lora = None
    variant: Variant = None
    revision: Revision = None
    offload: Offload = "none"
    slices: Slice = None
    score_on: ScoreOn = None

    @property
    def name(self) -> str:
        """What a run calls the model."""
        return self.model or "built-in"

    def sampling(self, n: int) -> Sampling:
        """How ``n`` images of a prompt are drawn. Raises UsageError for what cannot be read or drawn."""
        from abe_rerank.drawing.sampling import Sampling

        numbers = (n, self.seed, read_batch_size(self.batch_size), self.steps, self.guidance)
        return Sampling(*numbers, self.negative_prompt, self.width, self.height, read_settings(self.arguments))

    @property
    def choices(self) -> ModelChoices:
        """What is chosen of the model."""
        from abe_rerank.drawing.pipelines import ModelChoices

        lists = (tuple(self.lora or ()), tuple(self.slices or ()))
        return ModelChoices(self.variant, self.revision, self.scheduler, *lists, self.model_config)


def spread(command: Callable[..., None]) -> Callable[..., None]:
    """The command with the fields of its records as options of its own; its other parameters stay as they are."""
    hints = get_type_hints(command, include_extras=True)
    records: dict[str, Any] = {name: hint for name, hint in hints.items() if is_dataclass(hint)}
    options: list[inspect.Parameter] = []
    for parameter in inspect.signature(command).parameters.values():
        record = records.get(parameter.name)
        if record is None:
            kind, hint = inspect.Parameter.KEYWORD_ONLY, hints[parameter.name]
            options.append(parameter.replace(kind=kind, annotation=hint))
        else:
            options += _options_of(record)

    @wraps(command)
    def run(**given: Any) -> None:
        made = {
            name: record(**{field.name: given.pop(field.name) for field in fields(record)})
            for name, record in records.items()
        }
        command(**given, **made)

    run.__signature__ = inspect.Signature(options)  # type: ignore[attr-defined]
    run.__annotations__ = {option.name: option.annotation for option in options}
    return run


def _options_of(record: Any) -> list[inspect.Parameter]:
    """A parameter of a command for each field of a record."""
    hints = get_type_hints(record, include_extras=True)
    return [
        inspect.Parameter(
            field.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=inspect.Parameter.empty if field.default is MISSING else field.default,
            annotation=hints[field.name],
        )
        for field in fields(record)
    ]
