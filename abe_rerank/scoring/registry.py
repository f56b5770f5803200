"""The scorers by name. One is added by a file of its own and one line here; help, errors and tables follow.

Nothing of a scorer is imported before it is made, so that a help text costs nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

from abe_rerank.errors import UsageError

if TYPE_CHECKING:
    from abe_rerank.backbones import Backbone
    from abe_rerank.scoring.protocol import Scorer


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
