"""axe-core in a page: what of it cannot be used by keyboard, screen reader or weak eyes (WCAG 2.2, A and AA)."""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path

import pytest

RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]

RUN = """
const done = arguments[arguments.length - 1];
axe.run(document, {runOnly: arguments[0], resultTypes: ["violations"]}).then(
  (found) => done(found.violations.map((v) => `${v.id}: ${v.help}: ${v.nodes.map((n) => n.target.join(" ") + " "
    + n.failureSummary).slice(0, 5).join(" | ")}`)), (error) => done([String(error)]));
"""


def axe_source() -> Path | None:
    """axe.min.js: the file that ABE_RERANK_AXE names, or the one inside axe-playwright-python; None without either."""
    if named := os.environ.get("ABE_RERANK_AXE"):
        return Path(named)
    found = find_spec("axe_playwright_python")
    return None if found is None or found.origin is None else Path(found.origin).parent / "axe.min.js"


@pytest.fixture(scope="session")
def violations():
    """A function of a browser: what axe finds amiss in the page that it shows, one line for each rule."""
    source = axe_source()
    if source is None:
        pytest.skip("axe-core is not installed (axe-playwright-python, extra: test)")
    script = source.read_text(encoding="utf-8")

    def violations_of(browser) -> list[str]:
        browser.js(script)
        return browser.driver.execute_async_script(RUN, RULES)

    return violations_of
