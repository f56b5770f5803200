"""What a page shows, in the HTML of the reports: how a prompt is read, a run as far as it is, the runs there are."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

from markupsafe import Markup

from abe_rerank.errors import AbeRerankError
from abe_rerank.integrations.app.works import Work
from abe_rerank.report.pages import fill
from abe_rerank.report.sections import Page, View
from abe_rerank.report.sections.usual import candidates, picking
from abe_rerank.report.sentences import pieces
from abe_rerank.runs.generated import CandidateRecord, Report
from abe_rerank.runs.records import ParseRecord

Source = Callable[[CandidateRecord], str]
"""The address of a candidate's picture."""


def reading(prompt: str) -> Markup:
    """What is read in a prompt: its words underlined, and which are not bound, and why; nothing for an empty one."""
    from abe_rerank.reranker import as_spec

    if not prompt.strip():
        return Markup()
    try:
        parse = ParseRecord.of(as_spec(prompt))
    except AbeRerankError as error:
        return notice(str(error))
    names: dict[str, list[str]] = {}
    for word in parse.ignored:
        names.setdefault(word.reason, []).append(word.text)
    context = {"pieces": pieces(prompt, parse), "parse": parse, "ignored": names}
    return fill("app_reading.html.jinja", context)


def notice(text: str) -> Markup:
    """One line that says what went wrong."""
    return Markup('<p class="alarm" role="alert">{}</p>').format(text)


def run(report: Report, source: Source) -> Markup:
    """A run as far as it is: the prompt, one picture large, all pictures, what was found, what picking gained."""
    views = tuple(View(candidate, source(candidate), report.prompt) for candidate in report.candidates)
    page = Page(report, views, linked=True)
    words = {overlay.span: overlay.number for overlay in page.shown.overlays}
    context = {
        "report": report,
        "pieces": pieces(report.prompt, report.parse),
        "words": words,
        "candidates": candidates(page),
        "picking": picking(page),
    }
    return fill("app_run.html.jinja", context)


def status(work: Work) -> str:
    """How far a run is, in a line."""
    there, wanted = len(work.found), work.wanted
    what = "drawn and scored" if work.drawn else "scored"
    if work.state == "waiting":
        return "waiting for the run before it"
    if work.state == "loading":
        return "loading the models"
    if work.state == "stopping":
        return f"stopping after the picture at hand; {there} of {wanted} {what}"
    if work.state == "drawing" and work.order.strategy is not None:
        return f"{there} drawn and scored, by the strategy {work.order.strategy}"
    if work.state in ("drawing", "scoring"):
        return f"{there} of {wanted} {what}"
    return f"stopped: {there} of {wanted} {what}" if there < wanted else f"{there} {what}"


def source_of_work(work: Work) -> Source:
    """Where the pictures of a run that is being made are handed out."""
    return lambda candidate: f"abe/picture/{quote(work.key)}/{candidate.pixels_sha256}.png"


def source_of_run(folder: Path) -> Source:
    """Where the pictures of a run folder are handed out; the SHA-256 makes a changed picture another address."""
    return lambda c: f"abe/runs/{quote(folder.name)}/{quote(c.image)}?{c.pixels_sha256[:12]}"
