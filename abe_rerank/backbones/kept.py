"""What was read of texts, kept for those who ask again: so many bytes of it, however many texts that are."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from sys import getsizeof
from typing import Generic, TypeVar

MOST_BYTES = 64 * 2**20
"""What one store holds at most, in bytes: 47,000 short texts of a model of 160 dimensions."""

_OVERHEAD = 700
"""The bytes that a tensor and its text take beside their numbers and letters, measured."""

Value = TypeVar("Value")


class Kept(Generic[Value]):
    """What was read of each text; where it becomes more than ``most`` bytes, that goes which was asked for longest ago.

    ``weigh`` gives the bytes of the numbers of what was read; nothing else may hold on to them.
    """

    def __init__(self, weigh: Callable[[Value], int], most: int = MOST_BYTES) -> None:
        self.most, self._weigh = most, weigh
        self.forget()

    def forget(self) -> None:
        """Keep nothing."""
        self._there: dict[str, Value] = {}
        self.size = 0

    def of(self, texts: Iterable[str], read: Callable[[Sequence[str]], Iterable[Value]]) -> dict[str, Value]:
        """What is read of each distinct text, in the order in which they come; ``read`` gives what is not kept."""
        found = {text: self._there.get(text) for text in texts}
        missing = [text for text, value in found.items() if value is None]
        made = dict(zip(missing, read(missing), strict=True)) if missing else {}
        values = {text: made[text] if value is None else value for text, value in found.items()}
        for text, value in values.items():
            self._take_out(text)
            self._there[text] = value
            self.size += self._bytes(text, value)
        while self.size > self.most:
            self._take_out(next(iter(self._there)))
        return values

    def _take_out(self, text: str) -> None:
        value = self._there.pop(text, None)
        if value is not None:
            self.size -= self._bytes(text, value)

    def _bytes(self, text: str, value: Value) -> int:
        return self._weigh(value) + getsizeof(text) + _OVERHEAD
