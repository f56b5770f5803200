"""What every page has: the pictures with what was found in them, and how they were made."""

from __future__ import annotations

from markupsafe import Markup

from abe_rerank.report.sections import Page, section


@section(place=10)
def candidates(page: Page) -> Markup:
    """One large with what was found in it, and all of them, best first.

    The lengths of bars are shares of the greatest value that any candidate has.
    """
    found = page.report.candidates
    pairs = [pair for candidate in found for pair in candidate.score.pairs]
    return page.fill(
        "candidates.html.jinja",
        best=max((c.score.value for c in found if c.score.value is not None), default=0.0),
        widest=max((abs(pair.margin) for pair in pairs), default=0.0) or 1.0,
        strongest=max((max(pair.evidence, pair.evidence - pair.margin) for pair in pairs), default=0.0) or 1.0,
        calibrated=all(pair.probability is not None for pair in pairs),
    )


@section(place=30)
def making(page: Page) -> Markup:
    """Models, settings, times, the commands that do it again, and what was read in the prompt."""
    return page.fill("making.html.jinja")
