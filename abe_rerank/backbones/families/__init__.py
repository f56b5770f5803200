"""Model families, one file each: a new one is a new file here whose reader is registered with ``@reads(...)``."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from torch import Tensor, nn

from abe_rerank.backbones.features import RegionPlan
from abe_rerank.errors import UsageError


class Reader(Protocol):
    """Reads one family of models. ``readouts`` lists the dense readouts of its images, the default one first; that of
    regions may have the shares that suit the family.

    ``pads_to_window``: the text encoder reads texts that are padded to its whole window. ``unread``: how the names of
    tensors begin that a checkpoint may hold beside the model.
    """

    readouts: tuple[str, ...]
    pads_to_window: bool
    unread: tuple[str, ...]

    def read_images(
        self, model: nn.Module, inputs: Mapping[str, Tensor], readouts: Sequence[str | RegionPlan]
    ) -> tuple[Tensor, list[Tensor]]:
        """(global [N, D], by each readout patches or windows [N, P, D]) in the shared space, of one forward that all
        readouts share, not normalised.

        A plan has one vector for each window of :func:`abe_rerank.backbones.features.lay_windows` on the image's grid;
        where the images have different grids, what stands behind an image's last window is padding.
        """
        ...

    def project_tokens(self, model: nn.Module, states: Tensor) -> Tensor:
        """Last text states [T, L, C] -> shared space [T, L, D], not normalised."""
        ...


_READERS: dict[str, Reader] = {}


def reads(*class_names: str) -> Callable[[type[Reader]], type[Reader]]:
    """Registers a reader for model classes of transformers, by their names: a release may lack some of them."""

    def register(reader: type[Reader]) -> type[Reader]:
        _READERS.update(dict.fromkeys(class_names, reader()))
        return reader

    return register


def supported() -> tuple[str, ...]:
    """The names of the model classes that can be read."""
    return tuple(_READERS)


def reader_of(model: Any, name: str) -> Reader:
    """The reader of a loaded model, ``name`` being what the user calls it. Raises UsageError where there is none."""
    for kind in type(model).__mro__:
        if kind.__name__ in _READERS:
            return _READERS[kind.__name__]
    raise UsageError(f"{name} is a {type(model).__name__}, which cannot be read here; supported: {', '.join(_READERS)}")


for _module in sorted(module.name for module in pkgutil.iter_modules(__path__)):
    importlib.import_module(f"{__name__}.{_module}")
