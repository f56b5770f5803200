"""The pages of evaluation runs: what they say, and how they behave in a real browser."""

from __future__ import annotations

import json
from html.parser import HTMLParser

import numpy as np
import pytest
from browser import LEFT, RIGHT
from evaluation_runs import Shape, bound, by_prompt, picked_of, results, said_by, write_run
from PIL import Image

from abe_rerank.evaluation.summary import load, summary_of
from abe_rerank.evaluation.summary_schema import RunSummary, Summary
from abe_rerank.evaluation.summary_tables import show_summary
from abe_rerank.report import run_data
from abe_rerank.report.run_page import Axis, comparison_page, run_page
from abe_rerank.report.sentences import difference_found, found, p_value

EVIL = '</script><script>alert(1)</script><img src=x onerror=alert(2)> & "x" \x1b[31m'
SHAPE = Shape(prompts=30, n=3, unscored=0.1)


class Data(HTMLParser):
    """The data inside a page, and the kinds of its elements."""

    def __init__(self, html):
        super().__init__()
        self.tags, self._in, self.text = [], False, ""
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self._in = dict(attrs).get("id") == "data"

    def handle_endtag(self, tag):
        self._in = False

    def handle_data(self, data):
        self.text += data if self._in else ""

    @property
    def data(self):
        return json.loads(self.text)


def run_of(folder, shape=SHAPE, change=None):
    """A synthetic run with images of 12 x 8 pixels; ``change`` is made to each result."""
    made = [change(result) if change else result for result in results(shape)]
    write_run(folder, shape, made)
    (folder / "images").mkdir(exist_ok=True)
    for result in made:
        if result.image is not None and shape.drawn:
            colour = (20 * result.index % 256, 80 * result.candidate, 0)
            Image.new("RGB", (12, 8), colour).save(folder / result.image)
    return folder, made


def data_in(page):
    return Data(page.read_text(encoding="utf-8")).data


def test_the_page_holds_every_image_with_what_was_found(tmp_path):
    folder, made = run_of(tmp_path / "run")
    prompts = data_in(run_page(folder))["prompts"]
    assert [prompt["id"] for prompt in prompts] == [images[0].prompt_id for images in by_prompt(made)]
    for prompt, images in zip(prompts, by_prompt(made), strict=True):
        (shown,) = prompt["images"]
        assert [image["src"] for image in shown] == [image.image for image in images]
        assert [image["value"] for image in shown] == [
            v if v is None else round(v, 3) for v in (i.value for i in images)
        ]
        assert [image["reason"] for image in shown] == [image.reason for image in images]
        assert [image["right"] for image in shown] == [image.oracle.right for image in images]
        for one, image in zip(shown, images, strict=True):
            assert [pair["verdict"] for pair in one["pairs"]] == [pair.verdict for pair in image.pairs]
            for pair, record in zip(one["pairs"], image.pairs, strict=True):
                thing = one["objects"][pair["object"]]
                assert (thing["name"], thing["levels"]) == (record.object, record.region.heat.levels)
                assert pair["claim"].startswith(pair["brief"]) or pair["verdict"] != "swapped"


def test_the_page_says_the_numbers_of_the_summary(tmp_path):
    folder, _ = run_of(tmp_path / "run")
    summary = summary_of(load(folder))
    html = run_page(folder).read_text(encoding="utf-8")
    for group in (summary.all, *summary.categories):
        for choices in (group.bound, group.oracle, group.judge, group.score):
            assert (
                f"{choices.first.mean:.3f} <small>[{choices.first.low:.3f}, {choices.first.high:.3f}]</small>" in html
            )
    assert found(summary) in html


def test_whether_the_backbone_was_tuned_stands_in_the_run_its_summary_and_its_page(tmp_path):
    folder, _ = run_of(tmp_path / "run")
    record = load(folder).run.record
    line = "the scorer abe was not tuned for this backbone"
    assert b'"tuning"' not in record.text()
    told = record.model_copy(update={"backbone": record.backbone.model_copy(update={"tuning": line})})
    (folder / "run.json").write_bytes(told.text())
    summary = summary_of(load(folder))
    assert summary.run.tuning == line
    assert line in show_summary(Summary(level=0.95, seed=0, runs=(summary,)), "text")
    assert f"<dt>tuning</dt><dd>{line}</dd>" in run_page(folder).read_text(encoding="utf-8")


def test_the_finding_is_said_of_attributes_or_else_of_scores(tmp_path):
    summary = summary_of(load(run_of(tmp_path / "run")[0]))
    all_ = summary.all
    share = f"{all_.bound.first.mean:.0%} of attributes are in place in the first image"
    assert found(summary) == f"{share}, {all_.bound.picked.mean:.0%} in the one picked of 3"
    fewer = RunSummary.model_validate(summary.model_dump() | {"all": all_.model_dump() | {"bound": None}})
    assert found(fewer).startswith(f"The first image scores {all_.score.first.mean:+.3f}")
    assert (p_value(0.0004), p_value(0.25)) == ("p < 0.001", "p = 0.250")


def test_large_runs_go_without_patch_maps_and_say_so(tmp_path, monkeypatch):
    monkeypatch.setattr(run_data, "MOST_MAPS", 10)
    folder, _ = run_of(tmp_path / "run")
    page = run_page(folder)
    assert "no patch maps" in page.read_text(encoding="utf-8")
    things = [t for p in data_in(page)["prompts"] for image in p["images"][0] for t in image["objects"]]
    assert things
    assert all(set(thing) == {"name", "box"} for thing in things)


def test_a_comparison_pairs_the_prompts_of_both_runs(tmp_path):
    a, _ = run_of(tmp_path / "a")
    b, _ = run_of(tmp_path / "b: <x>", Shape(prompts=30, n=3, seed=1, first=4))
    page = comparison_page(a, b)
    assert page == a / "against-b-x.html"
    data = data_in(page)
    assert [prompt["id"] for prompt in data["prompts"]] == [f"p{k}" for k in range(4, 30)]
    assert data["sides"] == ["A: a", "B: b: <x>"]
    sources = [image["src"] for image in data["prompts"][0]["images"][1]]
    assert sources[0].startswith("../b%3A%20%3Cx%3E/images/")


def test_runs_that_cannot_be_compared_by_scores_say_why(tmp_path):
    a, _ = run_of(tmp_path / "a")
    b, _ = run_of(tmp_path / "b", Shape(prompts=30, n=3, seed=1, scorer="other", judge=None))
    html = comparison_page(a, b).read_text(encoding="utf-8")
    assert "were scored by different scorers" in html
    assert "in right by the oracle, picked image" in html
    assert difference_found({}) == "These runs have no number in common"


def test_report_knows_which_kind_of_folder_it_is_given(tmp_path, capsys):
    a, _ = run_of(tmp_path / "a")
    b, _ = run_of(tmp_path / "b", Shape(prompts=30, n=3, seed=1))
    assert said_by(capsys, "report", a)[:2] == (0, f"{a / 'report.html'}\n")
    assert said_by(capsys, "report", a, "--against", b)[:2] == (0, f"{a / 'against-b.html'}\n")
    (tmp_path / "neither").mkdir()
    for words, said in (
        (["report", tmp_path / "neither"], "holds no run"),
        (["report", a, "--against", tmp_path / "neither"], "holds no run"),
        (["show", a], "abe-rerank summarize"),
    ):
        code, _, err = said_by(capsys, *words)
        assert code == 2
        assert said in err
    lines = (a / "results.jsonl").read_text(encoding="utf-8").splitlines()
    (a / "results.jsonl").write_text("\n".join([*lines[:4], lines[4].replace('"rows":12', '"rows":0'), *lines[5:]]))
    code, _, err = said_by(capsys, "report", a)
    assert code == 1
    assert "line 5" in err


def test_an_axis_holds_its_values_with_room():
    axis = Axis.around([0.2, 0.6])
    assert (axis.place(0.2), axis.place(0.6)) == pytest.approx((4.55, 95.45), abs=0.01)
    assert Axis.around([0.3]).place(0.3) == 50
    assert (Axis(0.0, 1.0).place(0.0), Axis(0.0, 1.0).place(1.0)) == (0, 100)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return run_of(tmp_path_factory.mktemp("evaluation") / "run")


@pytest.fixture
def page(browser, run):
    """The browser with the page of the run; afterwards the console must be empty."""
    browser.open(run_page(run[0]))
    yield browser
    assert browser.console == []


def choose(browser, name, value):
    browser.js(
        "const f = document.querySelector(`[name=${arguments[0]}]`); f.value = arguments[1];"
        "f.dispatchEvent(new Event('input', { bubbles: true }))",
        name,
        value,
    )


def titles(browser):
    return browser.js("return [...document.querySelectorAll('.prompt h3')].map(h => h.textContent)")


def test_pages_of_prompts_come_worst_first_and_nothing_is_asked_from_elsewhere(page, run):
    def worth(images):
        best = picked_of(images)
        return (-1, -1e9) if best is None else (bound(best) / max(len(best.pairs), 1), round(best.value, 3))

    worst = sorted(by_prompt(run[1]), key=worth)
    assert titles(page) == [images[0].prompt for images in worst[:12]]
    assert page.text("#count") == "1 to 12 of 30 prompts"
    page.find("[data-step='1']")[0].click()
    assert titles(page) == [images[0].prompt for images in worst[12:24]]
    choose(page, "order", "run")
    assert titles(page) == [f"prompt number {k}" for k in range(12)]
    fetched = [url for url in page.requests if not url.startswith("data:")]
    assert all(url.startswith(run[0].as_uri()) for url in fetched)


def test_filters_filter(page, run):
    choose(page, "category", "shape")
    shapes = [images for images in by_prompt(run[1]) if images[0].category == "shape"]
    assert page.text("#count") == f"1 to {len(shapes)} of {len(shapes)} prompts"
    choose(page, "verdict", "swapped")
    swapped = [images for images in shapes if any(p.verdict == "swapped" for p in picked_of(images).pairs)]
    assert 0 < len(swapped) < len(shapes)
    assert sorted(titles(page)) == sorted(images[0].prompt for images in swapped)
    page.find("[name=anywhere]")[0].click()
    anywhere = [images for images in shapes if any(p.verdict == "swapped" for image in images for p in image.pairs)]
    assert len(titles(page)) == len(anywhere) > len(swapped)
    choose(page, "verdict", "by the oracle")
    wrong = [images for images in shapes if any(image.oracle.right is False for image in images)]
    assert sorted(titles(page)) == sorted(images[0].prompt for images in wrong)
    choose(page, "words", "p1 NUMBER 1")
    assert all("number 1" in title for title in titles(page))
    choose(page, "words", "nothing like that")
    assert page.text("#count") == "no prompt is like that"


def test_an_image_opens_large_with_its_overlays_by_mouse_and_keyboard(page, run):
    images = next(images for images in by_prompt(run[1]) if all(len(image.pairs) == 2 for image in images))
    choose(page, "words", images[0].prompt_id)
    page.find(f".shot[data-id='{images[0].index}']")[0].click()
    assert page.js("return document.querySelector('dialog').open")
    assert page.text("#viewer-title") == images[0].prompt
    assert images[0].pairs[0].object in page.text("dialog ul")
    page.press("2")
    alpha = page.js(
        "const c = document.querySelector('dialog canvas');"
        "return [...c.getContext('2d').getImageData(0, 0, c.width, c.height).data].filter((_, k) => k % 4 === 3)"
    )
    assert int(np.argmin(alpha)) == int(images[0].pairs[1].region.heat.values.argmax())
    page.find("dialog label")[1].click()
    assert page.js("return document.querySelector('dialog .overlay').childElementCount") == 0
    page.js("document.activeElement.blur()")
    page.press(RIGHT)
    assert "2 of 3" in page.text("dialog .eyebrow")
    page.press(LEFT)
    assert "1 of 3" in page.text("dialog .eyebrow")
    page.find("[data-close]")[0].click()
    assert not page.js("return document.querySelector('dialog').open")


def test_the_number_of_the_table_can_be_chosen(page):
    page.find("input[name=table][value=oracle]")[0].find_element("xpath", "..").click()
    shown = page.js(
        "return [...document.querySelectorAll('[data-table]')].filter(t => !t.hidden).map(t => t.dataset.table)"
    )
    assert shown == ["oracle"]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_pages_fit_a_phone(browser, run, tmp_path, scheme):
    other, _ = run_of(tmp_path / "other", Shape(prompts=30, n=3, seed=1))
    for page in (run_page(run[0]), comparison_page(run[0], other)):
        browser.open(page, 390, scheme)
        assert browser.js("return document.documentElement.scrollWidth") <= 390
        assert browser.console == []


def test_hostile_prompts_are_text_in_the_page_and_its_data(browser, tmp_path):
    def change(result):
        pairs = tuple(pair.model_copy(update={"attribute": EVIL, "competitor": EVIL}) for pair in result.pairs)
        texts = {"prompt": f"{EVIL}{result.index}", "category": EVIL, "prompt_id": f"{EVIL}{result.index}"}
        return result.model_copy(update=texts | {"pairs": pairs})

    plain, _ = run_of(tmp_path / "plain")
    evil, _ = run_of(tmp_path / "evil", change=change)
    tags = [Data(run_page(folder).read_text(encoding="utf-8")).tags for folder in (plain, evil)]
    assert set(tags[0]) == set(tags[1])
    assert tags[1].count("script") == tags[0].count("script") == 2
    browser.open(evil / "report.html")
    assert browser.dialog is None
    assert titles(browser)[0].startswith(EVIL)
    browser.find(".shot")[0].click()
    assert browser.dialog is None
    assert browser.text("#viewer-title").startswith("</script><script>alert(1)</script><img")
    assert browser.console == []


def test_an_image_that_is_not_there_says_so(browser, tmp_path):
    folder, _ = run_of(tmp_path / "run", Shape(prompts=2, n=2, drawn=False))
    browser.open(run_page(folder))
    browser.until("return document.querySelectorAll('.none').length === 4")
    assert {shown.text for shown in browser.find(".none")} == {"the image file is not there"}
