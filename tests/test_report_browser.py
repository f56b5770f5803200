"""report.html of one prompt in a real browser: overlays, gallery, keys, and nothing from anywhere else."""

from __future__ import annotations

import numpy as np
import pytest
from browser import ENTER, LEFT, RIGHT
from sample_reports import EVIL, ranking_of, run_folder_of

SHOWN = "return [...document.querySelectorAll('#stage .overlay')].filter(o => !o.hidden).map(o => o.dataset.overlay)"
ALPHA = """
const canvas = document.querySelector(`#stage .overlay[data-overlay="${arguments[0]}"] canvas`);
const pixels = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
return [canvas.height, canvas.width, [...pixels].filter((_, k) => k % 4 === 3)];
"""


CONTRAST = """
const linear = (v) => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
const luminance = (colour) => {
  const [r, g, b] = colour.match(/[\\d.]+/g).map((v) => linear(v / 255));
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
};
const ground = (element) => getComputedStyle(element).backgroundColor;
const element = document.querySelector(arguments[0]);
let behind = element;
while (["rgba(0, 0, 0, 0)", "transparent"].includes(ground(behind))) behind = behind.parentElement;
const [a, b] = [getComputedStyle(element).color, ground(behind)].map(luminance);
return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
"""
"""WCAG's contrast ratio of the text of an element, in sRGB."""


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run of four images, the last of them unscored: (folder, ranking)."""
    folder = tmp_path_factory.mktemp("run")
    ranking = ranking_of("a red cube", values=(0.5, 0.2, 0.1, None))
    run_folder_of(ranking, folder)
    return folder, ranking


@pytest.fixture
def page(browser, run):
    """The browser with that run's page open; afterwards the console must be empty."""
    browser.open(run[0] / "report.html")
    yield browser
    assert browser.console == []


def stage_image(page):
    return page.js("return document.querySelector('#stage img').src")


def test_the_page_shows_the_picked_image_and_asks_for_nothing(page, run):
    assert "picked" in page.text("#stage")
    assert "red is on the cube" in page.text("#stage")
    assert page.js("return document.querySelector('#stage img').naturalWidth") == 12
    fetched = [url for url in page.requests if not url.startswith("data:")]
    assert fetched == [(run[0] / "report.html").as_uri()]


def test_overlays_are_switched_by_mouse_and_lie_where_the_region_is(page, run):
    pair = run[1].best.score.pairs[0]
    assert page.js(SHOWN) == ["marks"]
    page.find("#stage .chip label.object")[0].click()
    assert page.js(SHOWN) == ["2"]
    rows, columns, alpha = page.js(ALPHA, "2")
    assert (rows, columns) == pair.region.weights.shape
    assert int(np.argmin(alpha)) == int(pair.region.weights.argmax())
    assert min(alpha) == 0
    assert "cube was read" in page.text("#stage figcaption")
    box = page.js(
        "const [f, c] = [...arguments].map(s => document.querySelector(s).getBoundingClientRect());"
        "const edges = [f.left - c.left, f.top - c.top, f.right - c.left, f.bottom - c.top];"
        "return edges.map((v, k) => v / (k % 2 ? c.height : c.width))",
        "#stage .overlay:not([hidden]) .frame",
        "#stage .canvas",
    )
    assert box == pytest.approx(pair.region.box, abs=0.01)
    page.find("h1 label.attribute")[0].click()
    assert page.js(SHOWN) == ["1"]
    assert int(np.argmin(page.js(ALPHA, "1")[2])) == int(pair.contrast.argmax())
    assert "red fits the patch better than blue" in page.text("#stage figcaption")


def test_overlays_are_switched_by_keys(page):
    page.press("2")
    assert page.js(SHOWN) == ["2"]
    page.press("0")
    assert page.js(SHOWN) == []
    page.press("v")
    assert page.js(SHOWN) == ["marks"]
    page.js("document.querySelector('#word-marks').focus()")
    page.press(RIGHT, RIGHT)
    assert page.js(SHOWN) == ["1"]
    assert page.js("return document.activeElement.id") == "word-1"


def test_the_gallery_opens_a_candidate_by_mouse_and_the_overlay_stays(page, run):
    page.press("2")
    page.find(".card[data-rank='2'] .open")[0].click()
    assert "not picked" in page.text("#stage")
    assert "blue sits on the cube, where red was asked" in page.text("#stage")
    assert page.js(SHOWN) == ["2"]
    weights = run[1].candidates[1].score.pairs[0].region.weights
    assert int(np.argmin(page.js(ALPHA, "2")[2])) == int(weights.argmax())
    assert stage_image(page) == page.js("return document.querySelector('.card[data-rank=\"2\"] img').src")
    assert [card.get_attribute("data-rank") for card in page.find(".card[data-open]")] == ["2"]
    page.find("#stage a[data-rank]")[0].click()
    assert "picked seed 0" in page.text("#stage")


def test_the_gallery_opens_a_candidate_by_keys(page):
    first = stage_image(page)
    page.press(RIGHT)
    assert "rank 2 of 4" in page.text("#stage")
    assert stage_image(page) != first
    page.press(RIGHT, RIGHT, RIGHT)
    assert "Not scored: painted over" in page.text("#stage")
    page.press("2", LEFT)
    assert page.js(SHOWN) == ["marks"]
    page.js("document.querySelector('.card[data-rank=\"2\"] .open').focus()")
    page.press(ENTER)
    assert "rank 2 of 4" in page.text("#stage")


def test_an_address_names_a_candidate(browser, run):
    browser.open(run[0] / "report.html")
    browser.js("location.hash = '#rank-3'; dispatchEvent(new HashChangeEvent('hashchange'))")
    assert "rank 3 of 4" in browser.text("#stage")


def test_the_losing_images_show_what_failed(page):
    cards = page.find(".card")
    assert "⇄ blue, not red" in cards[1].text
    assert "blue sits on the cube, where red was asked" in cards[1].text
    assert "painted over" in cards[3].text
    assert page.find(".card[data-rank='1'] .frame") == []


def test_the_command_is_copied(page):
    page.find("#stage button[data-copy]")[0].click()
    page.until("return ['copied', 'selected'].includes(document.querySelector('#stage button[data-copy]').textContent)")
    assert page.js("return getSelection().toString()") == "abe-rerank generate --n 1 --seed 0 'a red   cube'"


@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_fits_its_window_and_can_be_read(browser, run, width, scheme):
    browser.open(run[0] / "report.html", width, scheme)
    assert browser.js("return document.documentElement.scrollWidth") <= width
    for selector in (
        "h1",
        ".soft",
        ".verdict[data-verdict='bound']",
        ".verdict[data-verdict='swapped']",
        ".tag.picked",
    ):
        assert browser.js(CONTRAST, selector) >= 4.5, selector
    lightness = browser.js("return getComputedStyle(document.body).backgroundColor.match(/\\d+/g).map(Number)")
    assert (max(lightness) < 60) == (scheme == "dark")


def test_on_paper_there_are_no_buttons_and_it_is_light(browser, run):
    browser.open(run[0] / "report.html", scheme="dark", media="print")
    assert not any(button.is_displayed() for button in browser.find("button, .switch"))
    assert browser.js("return getComputedStyle(document.body).backgroundColor") == "rgba(0, 0, 0, 0)"
    assert browser.js("return getComputedStyle(document.body).color") == "rgb(27, 28, 31)"


@pytest.mark.parametrize("linked", [False, True])
def test_a_hostile_prompt_is_text_and_linked_pictures_come_from_the_folder(browser, tmp_path, linked):
    run_folder_of(ranking_of(EVIL), tmp_path / "run", linked=linked)
    browser.open(tmp_path / "run" / "report.html")
    assert browser.dialog is None
    assert '<script>alert(1)</script> & "x" </script><img src=x onerror=alert(2)> {{ 7 * 7 }}' in browser.text("h1")
    browser.press("1", RIGHT, "2")
    assert browser.dialog is None
    assert browser.js("return [...document.images].every(i => i.complete && i.naturalWidth === 12)")
    assert all(url.startswith(("data:", (tmp_path / "run").as_uri())) for url in browser.requests)
    assert browser.console == []
