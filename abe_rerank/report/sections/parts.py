"""What a score is made of, where its scorer says so: sub-images, questions, members of an ensemble."""

from __future__ import annotations

from markupsafe import Markup

from abe_rerank.report.sections import Page, section

TITLES = {
    "sub-image": "What each sub-image said",
    "question": "What the judge answered",
    "member": "What each scorer said",
    "relation": "How the objects stand to each other",
}


@section(place=15)
def parts(page: Page) -> Markup:
    """A table for the best candidate, and one for each other, folded; nothing where a scorer names no parts."""
    told = [view.candidate for view in page.views if view.candidate.score.parts]
    if not told:
        return Markup()
    title = TITLES.get(told[0].score.parts[0].kind, "What was asked")
    return page.fill("score_parts.html.jinja", told=told, title=title)
