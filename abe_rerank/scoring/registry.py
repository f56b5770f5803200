"""The scorers by name, and what a scorer is.

One is added by a file of its own and one line here; help, errors and tables follow. Another package offers one through
the entry point group ``abe_rerank.scorers`` (name = "module:Class"). Nothing of a scorer is imported before it is made,
so that a help text costs nothing.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Protocol

from abe_rerank.errors import UsageError
from abe_rerank.scoring import packages
from abe_rerank.types import Score, Spec

if TYPE_CHECKING:
    import numpy as np
    from PIL.Image import Image
    from torch import Tensor

    from abe_rerank.backbones import Backbone

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Entry:
    """A scorer: the class at ``home`` ("module:Class"), what a help text and the row of a table call it.

    The class takes a backbone and, where its ``settings_type`` is not None, settings of that type or None. ``takes`` is
    what stands behind a colon of its name ("vqa:MODEL"), which its class takes in place of settings; "" is nothing.
    ``package`` is whose it is, "" our own.
    """

    home: str
    about: str
    title: str
    takes: str = ""
    package: str = ""


_ENTRIES: dict[str, Entry] = {}


def register(name: str, home: str, about: str, title: str, takes: str = "") -> None:
    """Make a scorer known as ``name``. Raises ValueError if another has that name."""
    entry = Entry(home, about, title, takes)
    if _ENTRIES.setdefault(name, entry) != entry:
        raise ValueError(f"there is a scorer {name!r} already: {_ENTRIES[name].home}")


register("abe", "abe_rerank.scoring.abe:AbeScorer", "attribute binding", "ABE")
register("clip", "abe_rerank.scoring.clip:ClipScorer", "global score", "CLIPScore (global cosine)")
register("filip", "abe_rerank.scoring.filip:FilipScorer", "best patches", "FILIP (max over patches)")
register("comclip", "abe_rerank.scoring.comclip:ComClipScorer", "sub-images of objects and relations", "ComCLIP")
register("powerclip", "abe_rerank.scoring.powerclip:PowerClipScorer", "powerset alignment", "PowerCLIP (T2R + R2T)")
register("random", "abe_rerank.scoring.chance:RandomScorer", "by lot", "random")
register("vqa", "abe_rerank.scoring.vqa:VqaScorer", "answers of a question-answering model", "VQAScore", takes="MODEL")
register(
    "relations",
    "abe_rerank.scoring.counted_relations:RelationsScorer",
    "attribute binding with left, right, above and below in the score",
    "ABE with relations",
    takes="abe",
)
register(
    "ensemble",
    "abe_rerank.scoring.ensemble:EnsembleScorer",
    "mean rank of several, or weighted z-scores: ensemble:2*abe+1*clip",
    "ensemble",
    takes="abe+clip",
)


@cache
def _of_packages() -> dict[str, Entry]:
    """The scorers that installed packages offer. One whose name is taken is left out, and the log says so."""
    found: dict[str, Entry] = {}
    for name, home, package in packages.offered():
        if name in _ENTRIES or name in found:
            log.warning("the scorer %r of the package %s is left out: another has that name", name, package)
        else:
            found[name] = Entry(home, f"of {package}", name, package=package)
    return found


def entries() -> dict[str, Entry]:
    """All scorers by name, ours first, the default one at the head."""
    return _ENTRIES | _of_packages()


def names() -> tuple[str, ...]:
    """The names of the scorers that need nothing behind their names, the default one first."""
    return tuple(name for name, entry in entries().items() if not entry.takes)


def title(name: str) -> str:
    """What a table calls a scorer; one with something behind its name is called by both."""
    entry = entries().get(name)
    return name if entry is None else entry.title


def forms() -> tuple[str, ...]:
    """All scorers as they are asked for: the names alone, then those with what stands behind them ("vqa:MODEL")."""
    return (*names(), *(f"{name}:{entry.takes}" for name, entry in entries().items() if entry.takes))


def choices() -> str:
    """All scorers in words: "abe (attribute binding), clip (global score) or ..."."""
    known = entries()
    *first, last = [f"{form} ({known[form.partition(':')[0]].about})" for form in forms()]
    return f"{', '.join(first)} or {last}" if first else last


def takes(name: str) -> str:
    """What must stand behind a scorer's name; "" for nothing, and for an unknown name."""
    entry = entries().get(name.partition(":")[0])
    return "" if entry is None else entry.takes


def named(name: str) -> Entry:
    """The scorer that a name asks for. Raises UsageError for an unknown one, or what does not belong behind it."""
    plain, _, argument = name.partition(":")
    if plain not in entries():
        raise UsageError(f"unknown scorer {name[:80]!r}; choose from {', '.join(forms())}")
    entry = entries()[plain]
    if bool(entry.takes) != bool(argument):
        form = f"{plain}:{entry.takes}" if entry.takes else plain
        raise UsageError(f"the scorer {name!r} cannot be made: write it {form}")
    return entry


def make_scorer(name: str, backbone: Backbone, settings: Any = None) -> Scorer:
    """The scorer called ``name`` on ``backbone``; ``settings`` is the scorer's own settings object; None takes its
    defaults, for ``abe`` those measured for the backbone where ``abe.json`` lies beside it.

    Raises UsageError for an unknown name, what does not belong behind it, or settings that are not the scorer's;
    AbeRerankError for one of another package that cannot be imported or made.
    """
    entry = named(name)
    plain, colon, argument = name.partition(":")
    with packages.named_where_it_fails(plain, entry.package):
        kind = packages.class_at(entry.home)
        if settings is not None and (kind.settings_type is None or not isinstance(settings, kind.settings_type)):
            raise UsageError(f"{type(settings).__name__} does not hold settings of the scorer {name!r}")
        given = argument if colon else settings
        made: Scorer = kind(backbone) if given is None else kind(backbone, given)
    return made


class Scorer(Protocol):
    """Scores images against what prompts ask for. A score never depends on the other images or prompts, except where
    ``relative`` says so.

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

    @property
    def relative(self) -> bool:
        """Whether a score is one among the candidates of a prompt, and means nothing beside other ones."""
        ...

    @property
    def shares_features(self) -> bool:
        """Whether it scores what the backbone's ``encode_images`` gives for its ``patch_readout``."""
        ...

    def forget(self) -> None:
        """Forget what was kept of prompts: the next scores are the same to the bit as those of a new scorer."""
        ...

    def encode(self, images: Sequence[Image]) -> Any:
        """What this scorer sees of ``images``, whatever is asked of them later; it has a length, and ``take``."""
        ...

    def encode_to_explain(self, images: Sequence[Image]) -> Any:
        """The same with what :meth:`explain_features` needs beside it."""
        ...

    def explain_features(self, features: Any, spec: Spec) -> list[Score]:
        """One score for each of the encoded images, with its terms, evidence and regions; the prompt is not empty."""
        ...

    def prepare(self, specs: Sequence[Spec]) -> Any:
        """What :meth:`score_features` needs of prompts, read once for any number of images."""
        ...

    def score_features(self, features: Any, prepared: Any) -> Tensor:
        """The values alone of encoded images and prepared prompts, [images, prompts]."""
        ...

    def score(self, images: Sequence[Image], specs: Sequence[Spec]) -> np.ndarray:
        """Scores [images, prompts], float32; NaN where a prompt cannot be scored."""
        ...

    def explain(self, images: Sequence[Image], spec: Spec) -> list[Score]:
        """The same scores for one prompt with their terms, evidence and regions, one per image."""
        ...
