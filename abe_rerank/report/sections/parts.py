"""What a score is made of, where its scorer says so: sub-images, questions, members of an ensemble."""

from __future__ import annotations

from markupsafe import Markup

from abe_rerank.report.sections import Page, section
from abe_rerank.runs.generated import Report
from abe_rerank.scoring.placing import in_words
from abe_rerank.types import ATOMS

TITLES = {
    "sub-image": "What each sub-image said",
    "question": "What the judge answered",
    "member": "What each scorer said",
    "relation": "How the objects stand to each other",
}


@section(place=15)
def parts(page: Page) -> Markup:
    """A table for the best candidate, and one for each other, folded, and what of the prompt is not read; nothing where
    a scorer names no parts and all is read."""
    told = [view.candidate for view in page.views if view.candidate.score.parts]
    relations, counts = unread(page.report)
    if not (told or relations or counts):
        return Markup()
    title = TITLES.get(told[0].score.parts[0].kind if told else "relation", "What was asked")
    return page.fill("score_parts.html.jinja", told=told, title=title, kinds=ATOMS, relations=relations, counts=counts)


def unread(report: Report) -> tuple[list[str], list[str]]:
    """The relations that the regions of objects do not answer and the counts, in the prompt's words.

    Nothing where no candidate has regions, as with a scorer that asks questions.
    """
    scores = [candidate.score for candidate in report.candidates]
    if not any(score.pairs for score in scores) or any(p.kind == "question" for s in scores for p in s.parts):
        return [], []
    read = {part.text for score in scores for part in score.parts}
    things = report.parse.objects
    relations = [in_words(things[r.subject].text, r.text, things[r.object].text) for r in report.parse.relations]
    counts = [f"{t.count.text} {t.text}" for t in things if t.count is not None and t.count.value > 1]
    return [text for text in relations if text not in read], [text for text in counts if text not in read]
