"""The scorers by name, and what a scorer is.

One is added by a file of its own and one line here; help, errors and tables follow. Nothing of a scorer is imported
before it is made, so that a help text costs nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any, Protocol

from abe_rerank.errors import UsageError
from abe_rerank.types import Score, Spec

if TYPE_CHECKING:
    import numpy as np
    from PIL.Image import Image
    from torch import Tensor

    from abe_rerank.backbones import Backbone, ImageFeatures


@dataclass(frozen=True)
class Entry:
    """A scorer: the class at ``home`` ("module:Class"), what a help text and the row of a table call it.

    The class takes a backbone and, where its ``settings_type`` is not None, settings of that type or None.
    """

    home: str
    about: str
    title: str


_ENTRIES: dict[str, Entry] = {}


def register(name: str, home: str, about: str, title: str) -> None:
    """Make a scorer known as ``name``. Raises ValueError if another has that name."""
    entry = Entry(home, about, title)
    if _ENTRIES.setdefault(name, entry) != entry:
        raise ValueError(f"there is a scorer {name!r} already: {_ENTRIES[name].home}")


register("abe", "abe_rerank.scoring.abe:AbeScorer", "attribute binding", "ABE")
register("clip", "abe_rerank.scoring.clip:ClipScorer", "global score", "CLIPScore (global cosine)")
register("filip", "abe_rerank.scoring.filip:FilipScorer", "best patches", "FILIP (max over patches)")


def names() -> tuple[str, ...]:
    """The names of all scorers, the default one first."""
    return tuple(_ENTRIES)


def title(name: str) -> str:
    """What a table calls a scorer."""
    return _ENTRIES[name].title


def choices() -> str:
    """All scorers in words: "abe (attribute binding), clip (global score) or ..."."""
    *first, last = [f"{name} ({entry.about})" for name, entry in _ENTRIES.items()]
    return f"{', '.join(first)} or {last}" if first else last


def make_scorer(name: str, backbone: Backbone, settings: Any = None) -> Scorer:
    """The scorer called ``name`` on ``backbone``; ``settings`` is the scorer's own settings object; None takes its
    defaults, for ``abe`` those measured for the backbone where ``abe.json`` lies beside it.

    Raises UsageError for an unknown name, or settings that are not the scorer's.
    """
    if name not in _ENTRIES:
        raise UsageError(f"unknown scorer {name!r}; choose from {', '.join(names())}")
    module, _, attribute = _ENTRIES[name].home.partition(":")
    kind: Any = getattr(import_module(module), attribute)
    if settings is not None and (kind.settings_type is None or not isinstance(settings, kind.settings_type)):
        raise UsageError(f"{type(settings).__name__} does not hold settings of the scorer {name!r}")
    made: Scorer = kind(backbone) if settings is None else kind(backbone, settings)
    return made


class Scorer(Protocol):
    """Scores images against what prompts ask for. A score never depends on the other images or prompts.

    A scorer says how one chunk is encoded, prepared and scored; :mod:`abe_rerank.scoring.stream` makes the chunks, and
    :class:`abe_rerank.scoring.stream.FeatureScorer` has the methods that follow from it.
    """

    @property
    def backbone(self) -> Backbone:
        """The CLIP-like model it reads with."""
        ...

    @property
    def name(self) -> str:
        """The name :func:`make_scorer` knows it by."""
        ...

    @property
    def stamp(self) -> str:
        """Version, settings and backbone with the hash of its weights: equal stamps give equal scores."""
        ...

    @property
    def patch_readout(self) -> str | None:
        """The readout of the backbone's patches that it reads; None is the backbone's default, or that it needs none.

        Scorers with the same one may share features.
        """
        ...

    def encode(self, images: Sequence[Image]) -> ImageFeatures:
        """What this scorer sees of ``images``: one vision forward each, whatever is asked of them later."""
        ...

    def explain_features(self, features: ImageFeatures, spec: Spec) -> list[Score]:
        """One score for each of the encoded images, with its terms, evidence and regions; the prompt is not empty."""
        ...

    def prepare(self, specs: Sequence[Spec]) -> Any:
        """What :meth:`score_features` needs of prompts, read once for any number of images."""
        ...

    def score_features(self, features: ImageFeatures, prepared: Any) -> Tensor:
        """The values alone of encoded images and prepared prompts, [images, prompts]."""
        ...

    def score(self, images: Sequence[Image], specs: Sequence[Spec]) -> np.ndarray:
        """Scores [images, prompts], float32; NaN where a prompt cannot be scored."""
        ...

    def explain(self, images: Sequence[Image], spec: Spec) -> list[Score]:
        """The same scores for one prompt with their terms, evidence and regions, one per image."""
        ...
