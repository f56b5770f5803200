"""What was read of texts, kept for those who ask again: so many bytes of it, however many texts that are."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import Generic, TypeVar

from torch import Tensor

MOST_BYTES = 64 * 2**20
"""What one store holds at most, in bytes: 48,000 short texts of a model of 160 dimensions."""

_OVERHEAD = 700
"""The bytes that a tensor and its key take beside their numbers and texts, measured."""

Key = TypeVar("Key", bound=Hashable)


class Kept(Generic[Key]):
    """Tensors by their keys; where they become more than ``most`` bytes, those go that were asked for longest ago.

    ``key_bytes`` says how many bytes a key's texts take.
    """

    def __init__(self, key_bytes: Callable[[Key], int], most: int = MOST_BYTES) -> None:
        self._key_bytes, self.most = key_bytes, most
        self.forget()

    def forget(self) -> None:
        """Keep nothing."""
        self._there: dict[Key, Tensor] = {}
        self.size = 0

    def of(self, keys: Iterable[Key], read: Callable[[Sequence[Key]], Iterable[Tensor]]) -> dict[Key, Tensor]:
        """The tensor of each distinct key, in the order in which they come; ``read`` gives those that are not kept."""
        found = {key: self._there.get(key) for key in keys}
        missing = [key for key, tensor in found.items() if tensor is None]
        made = dict(zip(missing, read(missing), strict=True)) if missing else {}
        tensors = {key: made[key].clone() if tensor is None else tensor for key, tensor in found.items()}
        for key, tensor in tensors.items():
            self._take_out(key)
            self._there[key] = tensor
            self.size += self._bytes(key, tensor)
        while self.size > self.most:
            self._take_out(next(iter(self._there)))
        return tensors

    def _take_out(self, key: Key) -> None:
        tensor = self._there.pop(key, None)
        if tensor is not None:
            self.size -= self._bytes(key, tensor)

    def _bytes(self, key: Key, tensor: Tensor) -> int:
        return tensor.nbytes + self._key_bytes(key) + _OVERHEAD
