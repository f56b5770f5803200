"""The page of ``abe-rerank app`` in a real browser: typed, drawn, stopped, gone on with, looked at, in two tabs."""

from __future__ import annotations

import socket
import threading
from base64 import b64decode
from types import SimpleNamespace

import numpy as np
import pytest
from axe import violations  # noqa: F401  (a fixture)
from browser import RIGHT
from PIL import Image

from abe_rerank.integrations.app.desk import Desk
from abe_rerank.integrations.app.orders import Models
from abe_rerank.integrations.app.server import application
from abe_rerank.runs.generated import read_report

pytest.importorskip("gradio", reason="gradio is not installed (extra: app)")

PROMPT = "a red cube and a small blue sphere"
CARDS = "return document.querySelectorAll('#abe-run .card[data-rank]').length"
STATE = "return document.getElementById('abe-stage')?.dataset.state"
GRADIOS_OWN = '"Method not implemented."'
"""What Gradio's own script writes to the console whenever a file is uploaded."""
COUNTS = """
window.counts = [];
new MutationObserver(() => {
  const count = document.querySelectorAll("#abe-run .card[data-rank]").length;
  if (count !== window.counts.at(-1)) window.counts.push(count);
}).observe(document.getElementById("abe-run"), { childList: true, subtree: true });
"""


@pytest.fixture(scope="module")
def asked_of_others():
    """The addresses that this process has connected to, those of this machine left out."""
    found, connect = [], socket.socket.connect

    def noted(self, address):
        if isinstance(address, tuple) and not str(address[0]).startswith(("127.", "::1", "localhost")):
            found.append(address)
        return connect(self, address)

    socket.socket.connect = noted
    yield found
    socket.socket.connect = connect


@pytest.fixture(scope="module")
def served(tmp_path_factory, pipeline_folder, backbone_folder, asked_of_others):
    """A desk with tiny models, served: (desk, address)."""
    import uvicorn

    desk = Desk(
        tmp_path_factory.mktemp("app") / "runs", Models(str(pipeline_folder), str(backbone_folder), device="cpu")
    )
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        bound.listen()
        server = uvicorn.Server(uvicorn.Config(application(desk, None), log_level="error", timeout_graceful_shutdown=1))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [bound]}, daemon=True)
        thread.start()
        desk.open()
        yield desk, f"http://127.0.0.1:{bound.getsockname()[1]}/"
        server.should_exit = True
        thread.join(timeout=20)
        desk.close()


def open_at(browser, address, width=1280, scheme="light"):
    browser.open(SimpleNamespace(as_uri=lambda: address), width, scheme)
    browser.until("return document.getElementById('abe-status')?.textContent && document.querySelector('#abe-prompt')")


@pytest.fixture
def page(browser, served):
    """The browser with the page open; afterwards nothing was asked of anybody else, and the console is empty."""
    open_at(browser, served[1])
    yield browser
    strangers = [url for url in browser.requests if not url.startswith((served[1], "data:", "blob:"))]
    assert strangers == []
    assert [line for line in browser.console if not line.endswith(GRADIOS_OWN)] == []


def type_prompt(page, prompt=PROMPT):
    (field,) = page.find("#abe-prompt textarea")
    field.clear()
    field.send_keys(prompt)


def set_up(page, n, steps):
    """Say how many, and in how many steps: more steps take longer."""
    page.js("if (!document.querySelector('#abe-steps')) document.querySelector('#abe-settings button').click()")
    page.until("return document.querySelector('#abe-steps textarea, #abe-steps input')")
    for field, value in (("#abe-n input", n), ("#abe-steps :is(textarea, input)", steps)):
        (element,) = page.find(field)
        element.clear()
        element.send_keys(str(value))


def press_draw(page, n=3, steps=1, prompt=PROMPT):
    type_prompt(page, prompt)
    set_up(page, n, steps)
    before = page.js("return document.getElementById('abe-run').dataset.run ?? ''")
    page.find("#abe-draw")[0].click()
    page.until(f"return (document.getElementById('abe-run').dataset.run ?? '') !== '{before}'")


def finish(page):
    page.until(f"return ['done', 'stopped', 'failed'].includes((() => {{ {STATE} }})())")


def test_while_typing_the_page_says_what_is_read(page):
    type_prompt(page, "a red cube, no dog, photorealistic")
    page.until("return document.querySelector('#abe-reading .piece.object')?.textContent.startsWith('cube')")
    page.until("return document.querySelector('#abe-reading').textContent.includes('photorealistic')")
    assert "not wanted" in page.text("#abe-reading")
    assert "style" in page.text("#abe-reading dl")
    type_prompt(page, "a blue sphere")
    page.until("return document.querySelector('#abe-reading .piece.attribute')?.textContent.startsWith('blue')")


@pytest.mark.slow
def test_candidates_come_one_by_one_and_the_best_stays_chosen(page, served):
    page.js(COUNTS)
    press_draw(page, n=6, steps=25)
    finish(page)
    counts = page.js("return window.counts").copy()
    assert counts[-1] == 6
    assert counts == sorted(counts)
    assert 0 < next(count for count in counts if count) < 6
    report = read_report(served[0].root / page.js("return document.getElementById('abe-run').dataset.run"))
    assert page.js("return document.getElementById('stage').dataset.rank") == "1"
    assert f"seed {report.candidates[0].seed}" in page.text("#stage")
    titles = [title.text.split("\n")[0] for title in page.find("#abe-run .card h3")]
    assert [t.split(" ")[2] for t in titles] == [str(c.seed) for c in report.candidates]
    assert page.text("#abe-command") == report.commands.run
    assert page.text("#abe-show").startswith("abe-rerank show ")
    assert page.js("return [...document.images].every((image) => !image.src || image.naturalWidth > 0)")


def test_a_word_shows_its_heat_map_and_two_pictures_stand_side_by_side(page, served):
    press_draw(page)
    finish(page)
    report = read_report(served[0].root / page.js("return document.getElementById('abe-run').dataset.run"))
    page.find("#abe-run .asked label.object")[0].click()
    levels = _levels(page, "#stage")
    heat = report.candidates[0].score.pairs[0].region.heat
    assert levels.shape == (heat.rows, heat.columns)
    assert np.argmax(levels) == np.argmax(heat.values)
    page.find(".card[data-rank='3'] .beside")[0].click()
    assert [stage.get_attribute("data-rank") for stage in page.find("#abe-run .stage")] == ["1", "3"]
    second = np.frombuffer(b64decode(report.candidates[2].score.pairs[0].region.heat.levels), np.uint8)
    assert np.argmax(_levels(page, ".stage.second")) == np.argmax(second)
    left, right = (stage.rect for stage in page.find("#abe-run .stage"))
    assert left["y"] == right["y"]
    assert left["x"] + left["width"] <= right["x"]
    page.find(".card[data-rank='3'] .beside")[0].click()
    page.find(".card[data-rank='2'] .open")[0].click()
    assert page.js("return document.getElementById('stage').dataset.rank") == "2"
    page.press(RIGHT)
    assert page.js("return document.getElementById('stage').dataset.rank") == "3"


def _levels(page, stage):
    """How clear each patch is left by the heat map that is shown, [rows, columns]."""
    rows, columns, alpha = page.js(
        "const canvas = document.querySelector(arguments[0] + ' .overlay:not([hidden]) canvas');"
        "const pixels = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;"
        "return [canvas.height, canvas.width, [...pixels].filter((_, k) => k % 4 === 3)]",
        stage,
    )
    return 255 - np.array(alpha).reshape(rows, columns)


@pytest.mark.slow
def test_what_stands_in_the_fields_stands_in_the_command(page, served):
    set_up(page, 3, 2)
    page.js("document.querySelector('#abe-strategy input').dispatchEvent(new Event('focus'))")
    assert not page.find("#abe-drafts-keep")
    page.find("#abe-strategy input")[0].click()
    page.until("return document.querySelectorAll('[role=option]').length > 2")
    page.js("document.querySelectorAll('[role=option]')[1].dispatchEvent(new MouseEvent('mousedown', {bubbles: true}))")
    page.until("return document.querySelector('#abe-drafts-keep :is(textarea, input)')")
    for name, text in {
        "abe-drafts-draft_steps": "1",
        "abe-drafts-keep": "1",
        "abe-scheduler": "EulerDiscreteScheduler",
        "abe-negative": "a star",
        "abe-set": "guidance_rescale=0.1",
    }.items():
        (element,) = page.find(f"#{name} :is(textarea, input)")
        element.send_keys(text)
    (element,) = page.find("#abe-batch input")
    element.clear()
    element.send_keys("2")
    press_draw(page, 3, 2)
    finish(page)
    command = page.text("#abe-command")
    for part in (
        "--n 3 --seed 0 --batch-size 2 --steps 2",
        "--negative-prompt 'a star'",
        "--draft-steps 1 --keep 1",
        "--set guidance_rescale=0.1",
        "--scheduler EulerDiscreteScheduler",
    ):
        assert part in command


@pytest.mark.slow
def test_a_run_is_stopped_and_gone_on_with(page, served):
    press_draw(page, n=6, steps=30)
    page.until(f"return (() => {{ {CARDS} }})() >= 1")
    page.find("#abe-stop")[0].click()
    finish(page)
    run = page.js("return document.getElementById('abe-run').dataset.run")
    there = page.js(CARDS)
    assert 1 <= there < 6
    assert len(read_report(served[0].root / run).candidates) == there
    assert f"stopped: {there} of 6" in page.text("#abe-status")
    page.find("#abe-go-on")[0].click()
    page.until(f"return (() => {{ {STATE} }})() === 'done'")
    assert page.js(CARDS) == 6
    assert sorted(c.seed for c in read_report(served[0].root / run).candidates) == [0, 1, 2, 3, 4, 5]


@pytest.mark.slow
def test_dropped_pictures_are_scored_and_past_runs_open_again(page, served, tmp_path):
    press_draw(page, n=2)
    finish(page)
    drawn = page.js("return document.getElementById('abe-run').dataset.run")
    type_prompt(page)
    for name, colour in (("cat.png", "red"), ("dog.png", "blue")):
        Image.new("RGB", (24, 16), colour).save(tmp_path / name)
    (dropzone,) = page.find("#abe-drop input[type=file]")
    dropzone.send_keys(f"{tmp_path / 'cat.png'}\n{tmp_path / 'dog.png'}")
    page.until(f"return document.getElementById('abe-run').dataset.run !== '{drawn}'")
    finish(page)
    page.until(f"return (() => {{ {CARDS} }})() === 2")
    names = [title.text for title in page.find("#abe-run .card h3")]
    assert {name for name in ("cat", "dog") if any(name in title for title in names)} == {"cat", "dog"}
    assert not page.find("#abe-more")[0].is_displayed()
    page.until(f"return document.querySelector('#abe-runs [data-run=\"{drawn}\"]')")
    page.find(f"#abe-runs [data-run='{drawn}']")[0].click()
    page.until(f"return document.getElementById('abe-run').dataset.run === '{drawn}'")
    assert page.find("#abe-page")[0].get_attribute("href").endswith(f"abe/runs/{drawn}/report.html")
    page.until(f"return (() => {{ {CARDS} }})() === 2")
    page.find("#abe-more")[0].click()
    page.until(f"return (() => {{ {CARDS} }})() === 6 && (() => {{ {STATE} }})() === 'done'")


def test_what_goes_wrong_is_a_line_on_the_page(page):
    type_prompt(page, " ")
    page.find("#abe-draw")[0].click()
    page.until("return document.querySelector('#abe-told [role=alert]')")
    assert "the prompt is empty" in page.text("#abe-told")
    set_up(page, 2, "many")
    type_prompt(page)
    page.find("#abe-draw")[0].click()
    page.until("return document.querySelector('#abe-told').textContent.includes('no whole number')")
    set_up(page, 2, 1)
    (model,) = page.find("#abe-model :is(textarea, input)")
    model.send_keys("/nowhere")
    page.find("#abe-draw")[0].click()
    page.until("return !document.getElementById('abe-error').hidden")
    assert page.text("#abe-error").startswith("no text-to-image model at /nowhere; ")


@pytest.mark.slow
def test_a_second_tab_sees_the_same_work(page, served):
    driver, first = page.driver, page.driver.current_window_handle
    press_draw(page, n=4, steps=30)
    driver.switch_to.new_window("tab")
    try:
        driver.get(served[1])
        page.until(f"return (() => {{ {CARDS} }})() >= 1")
        finish(page)
        assert page.js(CARDS) == 4
        run = page.js("return document.getElementById('abe-run').dataset.run")
    finally:
        driver.close()
        driver.switch_to.window(first)
    finish(page)
    assert page.js("return document.getElementById('abe-run').dataset.run") == run
    assert page.js(CARDS) == 4


@pytest.mark.slow
@pytest.mark.parametrize(("width", "scheme"), [(390, "light"), (1280, "dark")])
def test_the_page_fits_and_can_be_used_by_anybody(browser, violations, served, width, scheme):  # noqa: F811
    open_at(browser, served[1], width, scheme)
    type_prompt(browser, "a red cube, no dog")
    browser.until("return document.querySelector('#abe-reading .piece')")
    assert browser.js("return document.documentElement.scrollWidth") <= width
    lightness = browser.js("return getComputedStyle(document.querySelector('gradio-app')).backgroundColor")
    assert (int(lightness.strip("rgb() ").split(",")[0]) < 60) == (scheme == "dark")
    assert violations(browser) == []
    press_draw(browser, n=2)
    finish(browser)
    browser.until("return document.getAnimations().every((animation) => animation.playState !== 'running')")
    assert violations(browser) == []


def test_nothing_was_asked_of_another_machine(page, asked_of_others):
    assert asked_of_others == []
