"""How the images were made: models, settings, times, commands, and what was read in the prompt."""

from __future__ import annotations

from markupsafe import Markup

from abe_rerank.report.sections import Page, section


@section(place=30)
def making(page: Page) -> Markup:
    """Facts, and the commands that do it again."""
    return page.fill("making.html.jinja")
