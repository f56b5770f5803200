"""What picking gained: first, random and picked, and the expected best of k."""

from __future__ import annotations

from markupsafe import Markup

from abe_rerank.report.chart import chart_of
from abe_rerank.report.gain import gain_of
from abe_rerank.report.sections import Page, section


@section(place=20)
def picking(page: Page) -> Markup:
    """A table and a chart; nothing where there is nothing to choose from."""
    gain = gain_of(page.report.candidates)
    chart = None if gain is None else chart_of(gain)
    return Markup() if chart is None else page.fill("picking.html.jinja", gain=gain, chart=chart)
