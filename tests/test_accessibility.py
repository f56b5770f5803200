"""The pages of generate and evaluate can be used by anybody: axe-core finds nothing amiss, light or dark."""

from __future__ import annotations

import pytest
from axe import violations  # noqa: F401  (a fixture)
from browser import ENTER, ESCAPE, RIGHT, TAB
from evaluation_runs import Shape, results, write_run
from PIL import Image
from sample_reports import ranking_of, run_folder_of

from abe_rerank.report.run_page import comparison_page, run_page

SHAPE = Shape(prompts=6, n=3, unscored=0.2, nothing=0.2)
FOCUSED = "return document.activeElement.outerHTML.slice(0, 200)"


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """The pages by name: one prompt with each verdict and no score, one evaluation, two side by side."""
    root = tmp_path_factory.mktemp("pages")
    run_folder_of(ranking_of("a red cube", (0.5, 0.2, 0.1, 0.05, None)), root / "one", linked=True)
    run_folder_of(ranking_of("a red cube", (None,)), root / "none")
    runs = [write_run(root / name, SHAPE, results(SHAPE)) for name in ("a", "b")]
    for folder in runs:
        for image in folder.glob("images/*.png"):
            Image.new("RGB", (12, 8), "grey").save(image)
    found = {"one": root / "one" / "report.html", "none": root / "none" / "report.html"}
    return found | {"run": run_page(runs[0]), "two runs": comparison_page(*runs)}


@pytest.mark.parametrize(("width", "scheme"), [(390, "light"), (1280, "dark")])
@pytest.mark.parametrize("name", ["one", "none", "run", "two runs"])
def test_nothing_is_amiss(browser, violations, pages, name, scheme, width):  # noqa: F811
    browser.open(pages[name], width, scheme)
    assert violations(browser) == []
    browser.js("document.querySelectorAll('details').forEach((details) => { details.open = true; })")
    assert violations(browser) == []
    if name in ("run", "two runs"):
        browser.find(".shot")[0].click()
        assert violations(browser) == []
    elif name == "one":
        for rank in (2, 3, 4, 5):
            browser.press(RIGHT)
            assert f"rank {rank} of 5" in browser.text("#stage")
            assert violations(browser) == []


def test_axe_finds_what_is_amiss(browser, violations, tmp_path):  # noqa: F811
    page = tmp_path / "page.html"
    page.write_text('<html lang="en"><title>a</title><main><h1>a</h1><p style="color:#999">grey</p><img src="data:,">')
    browser.open(page)
    assert {line.split(":")[0] for line in violations(browser)} == {"color-contrast", "image-alt"}


def test_an_evaluation_is_used_by_keys_alone(browser, pages):
    browser.open(pages["run"])
    for _ in range(40):
        browser.press(TAB)
        if 'class="shot' in browser.js(FOCUSED):
            break
    opened = browser.js("return document.activeElement.dataset.image")
    browser.press(ENTER)
    assert browser.js("return document.getElementById('viewer').open")
    assert browser.js("return document.getElementById('viewer').contains(document.activeElement)")
    browser.press(RIGHT, ESCAPE)
    assert not browser.js("return document.getElementById('viewer').open")
    assert browser.js("return document.activeElement.dataset.image") == opened


def test_keys_of_one_letter_can_be_switched_off(browser, pages):
    shown = "return [...document.querySelectorAll('#stage .overlay:not([hidden])')].map(o => o.dataset.overlay)"
    browser.open(pages["one"])
    browser.press("2")
    assert browser.js(shown) == ["2"]
    browser.find("#keys")[0].click()
    browser.press("1", "v", "0")
    assert browser.js(shown) == ["2"]
    browser.press(RIGHT)
    assert "rank 2 of 5" in browser.text("#stage")
