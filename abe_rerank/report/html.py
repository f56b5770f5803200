"""``report.html`` of one prompt: one self-contained page, made from a report and its images alone (no model)."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import quote

from PIL.Image import Image

from abe_rerank.report.pages import render_page
from abe_rerank.report.pictures import data_uri
from abe_rerank.report.sections import Page, View, sections
from abe_rerank.report.sentences import pieces
from abe_rerank.runs.generated import Report

ASSETS = ("base.css", "report.css", "heat.js", "copy.js", "report.js")


def render_html(report: Report, images: Sequence[Image], *, linked: bool = False) -> str:
    """The page; ``images`` are those of ``report.candidates``, in order. Raises ValueError if they do not match.

    With ``linked`` the page names the image files of the run folder in place of holding the images.
    """
    if not report.candidates or len(images) != len(report.candidates):
        raise ValueError(f"{len(report.candidates)} candidates, but {len(images)} images")
    views = tuple(
        View(candidate, quote(candidate.image) if linked else data_uri(image), report.prompt)
        for candidate, image in zip(report.candidates, images, strict=True)
    )
    page = Page(report, views, linked)
    context = {
        "report": report,
        "pieces": pieces(report.prompt, report.parse),
        "words": {overlay.span: overlay.number for overlay in page.shown.overlays},
        "sections": sections(page),
    }
    return render_page("report.html.jinja", ASSETS, context, linked=linked)
