"""What a page asks for: a prompt drawn by models, and the command line that asks for the same."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from abe_rerank.runs.generated import Commands, Report

if TYPE_CHECKING:
    from abe_rerank.drawing.sampling import Sampling
    from abe_rerank.drawing.strategies import Strategy

BUILT_IN = "built-in"
"""What a run calls the models of the package."""


@dataclass(frozen=True)
class Models:
    """Which models: names as on the command line, None for the built-in ones and for what is chosen by itself."""

    model: str | None = None
    backbone: str | None = None
    scorer: str = "abe"
    device: str | None = None
    dtype: str | None = None
    variant: str | None = None
    revision: str | None = None
    scheduler: str | None = None
    lora: tuple[str, ...] = ()

    @property
    def options(self) -> list[str]:
        """What is not default, as words of a command line."""
        named = {
            "--model": self.model,
            "--variant": self.variant,
            "--revision": self.revision,
            "--scheduler": self.scheduler,
            **self._scoring,
        }
        return [*_words(named), *(word for lora in self.lora for word in ("--lora", lora))]

    @property
    def scoring_options(self) -> list[str]:
        """Those that matter where nothing is drawn."""
        return _words(self._scoring)

    @property
    def _scoring(self) -> dict[str, object]:
        scorer = None if self.scorer == "abe" else self.scorer
        names = {"--backbone": self.backbone, "--scorer": scorer}
        return {**names, "--device": self.device, "--dtype": self.dtype}


@dataclass(frozen=True)
class Order:
    """A prompt that is to be drawn ``n`` times, from the seed ``seed`` on; None is the model's own.

    ``call`` holds further arguments of the model's pipeline; ``strategy`` is a name of
    :func:`abe_rerank.drawing.strategies.names`, None for best of ``n``, ``strategy_settings`` is what is
    not left to it.
    """

    prompt: str
    models: Models = Models()
    n: int = 8
    seed: int = 0
    batch_size: int = 1
    steps: int | None = None
    guidance: float | None = None
    negative_prompt: str | None = None
    width: int | None = None
    height: int | None = None
    call: Mapping[str, Any] = field(default_factory=dict)
    strategy: str | None = None
    strategy_settings: Mapping[str, Any] = field(default_factory=dict)

    def sampling(self, n: int, seed: int) -> Sampling:
        """How ``n`` images are drawn from ``seed`` on. Raises UsageError for what cannot be drawn."""
        from abe_rerank.drawing.sampling import Sampling

        size = (self.negative_prompt, self.width, self.height)
        return Sampling(n, seed, self.batch_size, self.steps, self.guidance, *size, self.call)

    def command(self, n: int, seed: int, strategy: str | None = None) -> str:
        """The command that draws and scores ``n`` images from ``seed`` on, or as many as a strategy does.

        Raises UsageError for a strategy's settings that cannot be, and where ``n`` is too small for it.
        """
        from abe_rerank.drawing.strategies import make_strategy

        named: dict[str, object] = {"--n": n, "--seed": seed, "--batch-size": self.batch_size}
        for name in ("steps", "guidance", "negative_prompt", "width", "height"):
            named[f"--{name.replace('_', '-')}"] = getattr(self, name)
        named |= {} if strategy is None else _strategy(make_strategy(strategy, n, seed, **self.strategy_settings))
        given = [word for name, value in self.call.items() for word in ("--set", f"{name}={value}")]
        return _command("generate", [*_words(named), *given, *self.models.options], self.prompt)

    def commands(self, count: int, best: int | None, folder: Path) -> Commands:
        """Those of a run of ``count`` images whose best one has the seed ``best``, None if none was picked, or no
        command draws it again."""
        return Commands(
            run=self.command(count, self.seed, self.strategy),
            redraw=None if best is None else self.command(1, best),
            rescore=rescoring(self.prompt, self.models, folder),
        )


def rescoring(prompt: str, models: Models, folder: Path) -> str:
    """The command that scores the images of a run again."""
    words = ["abe-rerank", "score", str(folder / "candidates"), f"--prompt={prompt}", *models.scoring_options]
    return shlex.join(words)


_ARGUMENTS = {
    "steps": "num_inference_steps",
    "guidance": "guidance_scale",
    "negative_prompt": "negative_prompt",
    "width": "width",
    "height": "height",
}
"""What the command line calls the arguments of pipelines that it has options for."""

_STRATEGY_OPTIONS: dict[str, dict[str, str]] = {
    "best-of-n": {},
    "drafts": {"draft_steps": "--draft-steps", "keep": "--keep"},
    "until-bound": {"probability": "--until-bound", "max_seconds": "--max-seconds"},
    "search": {"share": "--search"},
}
"""What the command line calls the settings of a strategy."""

STRATEGIES = tuple(_STRATEGY_OPTIONS)
"""The strategies that the command line has options for, the usual one first."""


def _strategy(strategy: Strategy) -> dict[str, object]:
    """The options that ask for a strategy."""
    return {option: getattr(strategy, name) for name, option in _STRATEGY_OPTIONS[strategy.name].items()}


_OWN = (
    "n",
    "seed",
    "batch_size",
    "scheduler",
    "device",
    "dtype",
    "variant",
    "revision",
    "lora",
    "model_config",
    "allow_pickle",
    "strategy",
)


def order_of(report: Report) -> Order:
    """What a run was asked for, from what stands in its report. Its scheduler may be the model's own."""
    settings = dict(report.settings)
    plain = {name: settings.pop(_ARGUMENTS[name]) for name in _ARGUMENTS if settings.get(_ARGUMENTS[name]) is not None}
    call = {name: value for name, value in settings.items() if name not in _OWN and value is not None}
    models = Models(
        model=_name(report.text_to_image.name),
        backbone=_name(report.backbone.name),
        scorer=scorer_in(report.scorer),
        variant=_text(settings.get("variant")),
        revision=_text(settings.get("revision")),
        scheduler=_text(settings.get("scheduler")),
        lora=tuple(str(lora) for lora in settings.get("lora") or ()),  # type: ignore[union-attr]
    )
    seeds = [candidate.seed for candidate in report.candidates if candidate.seed is not None]
    numbers = {name: settings[name] for name in ("n", "batch_size") if isinstance(settings.get(name), int)}
    order = Order(report.prompt, models, seed=min(seeds, default=0), call=call)
    strategy = settings.get("strategy")
    name = str(strategy.get("name")) if isinstance(strategy, dict) else None
    return replace(order, strategy=name, **numbers, **plain)  # type: ignore[arg-type]


def scorer_in(stamp: str) -> str:
    """The name of the scorer in its stamp, as in "abe-rerank 0.1.0 float32 | abe | 0123"."""
    parts = [part.strip() for part in stamp.split("|")]
    return parts[1] if len(parts) > 1 else stamp.split()[0]


def _name(name: str) -> str | None:
    return None if name == BUILT_IN else name


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _words(named: Mapping[str, object]) -> list[str]:
    found: list[str] = []
    for name, value in named.items():
        if value is not None:
            found += [f"{name}={value}"] if str(value).startswith("-") else [name, str(value)]
    return found


def _command(name: str, words: list[str], prompt: str) -> str:
    return shlex.join(["abe-rerank", name, *words, *(["--", prompt] if prompt.startswith("-") else [prompt])])
