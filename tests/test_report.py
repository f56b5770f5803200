"""report.json and report.html against the ranking they were made from."""

from __future__ import annotations

import base64
import hashlib
import io
import json
from dataclasses import replace
from html.parser import HTMLParser
from importlib.resources import files

import jsonschema
import numpy as np
import pytest
from PIL import Image
from pydantic import ValidationError
from sample_reports import EVIL, ranking_of, report_of

from abe_rerank.report.sentences import brief, claim, headline, mark, pieces, sentence, status_line, why
from abe_rerank.report.views import render_html
from abe_rerank.runs.generated import Report, to_json
from abe_rerank.runs.records import HeatRecord, PairRecord, ParseRecord, RegionRecord, ScoreRecord
from abe_rerank.types import Attribute, ObjectPhrase, Part, Score, Spec

SCHEMA_COMMAND = """write it again: python -c 'import json; from abe_rerank.runs.generated import Report
print(json.dumps(Report.model_json_schema(), indent=1))' > abe_rerank/runs/report.schema.json"""


class Page(HTMLParser):
    """What a browser would see: tags, their attributes, and the text of all but scripts and styles."""

    def __init__(self, html):
        super().__init__()
        self.tags, self.text, self._raw = [], [], False
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self._raw = tag in ("script", "style")

    def handle_endtag(self, tag):
        self._raw = False

    def handle_data(self, data):
        if not self._raw:
            self.text.append(data)

    @property
    def words(self):
        return " ".join("".join(self.text).split())


def page_of(ranking, **options):
    return render_html(report_of(ranking), [c.image for c in ranking.candidates], **options)


def pair_of(verdict, **changes):
    numbers = {"evidence": 0.3, "margin": 0.1, "probability": 0.97, "competitor_probability": 0.04} | changes
    return PairRecord(
        attribute="red",
        attribute_span=(0, 3),
        object="cube",
        object_span=(4, 8),
        verdict=verdict,
        region=RegionRecord(heat=HeatRecord.of(np.ones((1, 1)), low=0.0), box=(0, 0, 1, 1)),
        contrast=None,
        **{"competitor": "blue"} | numbers,
    )


def test_report_json_holds_the_ranking_and_reads_back_equal():
    ranking = ranking_of("a red cube")
    text = to_json(report_of(ranking))
    record = json.loads(text)
    assert Report.model_validate_json(text) == report_of(ranking)
    assert record["schema_version"] == 2
    assert record["picked"] == 1
    assert record["parse"]["pairs"] == [["red", "cube"]]
    assert [c["seed"] for c in record["candidates"]] == [0, 1, 2]
    assert [c["score"]["value"] for c in record["candidates"]] == [0.5, 0.2, None]
    assert record["candidates"][2]["score"]["reason"] == "painted over"
    pair = record["candidates"][0]["score"]["pairs"][0]
    scored = ranking.best.score.pairs[0]
    weights, contrast = (HeatRecord.model_validate(heat).values for heat in (pair["region"]["heat"], pair["contrast"]))
    np.testing.assert_allclose(weights, scored.region.weights, atol=scored.region.weights.max() / 500)
    np.testing.assert_allclose(contrast, scored.contrast, atol=np.ptp(scored.contrast) / 500)
    assert float((weights * contrast).sum()) == pytest.approx(pair["margin"], abs=1e-3)
    assert (pair["margin"], pair["evidence"]) == (scored.margin, scored.evidence)
    assert pair["competitor_probability"] == 0.04
    first = record["candidates"][0]
    assert (first["width"], first["height"]) == (12, 8)
    assert first["pixels_sha256"] == hashlib.sha256(np.asarray(ranking.best.image).tobytes()).hexdigest()
    assert record["scorer"] == "abe 1"
    assert record["settings"] == {"n": 3, "seed": 0}
    assert record["versions"]["torch"]


def test_rows_of_numbers_are_lines_and_prompts_stay_as_they_are():
    evil = "[\n1,\n2\n] [ 1, 2 ] a red cube"
    text = to_json(report_of(ranking_of(evil)))
    assert json.loads(text)["prompt"] == evil
    assert json.loads(text)["parse"]["objects"][0]["span"] == [24, 28]
    assert '"span": [ 24, 28 ]' in text


def test_whether_the_backbone_was_tuned_stands_in_the_report_and_on_the_page():
    ranking = ranking_of("a red cube")
    plain = report_of(ranking)
    assert "tuning" not in json.loads(to_json(plain))["backbone"]
    line = "the scorer abe was not tuned for this <backbone>"
    told = plain.model_copy(update={"backbone": plain.backbone.model_copy(update={"tuning": line})})
    assert Report.model_validate_json(to_json(told)) == told
    images = [candidate.image for candidate in ranking.candidates]
    assert f"tuning{line}" in Page(render_html(told, images)).words
    assert line not in Page(render_html(plain, images)).words


def test_the_schema_file_is_that_of_the_records_and_holds_for_reports():
    schema = json.loads((files("abe_rerank.runs") / "report.schema.json").read_text(encoding="utf-8"))
    assert schema == Report.model_json_schema(), SCHEMA_COMMAND
    validator = jsonschema.Draft202012Validator(schema)
    validator.check_schema(schema)
    record = json.loads(to_json(report_of(ranking_of(EVIL))))
    validator.validate(record)
    for change in ({"prompt": 1}, {"unknown": 1}, {"candidates": [{}]}):
        assert list(validator.iter_errors(record | change))


def test_reports_with_missing_or_unknown_fields_are_refused():
    record = json.loads(to_json(report_of(ranking_of("a red cube"))))
    for change in ({"schema_version": 3}, {"unknown": 1}, {"prompt": None}):
        with pytest.raises(ValidationError):
            Report.model_validate_json(json.dumps(record | change))


def test_nothing_is_picked_where_nothing_could_be_scored():
    ranking = ranking_of("a red cube", values=(None, None))
    assert report_of(ranking).picked is None
    assert "No image could be scored" in Page(page_of(ranking)).words
    assert "What picking gained" not in page_of(ranking)


def test_a_single_image_is_shown_without_a_gallery():
    page = Page(page_of(ranking_of("a red cube", values=(0.5,))))
    assert "the only image" in page.words
    assert "hidden" in next(attrs for _, attrs in page.tags if attrs.get("class") == "gallery")


def test_settings_that_json_cannot_hold_are_written_as_text():
    ranking = ranking_of("a red cube")
    ranking.settings["latents"] = np.zeros(2)
    ranking.settings["guidance_scale"] = float("nan")
    settings = report_of(ranking).settings
    assert settings["latents"] == "array([0., 0.])"
    assert settings["guidance_scale"] == "nan"


def test_a_prompt_is_text_everywhere_in_the_page():
    plain, evil = Page(page_of(ranking_of("a red cube"))), Page(page_of(ranking_of(EVIL)))
    assert [tag for tag, _ in evil.tags] == [tag for tag, _ in plain.tags]
    assert EVIL.partition("red")[0] in "".join(evil.text)
    assert EVIL in {attrs.get("alt", "").partition(", seed")[0] for tag, attrs in evil.tags if tag == "img"}
    assert not [name for _, attrs in evil.tags for name in attrs if name.startswith("on")]


def test_the_page_forbids_every_request_and_runs_its_own_script_only():
    html = page_of(ranking_of(EVIL))
    policy = next(a["content"] for tag, a in Page(html).tags if a.get("http-equiv") == "Content-Security-Policy")
    script = html.split("<script>")[1].split("</script>")[0]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert html.count("<script>") == 1
    assert policy.split("; ")[:2] == ["default-src 'none'", "img-src data:"]
    assert f"script-src 'sha256-{digest}'" in policy


def test_the_page_embeds_every_picture():
    ranking = ranking_of("a red cube")
    page = Page(page_of(ranking))
    links = [attrs["src"] for _, attrs in page.tags if "src" in attrs]
    assert all(link.startswith("data:image/png;base64,") for link in links)
    pictures = [Image.open(io.BytesIO(base64.b64decode(link.partition(",")[2]))) for link in links]
    for candidate in ranking.candidates:
        assert any(np.array_equal(picture, candidate.image) for picture in pictures)


def test_a_large_picture_is_embedded_small():
    from abe_rerank.report.pictures import data_uri

    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (600, 600, 3), dtype=np.uint8))
    kind, _, body = data_uri(image).partition(",")
    assert kind == "data:image/webp;base64"
    assert Image.open(io.BytesIO(base64.b64decode(body))).size == (600, 600)


def test_a_linked_page_names_the_files_of_the_run():
    page = Page(page_of(ranking_of("a red cube"), linked=True))
    assert {attrs["src"] for _, attrs in page.tags if "src" in attrs} == {
        f"candidates/0{k + 1}_seed{k}.png" for k in range(3)
    }


def test_the_page_says_which_was_picked_and_why_and_how_to_draw_it_again():
    words = Page(page_of(ranking_of("a red cube"))).words
    assert "picked seed 0, of 3 images" in words
    assert "The attribute is where it belongs" in words
    assert "Its score, +0.500, is the highest of 2 (runner-up +0.200, mean +0.350). 1 of 2 images has every" in words
    assert "red is on the cube: 0.90; blue would fit it 0.04" in words
    assert "blue sits on the cube, where red was asked" in words
    assert "not scored: painted over" in words
    assert "no token for moon" in words
    assert "abe-rerank generate --n 1 --seed 0" in words


def test_the_best_image_does_not_hide_what_it_misses():
    ranking = ranking_of("a red cube", values=(None, 0.2, 0.1))
    ordered = sorted(ranking.candidates, key=lambda c: c.score.value or -1, reverse=True)
    page = Page(page_of(type(ranking)(ranking.prompt, ranking.spec, tuple(ordered), ranking.settings)))
    assert "Even the best image misses something: blue sits on the cube, where red was asked." in page.words


def test_every_overlay_has_a_switch_in_every_view():
    page = Page(page_of(ranking_of("a red cube")))
    switches = [attrs["value"] for tag, attrs in page.tags if tag == "input"]
    overlays = [attrs["data-overlay"] for _, attrs in page.tags if "data-overlay" in attrs]
    assert switches == ["marks", "none", "1", "2"] * 3  # the stage, and the views of two candidates with a pair each
    assert overlays == [*["marks", "1", "2"] * 3, "marks"]  # an unscored candidate has none


def test_the_words_of_the_prompt_are_the_labels_of_their_overlays():
    page = Page(page_of(ranking_of("a red cube")))
    assert [attrs["for"] for tag, attrs in page.tags if tag == "label" and "for" in attrs] == ["word-1", "word-2"]


def test_the_pieces_of_a_prompt_join_to_the_prompt_and_mark_its_objects():
    prompt = "a red cube and a blue star that is small, no red cone"
    small = Attribute("small", (35, 40), "size")
    spec = Spec(
        prompt,
        (
            ObjectPhrase("cube", (6, 10), (0, 10), (Attribute("red", (2, 5), "colour"),)),
            ObjectPhrase("star", (22, 26), (15, 26), (Attribute("blue", (17, 21), "colour"), small)),
            ObjectPhrase("cone", (49, 53), (45, 53), (Attribute("red", (45, 48), "colour"),), negated=True),
        ),
    )
    found = pieces(prompt, ParseRecord.of(spec))
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


@pytest.mark.parametrize(
    ("verdict", "said", "claimed", "marked"),
    [
        ("bound", "red is on the cube", "red is on the cube: 0.97; blue would fit it 0.04", "✓ red"),
        (
            "swapped",
            "blue sits on the cube, where red was asked",
            "blue sits on the cube, where red was asked: red fits it 0.97, blue 0.04",
            "⇄ blue, not red",
        ),
        (
            "wrong",
            "the cube is blue, asked: red",
            "the cube is blue, asked: red: red fits it 0.97, blue 0.04",
            "≠ blue, not red",
        ),
        (
            "unsure",
            "red on the cube is uncertain",
            "red on the cube is uncertain: 0.97; blue would fit it 0.04",
            "~ red?",
        ),
        ("not found", "no cube was found", "no cube was found", "✗ no cube"),
    ],
)
def test_verdicts_are_said_in_words(verdict, said, claimed, marked):
    pair = pair_of(verdict)
    assert (sentence(pair), claim(pair), mark(pair)) == (said, claimed, marked)
    assert brief(pair) == (said if verdict in ("swapped", "wrong") else "red cube")


def test_what_is_amiss_is_named_with_its_probability():
    """The value that is seen, the object it was asked of, and how likely the verdict is."""
    swapped = pair_of("swapped", seen="green", seen_of="star", certainty=0.91)
    assert claim(swapped) == "green (asked of the star) sits on the cube, where red was asked (0.91)"
    assert claim(pair_of("wrong", seen="pink", certainty=0.8)) == "the cube is pink, asked: red (0.80)"
    assert mark(pair_of("wrong", seen="pink")) == "≠ pink, not red"
    assert mark(pair_of("wrong", seen="")) == "≠ red"
    assert claim(pair_of("not found", certainty=0.97)) == "no cube was found (0.97)"


def test_the_verdict_of_before_is_read_as_it_is_called_now():
    assert pair_of("weak") == pair_of("unsure")


def test_without_a_calibration_evidence_is_said_and_without_a_competitor_the_bare_noun():
    pair = pair_of("bound", probability=None, competitor_probability=None, competitor="")
    assert claim(pair) == "red is on the cube: +0.300; “cube” alone would fit it +0.200"


def test_what_a_score_stands_on_is_said():
    scored, swapped, blank = (ScoreRecord.of(c.score) for c in ranking_of("a red cube").candidates)
    bare = ScoreRecord.of(Score(0.1, "nothing to bind", "abe 1", 0.1))
    assert status_line(scored) == "1 of 1 attributes are where they belong"
    assert status_line(swapped) == "0 of 1 attributes are where they belong"
    assert status_line(blank) == "not scored: painted over"
    assert "nothing to bind" in status_line(bare)
    assert headline(scored) == "The attribute is where it belongs"
    assert headline(blank) == "Not scored: painted over"
    assert headline(bare) == "One score for the whole picture"


def test_why_counts_the_images_with_everything_in_place():
    assert why(report_of(ranking_of("a red cube", values=(0.5,)))) == "Its score, +0.500, is the highest of 1."
    with pytest.raises(ValueError, match="no image"):
        why(report_of(ranking_of("a red cube", values=(None,))))


def test_what_a_score_is_made_of_stands_on_the_page():
    ranking = ranking_of("a red cube")
    parts = (Part("sub-image", "<b>red cube", 0.25, 0.75, (0.0, 0.1, 0.5, 1.0)), Part("sub-image", "near", 0.5, 0.25))
    told = [replace(c, score=replace(c.score, parts=parts if c.score.value else ())) for c in ranking.candidates]
    page = Page(page_of(replace(ranking, candidates=tuple(told))))
    for words in ("What each sub-image said", "<b>red cube", "0.00, 0.10, 0.50, 1.00", "0.750"):
        assert words in page.words
    assert "What each sub-image said" not in Page(page_of(ranking)).words
