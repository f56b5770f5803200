"""``report.html`` of one prompt: one self-contained page, made from a report and its images alone (no model)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from urllib.parse import quote

from PIL.Image import Image

from abe_rerank.report.chart import chart_of
from abe_rerank.report.gain import gain_of
from abe_rerank.report.overlays import Frame, Overlay, frames_of, missing, overlays_of
from abe_rerank.report.pages import render_page
from abe_rerank.report.pictures import data_uri
from abe_rerank.report.sentences import pieces, sentence
from abe_rerank.runs.generated import CandidateRecord, Report
from abe_rerank.types import Span

ASSETS = ("base.css", "report.css", "heat.js", "copy.js", "report.js")


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
        return f"{self.prompt}, seed {self.candidate.seed}, rank {self.candidate.rank}"


def render_html(report: Report, images: Sequence[Image], *, linked: bool = False) -> str:
    """The page; ``images`` are those of ``report.candidates``, in order. Raises ValueError if they do not match.

    With ``linked`` the page names the image files of the run folder in place of holding the images.
    """
    if not report.candidates or len(images) != len(report.candidates):
        raise ValueError(f"{len(report.candidates)} candidates, but {len(images)} images")
    views = [
        View(candidate, quote(candidate.image) if linked else data_uri(image), report.prompt)
        for candidate, image in zip(report.candidates, images, strict=True)
    ]
    shown = views[(report.picked or 1) - 1]
    pairs = [pair for candidate in report.candidates for pair in candidate.score.pairs]
    gain = gain_of(report.candidates)
    context = {
        "report": report,
        "pieces": pieces(report.prompt, report.parse),
        "words": _numbers(shown),
        "views": views,
        "shown": shown,
        "best": max((c.score.value for c in report.candidates if c.score.value is not None), default=0.0),
        "widest": max((abs(pair.margin) for pair in pairs), default=0.0) or 1.0,
        "strongest": max((max(pair.evidence, pair.evidence - pair.margin) for pair in pairs), default=0.0) or 1.0,
        "calibrated": all(pair.probability is not None for pair in pairs),
        "gain": gain,
        "chart": None if gain is None else chart_of(gain),
    }
    return render_page("report.html.jinja", ASSETS, context, linked=linked)


def _numbers(view: View) -> dict[Span, int]:
    """The number of the overlay of each marked stretch of the prompt."""
    return {overlay.span: overlay.number for overlay in view.overlays}
