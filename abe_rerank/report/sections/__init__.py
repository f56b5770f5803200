"""The sections of the page of one prompt: one module of this package for each.

A new section is a new module with a function under the decorator :func:`section`.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, cached_property

from markupsafe import Markup

from abe_rerank.report.pages import fill
from abe_rerank.report.pictures import Frame, Overlay, frames_of, missing, overlays_of
from abe_rerank.report.sentences import called, sentence
from abe_rerank.runs.generated import CandidateRecord, Report


@dataclass(frozen=True)
class View:
    """A candidate as the page shows it; ``image`` is the source of its picture."""

    candidate: CandidateRecord
    image: str
    prompt: str

    @cached_property
    def groups(self) -> list[list[Overlay]]:
        """Its overlays, object by object."""
        return overlays_of(self.candidate)

    @property
    def overlays(self) -> list[Overlay]:
        """Its overlays in the order of their numbers."""
        return [overlay for group in self.groups for overlay in group]

    def frames(self, failed_only: bool) -> list[Frame]:
        """The frames of its objects."""
        return frames_of(self.candidate.score.pairs, failed_only=failed_only)

    @property
    def missing(self) -> list[str]:
        """The marks of its objects that were not found."""
        return missing(self.candidate.score.pairs)

    @property
    def failed(self) -> list[str]:
        """What is not in place, as sentences."""
        return list(dict.fromkeys(sentence(pair) for pair in self.candidate.score.pairs if pair.verdict != "bound"))

    @property
    def alt(self) -> str:
        """What stands for the picture where it cannot be seen."""
        return f"{self.prompt}, {called(self.candidate)}, rank {self.candidate.rank}"


@dataclass(frozen=True)
class Page:
    """What a section is made from: the report, its candidates as the page shows them, best first.

    ``linked``: the pictures are files beside the page; else they are inside it.
    """

    report: Report
    views: tuple[View, ...]
    linked: bool

    @property
    def shown(self) -> View:
        """The view that is large at first: the picked one, or the first if none was picked."""
        return self.views[(self.report.picked or 1) - 1]

    def fill(self, template: str, **names: object) -> Markup:
        """A template of this package with the page's own names and ``names``."""
        own = {"report": self.report, "views": self.views, "shown": self.shown, "linked": self.linked}
        return fill(template, own | names)


Section = Callable[[Page], Markup]
_registered: list[tuple[int, Section]] = []


def section(place: int) -> Callable[[Section], Section]:
    """Put what a function makes of a :class:`Page` on it, from the top in the order of ``place``.

    What is empty is left out; text that is no Markup is escaped.
    """

    def register(make: Section) -> Section:
        _registered.append((place, make))
        return make

    return register


def sections(page: Page) -> list[Markup]:
    """The HTML of all sections, from the top."""
    _import_all()
    found = [make(page) for _, make in sorted(_registered, key=lambda entry: entry[0])]
    return [html for html in found if html]


@cache
def _import_all() -> None:
    for module in pkgutil.iter_modules(__path__, f"{__name__}."):
        importlib.import_module(module.name)
