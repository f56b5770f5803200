"""report.json and report.html against the ranking they were made from."""

from __future__ import annotations

import base64
import hashlib
import io
import json
from datetime import UTC, datetime
from html.parser import HTMLParser
from importlib.resources import files

import jsonschema
import numpy as np
import pytest
from PIL import Image
from pydantic import ValidationError

from abe_rerank.report.build import RunFacts, build_report, to_json
from abe_rerank.report.html import render_html
from abe_rerank.report.pictures import heatmap
from abe_rerank.report.schema import Commands, ModelRecord, PairRecord, ParseRecord, RegionRecord, Report
from abe_rerank.report.words import pieces, sentence, status_line
from abe_rerank.types import (
    Attribute,
    Candidate,
    ObjectPhrase,
    PairScore,
    Ranking,
    Region,
    Score,
    Spec,
)

SCHEMA_COMMAND = """write it again: python -c 'import json; from abe_rerank.report.schema import Report
print(json.dumps(Report.model_json_schema(), indent=1))' > abe_rerank/report/report.schema.json"""
EVIL = '<script>alert(1)</script> & "x" a red cube'


class Page(HTMLParser):
    """What a browser would see: tags, their attributes, and text."""

    def __init__(self, html):
        super().__init__()
        self.tags, self.text = [], []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.text.append(data)


def ranking_of(prompt, values=(0.5, 0.2, None)):
    start = prompt.index("red")
    red = Attribute("red", (start, start + 3), "colour")
    cube = ObjectPhrase("cube", (start + 4, start + 8), (start, start + 8), (red,))
    spec = Spec(prompt, (cube,))
    rng = np.random.default_rng(0)
    candidates = []
    for k, value in enumerate(values):
        weights = rng.random((4, 6))
        region = Region(weights / weights.sum(), (0.25, 0.5, 0.75, 1.0))
        contrast = rng.normal(0, 0.1, (4, 6))
        margin = float((region.weights * contrast).sum())
        verdict = ("bound", "swapped", "weak")[k]
        pair = PairScore(red, cube, 0.3, "blue", margin, region, verdict, 0.9, 0.04, contrast)
        image = Image.fromarray(rng.integers(0, 256, (8, 12, 3), dtype=np.uint8))
        if value is None:
            candidates.append(Candidate(image, Score(None, "unscored", "abe 1", reason="painted over"), seed=k))
        else:
            candidates.append(Candidate(image, Score(value, "scored", "abe 1", 0.2, 0.1, 0.1, (pair,)), seed=k))
    return Ranking(prompt, spec, tuple(candidates), {"n": len(values), "seed": 0, "scorer": "abe 1"})


def report_of(ranking):
    model = ModelRecord(name="built-in", kind="StableDiffusionPipeline", weights="0123456789abcdef")
    facts = RunFacts(
        text_to_image=model,
        backbone=model,
        commands=Commands(
            run="abe-rerank generate x", redraw="abe-rerank generate --n 1 --seed 0 x", rescore="abe-rerank score x"
        ),
        created=datetime(2026, 1, 2, tzinfo=UTC),
        seconds={"loading": 1.0},
        warnings=("no token for moon",),
    )
    return build_report(ranking, facts)


def page_of(ranking):
    return render_html(report_of(ranking), [c.image for c in ranking.candidates])


def test_report_json_holds_the_ranking_and_reads_back_equal():
    ranking = ranking_of("a red cube")
    text = to_json(report_of(ranking))
    record = json.loads(text)
    assert Report.model_validate_json(text) == report_of(ranking)
    assert record["schema_version"] == 1
    assert record["picked"] == 1
    assert record["parse"]["pairs"] == [["red", "cube"]]
    assert [c["seed"] for c in record["candidates"]] == [0, 1, 2]
    assert [c["score"]["value"] for c in record["candidates"]] == [0.5, 0.2, None]
    assert record["candidates"][2]["score"]["reason"] == "painted over"
    pair = record["candidates"][0]["score"]["pairs"][0]
    np.testing.assert_allclose(pair["region"]["weights"], ranking.best.score.pairs[0].region.weights, atol=1e-6)
    np.testing.assert_allclose(
        np.sum(np.multiply(pair["region"]["weights"], pair["contrast"])), pair["margin"], atol=1e-4
    )
    assert pair["competitor_probability"] == 0.04
    first = record["candidates"][0]
    assert (first["width"], first["height"]) == (12, 8)
    assert first["pixels_sha256"] == hashlib.sha256(np.asarray(ranking.best.image).tobytes()).hexdigest()
    assert record["scorer"] == "abe 1"
    assert record["settings"] == {"n": 3, "seed": 0}
    assert record["versions"]["torch"]


def test_rows_of_numbers_are_lines_and_prompts_stay_as_they_are():
    evil = "a red cube [\n1,\n2\n] [ 1, 2 ]"
    text = to_json(report_of(ranking_of(evil)))
    assert json.loads(text)["prompt"] == evil
    assert json.loads(text)["parse"]["objects"][0]["span"] == [6, 10]
    assert '"span": [ 6, 10 ]' in text


def test_the_schema_file_is_that_of_the_records_and_holds_for_reports():
    schema = json.loads((files("abe_rerank.report") / "report.schema.json").read_text(encoding="utf-8"))
    assert schema == Report.model_json_schema(), SCHEMA_COMMAND
    validator = jsonschema.Draft202012Validator(schema)
    validator.check_schema(schema)
    record = json.loads(to_json(report_of(ranking_of(EVIL))))
    validator.validate(record)
    for change in ({"prompt": 1}, {"unknown": 1}, {"candidates": [{}]}):
        assert list(validator.iter_errors(record | change))


def test_reports_with_missing_or_unknown_fields_are_refused():
    record = json.loads(report_of(ranking_of("a red cube")).model_dump_json())
    for change in ({"schema_version": 2}, {"unknown": 1}, {"prompt": None}):
        with pytest.raises(ValidationError):
            Report.model_validate_json(json.dumps(record | change))


def test_nothing_is_picked_where_nothing_could_be_scored():
    ranking = ranking_of("a red cube", values=(None, None))
    assert report_of(ranking).picked is None
    assert "No image could be scored" in page_of(ranking)


def test_settings_that_json_cannot_hold_are_written_as_text():
    ranking = ranking_of("a red cube")
    ranking.settings["latents"] = np.zeros(2)
    ranking.settings["guidance_scale"] = float("nan")
    settings = report_of(ranking).settings
    assert settings["latents"] == "array([0., 0.])"
    assert settings["guidance_scale"] == "nan"


def test_a_prompt_is_text_everywhere_in_the_page():
    html = page_of(ranking_of(EVIL))
    page = Page(html)
    assert "script" not in {tag for tag, _ in page.tags}
    assert "<script>alert(1)</script>" in "".join(page.text)
    assert EVIL in {attrs.get("alt", "").partition(", seed")[0] for tag, attrs in page.tags if tag == "img"}


def test_the_page_needs_no_network_and_embeds_every_picture():
    ranking = ranking_of("a red cube")
    page = Page(page_of(ranking))
    links = [attrs[name] for _, attrs in page.tags for name in ("src", "href") if name in attrs]
    assert links
    assert all(link.startswith("data:") for link in links)
    pictures = [
        np.asarray(Image.open(io.BytesIO(base64.b64decode(link.partition(",")[2]))).convert("RGB"))
        for link in links
        if link.startswith("data:image/png")
    ]
    for candidate in ranking.candidates:
        assert any(p.shape == (8, 12, 3) and np.array_equal(p, candidate.image) for p in pictures)


def test_the_page_says_which_was_picked_and_why_and_how_to_draw_it_again():
    text = " ".join("".join(Page(page_of(ranking_of("a red cube"))).text).split())
    assert "Picked: seed 0 of 3 images, score +0.500" in text
    assert "red is on the cube" in text
    assert "blue sits on the cube, where red was asked" in text
    assert "not scored: painted over" in text
    assert "no token for moon" in text
    assert "abe-rerank generate --n 1 --seed 0 x" in text


def test_every_overlay_has_a_labelled_switch_of_its_own():
    page = Page(page_of(ranking_of("a red cube")))
    switches = [attrs["id"] for tag, attrs in page.tags if tag == "input"]
    labels = [attrs["for"] for tag, attrs in page.tags if tag == "label"]
    assert len(switches) == len(set(switches)) == 2 * 3  # the pick, and two candidates with a pair each
    assert switches == labels


def test_the_pieces_of_a_prompt_join_to_the_prompt_and_mark_its_objects():
    prompt = "a red cube and a blue star that is small"
    spec = Spec(
        prompt,
        (
            ObjectPhrase("cube", (6, 10), (0, 10), (Attribute("red", (2, 5), "colour"),)),
            ObjectPhrase(
                "star",
                (22, 26),
                (15, 26),
                (Attribute("blue", (17, 21), "colour"), Attribute("small", (35, 40), "size")),
            ),
        ),
    )
    from abe_rerank.report.build import parse_record

    found = pieces(prompt, parse_record(spec))
    assert "".join(piece.text for piece in found) == prompt
    assert [(p.text, p.object, p.role) for p in found if p.object] == [
        ("red", 1, "attribute"),
        ("cube", 1, "object"),
        ("blue", 2, "attribute"),
        ("star", 2, "object"),
        ("small", 2, "attribute"),
    ]
    empty = ParseRecord(objects=(), relations=(), ignored=(), pairs=(), nothing_to_bind=True)
    assert [p.text for p in pieces("x y", empty)] == ["x y"]


def test_heat_is_strongest_where_the_weight_is_largest():
    weights = np.array([[0.0, 0.1], [0.5, 0.4]])
    alpha = np.asarray(heatmap(weights.tolist()))[..., 3]
    assert np.array_equal(np.argsort(alpha.ravel()), np.argsort(weights.ravel()))
    assert alpha[0, 0] == 0
    assert np.asarray(heatmap([[0.0, 0.0]]))[..., 3].max() == 0


@pytest.mark.parametrize(
    ("verdict", "words"),
    [
        ("bound", "red is on the cube"),
        ("swapped", "blue sits on the cube"),
        ("weak", "uncertain"),
        ("not found", "no cube was found"),
    ],
)
def test_verdicts_are_said_in_words(verdict, words):
    pair = PairRecord(
        attribute="red",
        attribute_span=(0, 3),
        object="cube",
        object_span=(4, 8),
        evidence=0.1,
        competitor="blue",
        margin=0.1,
        verdict=verdict,
        probability=None,
        competitor_probability=None,
        region=RegionRecord(weights=((1.0,),), box=(0, 0, 1, 1)),
        contrast=None,
    )
    assert words in sentence(pair)


def test_what_a_score_stands_on_is_said():
    from abe_rerank.report.build import score_record

    scored, swapped, blank = (score_record(c.score) for c in ranking_of("a red cube").candidates)
    assert status_line(scored) == "1 of 1 attributes are where they belong"
    assert status_line(swapped) == "0 of 1 attributes are where they belong"
    assert status_line(blank) == "not scored: painted over"
    assert "nothing to bind" in status_line(score_record(Score(0.1, "nothing to bind", "abe 1", 0.1)))
