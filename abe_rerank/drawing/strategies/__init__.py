"""Which pictures to draw next, given the scores so far: strategies, each in a file of its own, by name.

A strategy is a pure function of what was drawn: it asks for the next pictures by their recipes, until it asks for none.
So it can be asked again from the beginning, of pictures in memory (:mod:`abe_rerank.drawing.strategies.pursuit`) or on
the disk (:mod:`abe_rerank.evaluation.plan`), and asks for the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from importlib import import_module
from typing import Any, ClassVar, Protocol

from abe_rerank.errors import UsageError
from abe_rerank.recipes import Recipe
from abe_rerank.types import Status


@dataclass(frozen=True)
class Tried:
    """What a strategy knows of a picture that was drawn: how, its score, and the probability of each pair."""

    recipe: Recipe
    value: float | None
    status: Status
    probabilities: tuple[float | None, ...] = ()


@dataclass(frozen=True)
class Step:
    """The pictures to draw next, all in the same steps; ``why`` says why none come after these, "" if some may."""

    recipes: tuple[Recipe, ...] = ()
    why: str = ""


class Strategy(Protocol):
    """Decides what is drawn. Its dataclass fields are its settings; ``n`` is the most pictures of full quality, and the
    most drafts."""

    n: int
    seed: int
    name: ClassVar[str]

    def next(self, tried: Sequence[Tried], seconds: float) -> Step:
        """What to draw after the pictures that were ``tried``, in their order, ``seconds`` after the beginning.

        Raises UsageError where scores cannot tell.
        """
        ...


def steps_of(strategy: Strategy, found: Mapping[int, Tried], seconds: float = 0.0) -> tuple[Step, ...]:
    """What a strategy asks for after the pictures that are there, each by its number in the order of asking from 0 on.

    Of the last step some pictures may be missing in ``found``; it is the end where it says why. Raises as the strategy
    does.
    """
    steps: list[Step] = []
    tried: list[Tried] = []
    while True:
        step = strategy.next(tried, seconds)
        steps.append(step)
        numbers = range(len(tried), len(tried) + len(step.recipes))
        tried += [found[number] for number in numbers if number in found]
        if step.why or any(number not in found for number in numbers):
            return tuple(steps)


def has_ended(strategy: Strategy, found: Mapping[int, Tried]) -> bool:
    """Whether all pictures are there that a strategy asks for; see :func:`steps_of`."""
    steps = steps_of(strategy, found)
    return bool(steps[-1].why) and len(found) == sum(len(step.recipes) for step in steps)


_HOMES: dict[str, str] = {}


def register(name: str, home: str) -> None:
    """Make the strategy class at ``home`` ("module:Class") known as ``name``. Raises ValueError if another is."""
    if _HOMES.setdefault(name, home) != home:
        raise ValueError(f"there is a strategy {name!r} already: {_HOMES[name]}")


register("best-of-n", "abe_rerank.drawing.strategies.best_of_n:BestOfN")
register("drafts", "abe_rerank.drawing.strategies.drafts:Drafts")
register("until-bound", "abe_rerank.drawing.strategies.until_bound:UntilBound")
register("search", "abe_rerank.drawing.strategies.noise_search:NoiseSearch")


def names() -> tuple[str, ...]:
    """The names of all strategies, the default one first."""
    return tuple(_HOMES)


def make_strategy(name: str, n: int, seed: int, **settings: Any) -> Strategy:
    """The strategy of a name for ``n`` pictures with seeds from ``seed`` on; settings that are None are left at their
    defaults.

    Raises UsageError for an unknown name or setting, and values that cannot be.
    """
    if name not in _HOMES:
        raise UsageError(f"unknown strategy {name!r}; choose from {', '.join(_HOMES)}")
    module, _, kind = _HOMES[name].partition(":")
    found = getattr(import_module(module), kind)
    known = [field.name for field in fields(found) if field.name not in ("n", "seed")]
    given = {key: value for key, value in settings.items() if value is not None}
    if unknown := [key for key in given if key not in known]:
        raise UsageError(f"the strategy {name} has no setting {unknown[0]}; it has {', '.join(known) or 'none'}")
    made: Strategy = found(n=n, seed=seed, **given)
    return made


def settings_of(strategy: Any) -> Mapping[str, object]:
    """The settings of a strategy by name, besides ``n`` and ``seed``."""
    return {f.name: getattr(strategy, f.name) for f in fields(strategy) if f.name not in ("n", "seed")}
