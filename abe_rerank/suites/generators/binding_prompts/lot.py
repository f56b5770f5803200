"""Draws that stay the same for ever: the seed is a text, and only ``Random.random`` is used, whose stream is fixed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from random import Random
from typing import TypeVar

T = TypeVar("T")
_TRIES = 4


class Lot:
    """One stream of draws; what was drawn often by :meth:`rare` gets less likely, so that nothing is said too often."""

    def __init__(self, seed: str) -> None:
        self._random = Random(seed)
        self._drawn: Counter[str] = Counter()

    def below(self, chance: float) -> bool:
        """True with probability ``chance``."""
        return self._random.random() < chance

    def number(self, low: int, high: int) -> int:
        """A whole number from ``low`` to ``high``, both included."""
        return low + int(self._random.random() * (high - low + 1))

    def pick(self, values: Sequence[T]) -> T:
        """One of ``values``. Raises IndexError if there is none."""
        return values[int(self._random.random() * len(values))]

    def rare(self, values: Sequence[T]) -> T:
        """Of a few drawn values the one that was given least often; :meth:`note` counts."""
        return min((self.pick(values) for _ in range(_TRIES)), key=lambda value: self._drawn[str(value)])

    def rarest(self, values: Sequence[T]) -> T:
        """The one that was given least often, a drawn one of several."""
        return min(self.shuffled(values), key=lambda value: self._drawn[str(value)])

    def note(self, values: Sequence[object]) -> None:
        """Count what a finished prompt says."""
        self._drawn.update(str(value) for value in values)

    def shuffled(self, values: Sequence[T]) -> list[T]:
        """All of ``values`` in a drawn order."""
        keys = [self._random.random() for _ in values]
        return [values[k] for k in sorted(range(len(values)), key=keys.__getitem__)]
