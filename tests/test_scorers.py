"""Scorers on real model classes at tiny random configs: against loops written from the method, and what must hold."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_models import images, save_tiny

from abe_rerank.backbones import DualEncoder, ImageFeatures, load_backbone
from abe_rerank.errors import AbeRerankError, UsageError
from abe_rerank.parsing import parse
from abe_rerank.parsing.lexicon import lexicon
from abe_rerank.scoring import make_scorer, readings
from abe_rerank.scoring import terms as terms_module
from abe_rerank.scoring.abe import AbeScorer
from abe_rerank.scoring.calibration import Calibration, write_calibration
from abe_rerank.scoring.decision import STANDARD
from abe_rerank.scoring.placing import peak, region_box
from abe_rerank.scoring.readings import competitors, plan, values_of
from abe_rerank.scoring.second_look import choices
from abe_rerank.scoring.stream import rounding_warning, score_stream
from abe_rerank.scoring.terms import AbeSettings, write_settings
from abe_rerank.types import Attribute, Kind, ObjectPhrase, Spec

Things = tuple[tuple[tuple[tuple[str, Kind], ...], str], ...]


def make_spec(prompt: str, *things: tuple[tuple[tuple[str, Kind], ...], str]) -> Spec:
    """A spec by hand: each thing is its attributes in the prompt's order and its noun."""
    objects, at = [], 0
    for attributes, noun in things:
        found = []
        for text, kind in attributes:
            start = prompt.index(text, at)
            at = start + len(text)
            found.append(Attribute(text, (start, at), kind))
        start = prompt.index(noun, at)
        at = start + len(noun)
        objects.append(ObjectPhrase(noun, (start, at), (found[0].span[0] if found else start, at), tuple(found)))
    return Spec(prompt, tuple(objects))


TWO = make_spec(
    "a yellow cylinder and a red cube", ((("yellow", "colour"),), "cylinder"), ((("red", "colour"),), "cube")
)
SWAPPED = make_spec(
    "a red cylinder and a yellow cube", ((("red", "colour"),), "cylinder"), ((("yellow", "colour"),), "cube")
)
THREE = make_spec(
    "a small striped red ball, a dog and a wooden car",
    ((("small", "size"), ("striped", "texture"), ("red", "colour")), "ball"),
    ((), "dog"),
    ((("wooden", "material"),), "car"),
)
ONE = make_spec("a blue ring", ((("blue", "colour"),), "ring"))
BARE = make_spec("a photo of a dog", ((), "dog"))
SPECS = [TWO, THREE, ONE, BARE]
SETTINGS = {
    "default": AbeSettings(),
    "token": AbeSettings(text_readout="token", alpha=0.5, beta=0.3, region_query="object"),
    "top": AbeSettings(region="top", region_share=0.2, region_query="phrase", alpha=0.7, competition=0.0),
    "whole": AbeSettings(region="whole", competition=0.5),
}


@pytest.fixture(scope="module", params=["CLIPModel", "SiglipModel", "Siglip2Model"])
def backbone(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> DualEncoder:
    return load_backbone(save_tiny(request.param, tmp_path_factory.mktemp(request.param)), device="cpu")


@pytest.fixture(scope="module")
def siglip(tmp_path_factory: pytest.TempPathFactory) -> DualEncoder:
    return load_backbone(save_tiny("SiglipModel", tmp_path_factory.mktemp("siglip")), device="cpu")


def naive_two_objects(
    backbone: DualEncoder, image: object, temperature: float
) -> tuple[float, float, float, list[float]]:
    """(global, local, difference, margins) of TWO with pooled phrases, regions by any colour, full competition."""
    features = backbone.encode_images([image])

    def text(phrase: str) -> torch.Tensor:
        return backbone.encode_texts([phrase])[0]

    wanted = {"cylinder": ("yellow", "red"), "cube": ("red", "yellow")}
    looks = {
        noun: [
            math.log(sum(math.exp(float(v @ text(f"a {c} {noun}")) / temperature) for c in colours) / 2)
            for v in features.patches[0]
        ]
        for noun, colours in wanted.items()
    }
    evidence, margins = [], []
    for noun, (own, other) in wanted.items():
        maps = []
        for p, value in enumerate(looks[noun]):
            total = sum(math.exp(looks[n][p]) for n in wanted)
            maps.append(value + math.log(math.exp(value) / total))
        weights = np.exp(maps) / np.exp(maps).sum()

        def read(phrase: str, weights: np.ndarray = weights) -> float:
            return sum(float(w) * float(v @ text(phrase)) for w, v in zip(weights, features.patches[0], strict=True))

        evidence += [read(f"a {noun}"), read(f"a {own} {noun}")]
        margins.append(read(f"a {own} {noun}") - read(f"a {other} {noun}"))
    return float(features.global_[0] @ text(TWO.prompt)), sum(evidence) / 4, sum(margins) / 2, margins


def test_the_score_is_what_loops_over_patches_and_phrases_say(siglip: DualEncoder) -> None:
    settings = AbeSettings(
        patch_readout="value",
        softness=0.2 * siglip.logit_scale,
        competition=1.0,
        local="regions",
        lambda_=0.7,
        mu=1.3,
    )
    scorer = make_scorer("abe", siglip, settings)
    for image in images(3):
        global_, local, difference, margins = naive_two_objects(siglip, image, 0.2)
        score = scorer.explain([image], TWO)[0]
        assert score.global_score == pytest.approx(global_, abs=1e-5)
        assert score.local == pytest.approx(local, abs=1e-5)
        assert score.binding_difference == pytest.approx(difference, abs=1e-5)
        assert [pair.margin for pair in score.pairs] == pytest.approx(margins, abs=1e-5)
        assert score.value == pytest.approx(global_ + 0.7 * local + 1.3 * difference, abs=1e-5)


def test_phrases_that_fit_somewhere_are_summed_over_the_objects(siglip: DualEncoder) -> None:
    scorer = make_scorer("abe", siglip)
    assert scorer.patch_readout == "regions 0.375/0.125/0.5"
    scale, features = siglip.logit_scale, siglip.encode_images(images(2), scorer.patch_readout)
    phrases = siglip.encode_texts(["a yellow cylinder", "a red cube"])
    for n, score in enumerate(scorer.explain(images(2), TWO)):
        odds = [[math.exp(scale * float(window @ phrase)) for window in features.patches[n]] for phrase in phrases]
        fits = [math.log(sum(row) / len(row)) / scale for row in odds]
        assert score.local == pytest.approx(sum(fits), abs=1e-5)
        expected = score.global_score + 2.5 * score.local + 3 * score.binding_difference
        assert score.value == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("name", SETTINGS)
def test_matrix_and_explanations_agree(backbone: DualEncoder, name: str) -> None:
    scorer = make_scorer("abe", backbone, SETTINGS[name])
    pictures = images(3)
    matrix = scorer.score(pictures, SPECS)
    assert matrix.shape == (3, 4)
    assert matrix.dtype == np.float32
    for column, spec in enumerate(SPECS):
        scores = scorer.explain(pictures, spec)
        np.testing.assert_allclose(matrix[:, column], [s.value for s in scores], atol=1e-5)
        assert all(len(s.pairs) == len(spec.pairs) for s in scores)


@pytest.mark.parametrize("name", ["abe", "clip", "filip"])
def test_a_score_depends_on_no_other_image_and_no_other_prompt(backbone: DualEncoder, name: str) -> None:
    scorer = make_scorer(name, backbone)
    pictures = images(5)
    matrix = scorer.score(pictures, SPECS)
    for n, picture in enumerate(pictures):
        for t, spec in enumerate(SPECS):
            assert scorer.score([picture], [spec])[0, 0] == pytest.approx(matrix[n, t], abs=2e-5)


def test_chunks_change_nothing(siglip: DualEncoder) -> None:
    small = DualEncoder(
        siglip.model, siglip.tokenizer, siglip.processor, siglip.reader, siglip.folder, "x", batch_size=2
    )
    pictures = images(5)
    for name in ("abe", "clip", "filip"):
        whole, parts = make_scorer(name, siglip), make_scorer(name, small)
        np.testing.assert_allclose(whole.score(pictures, SPECS), parts.score(pictures, SPECS), atol=1e-5)
        values = [[s.value for s in scorer.explain(pictures, TWO)] for scorer in (whole, parts)]
        np.testing.assert_allclose(*values, atol=1e-5)


def test_one_vision_forward_for_each_image_and_one_text_forward_for_each_phrase(siglip: DualEncoder) -> None:
    seen = {"images": 0, "texts": 0}
    handles = [
        siglip.model.vision_model.encoder.register_forward_hook(
            lambda _, args, kwargs, out: seen.update(images=seen["images"] + len(kwargs["inputs_embeds"])),
            with_kwargs=True,
        ),
        siglip.model.text_model.encoder.register_forward_hook(
            lambda _, args, kwargs, out: seen.update(texts=seen["texts"] + len(kwargs["inputs_embeds"])),
            with_kwargs=True,
        ),
    ]
    fresh = DualEncoder(siglip.model, siglip.tokenizer, siglip.processor, siglip.reader, siglip.folder, "fresh")
    scorer = make_scorer("abe", fresh)
    scorer.score(images(4), [TWO, SWAPPED, TWO])
    # Two prompts, two nouns, two colours on each noun.
    assert seen == {"images": 4, "texts": 2 + 2 + 4}
    scorer.score(images(3), [SWAPPED])
    assert seen == {"images": 7, "texts": 8}
    for handle in handles:
        handle.remove()


@pytest.mark.parametrize("name", ["abe", "clip", "filip"])
def test_an_image_that_is_asked_about_twice_is_encoded_once(siglip: DualEncoder, name: str) -> None:
    scorer, pictures, seen = make_scorer(name, siglip), images(3), []
    asked = [(2, TWO), (0, SWAPPED), (2, SWAPPED), (1, TWO), (0, parse("")), (2, TWO)]
    alone = [scorer.explain([pictures[k]], spec)[0] for k, spec in asked]
    handle = siglip.model.vision_model.encoder.register_forward_hook(
        lambda _, args, kwargs, out: seen.append(len(kwargs["inputs_embeds"])), with_kwargs=True
    )
    together = list(score_stream(scorer, [(pictures[k], spec) for k, spec in asked]))
    handle.remove()
    assert sum(seen) == 3  # also the windows that verdicts read
    assert [score.status for score in together] == [score.status for score in alone]
    for mine, own in zip(together, alone, strict=True):
        assert mine.value == (None if own.value is None else pytest.approx(own.value, abs=2e-5))
    assert list(score_stream(scorer, [])) == []


def test_swapping_the_prompt_swaps_the_margins(siglip: DualEncoder) -> None:
    """Same nouns, same colours, regions that look for either colour: the evidence is the same, asked the other way."""
    scorer = make_scorer("abe", siglip)
    for image in images(3):
        right, swapped = (scorer.explain([image], spec)[0] for spec in (TWO, SWAPPED))
        for a, b in zip(right.pairs, swapped.pairs, strict=True):
            assert a.margin == pytest.approx(-b.margin, abs=1e-5)
        assert right.binding_difference == pytest.approx(-swapped.binding_difference, abs=1e-5)


def test_nothing_to_bind_and_an_empty_prompt_are_states(siglip: DualEncoder) -> None:
    abe, clip, filip = (make_scorer(name, siglip) for name in ("abe", "clip", "filip"))
    score = abe.explain(images(1), BARE)[0]
    assert score.status == "nothing to bind"
    assert score.value == pytest.approx(clip.score(images(1), [BARE])[0, 0], abs=1e-6)
    assert clip.explain(images(1), BARE)[0].status == "nothing to bind"
    for scorer in (abe, clip, filip):
        empty = scorer.explain(images(2), Spec("  "))
        assert [s.status for s in empty] == ["unscored"] * 2
        assert [s.value for s in empty] == [None, None]
        matrix = scorer.score(images(2), [Spec("  "), TWO])
        assert np.isnan(matrix[:, 0]).all()
        assert not np.isnan(matrix[:, 1]).any()


def test_regions_are_weights_over_the_grid_inside_their_box(backbone: DualEncoder) -> None:
    for pair in make_scorer("abe", backbone).explain(images(1), THREE)[0].pairs:
        assert pair.region.weights.shape == (4, 4)
        assert pair.region.weights.sum() == pytest.approx(1, abs=1e-5)
        left, top, right, bottom = pair.region.box
        row, column = np.unravel_index(pair.region.weights.argmax(), (4, 4))
        assert left <= column / 4 < right
        assert top <= row / 4 < bottom


def test_clip_is_the_plain_cosine(backbone: DualEncoder) -> None:
    pictures = images(3)
    expected = backbone.encode_images(pictures).global_ @ backbone.encode_texts([s.prompt for s in SPECS]).T
    np.testing.assert_allclose(make_scorer("clip", backbone).score(pictures, SPECS), expected, atol=1e-5)


def test_filip_is_loops_over_tokens_and_patches(siglip: DualEncoder) -> None:
    features = siglip.encode_images(images(2))
    states = siglip.encode_tokens([TWO.prompt])[0].states
    expected = [np.mean([max(float(v @ s) for v in patches) for s in states]) for patches in features.patches]
    np.testing.assert_allclose(make_scorer("filip", siglip).score(images(2), [TWO])[:, 0], expected, atol=1e-5)


def test_stamps_name_settings_and_weights(siglip: DualEncoder, tmp_path: Path) -> None:
    one, same = make_scorer("abe", siglip), make_scorer("abe", siglip, AbeSettings())
    assert one.stamp == same.stamp
    assert siglip.weights_hash in one.stamp
    assert make_scorer("abe", siglip, AbeSettings(mu=9.0)).stamp != one.stamp
    other = load_backbone(save_tiny("CLIPModel", tmp_path), device="cpu")
    assert make_scorer("abe", other).stamp != one.stamp
    assert one.explain(images(1), TWO)[0].scorer == one.stamp


def test_another_input_size_is_in_the_stamp_and_needs_its_own_calibration(tmp_path: Path) -> None:
    folder = save_tiny("SiglipModel", tmp_path)
    own = make_scorer("abe", load_backbone(folder, device="cpu"))
    write_calibration(folder, Calibration(own.calibration_key, STANDARD))
    assert own.calibration is not None
    for size, words in (("48", " 48px "), ((16, 48), " 16x48px ")):
        other = make_scorer("abe", load_backbone(folder, device="cpu", image_size=size))
        assert words in other.stamp
        assert words in other.calibration_key
        assert other.calibration is None


def test_settings_beside_the_backbone_are_its_defaults(tmp_path: Path) -> None:
    backbone = load_backbone(save_tiny("SiglipModel", tmp_path), device="cpu")
    measured = AbeSettings(patch_readout="regions", mu=3.0, region_query="object")
    write_settings(backbone.folder, measured)
    scorer = make_scorer("abe", backbone)
    assert (
        scorer.stamp
        == make_scorer("abe", backbone, measured).stamp
        != make_scorer("abe", backbone, AbeSettings()).stamp
    )
    (tmp_path / "abe.json").write_text('{"gamma": 1}')
    with pytest.raises(AbeRerankError, match=r"abe\.json does not hold settings"):
        make_scorer("abe", backbone)


def test_half_precision_is_in_the_stamp_and_scores_stay_close(siglip: DualEncoder) -> None:
    half = load_backbone(siglip.folder, device="cpu", dtype="bfloat16")
    assert "bfloat16" in make_scorer("abe", half).stamp
    assert "float32" in make_scorer("abe", siglip).stamp
    scores = [make_scorer("clip", b).score(images(4), SPECS) for b in (siglip, half)]
    np.testing.assert_allclose(*scores, atol=0.03)
    assert half.encode_images(images(1)).patches.dtype == torch.float32
    assert rounding_warning([0.5, 0.4999], siglip) is None
    assert "bfloat16" in str(rounding_warning([0.5, 0.4999, 0.1], half))
    assert rounding_warning([0.5, 0.4, None], half) is None
    assert rounding_warning([0.5], half) is None


def test_a_centre_crop_is_said_with_the_region(tmp_path: Path) -> None:
    clip = load_backbone(save_tiny("CLIPModel", tmp_path), device="cpu")
    region = make_scorer("abe", clip).explain(images(1, size=(80, 40)), TWO)[0].pairs[0].region
    assert region.window == pytest.approx((0.25, 0, 0.75, 1))
    assert region.box[0] >= 0.25
    assert region.box[2] <= 0.75


@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS)
def test_the_contrast_of_a_pair_averages_to_its_margin_in_its_region(
    backbone: DualEncoder, settings: AbeSettings
) -> None:
    of_patches = replace(settings, patch_readout=backbone.readouts[0])
    for score in make_scorer("abe", backbone, of_patches).explain(images(2), THREE):
        for pair in score.pairs:
            assert pair.contrast.shape == pair.region.weights.shape
            assert float((pair.contrast * pair.region.weights).sum()) == pytest.approx(pair.margin, abs=1e-5)


def test_calibration_beside_the_backbone_gives_the_probabilities_and_the_verdicts(tmp_path: Path) -> None:
    backbone = load_backbone(save_tiny("SiglipModel", tmp_path), device="cpu")
    settings = AbeSettings(mu=2.0)
    scorer = make_scorer("abe", backbone, settings)
    assert scorer.calibration is None
    knots = ((-1.0, 0.2), (1.0, 0.9))
    write_calibration(backbone.folder, Calibration(scorer.calibration_key, replace(STANDARD, swapped=1.0), knots))
    scorer = make_scorer("abe", backbone, settings)
    (plan,), _ = scorer.table([TWO])
    asked = [choices(plan, pair) for pair in plan.pairs]
    for picture in images(3):
        (looks,) = scorer.second_look.looks(scorer.encode_to_explain([picture]), plan)
        pairs = scorer.explain([picture], TWO)[0].pairs
        for pair, said in zip(pairs, replace(STANDARD, swapped=1.0).probabilities(looks, asked), strict=True):
            likely = np.interp(np.log(said[0] / (1 - said[0])), *zip(*knots, strict=True))
            assert pair.probability == pytest.approx(likely)
            assert pair.competitor_probability == pytest.approx(said[1:-1].max() * (1 - likely) / (1 - said[0]))
            assert (pair.verdict == "bound") == (likely >= 0.5)
    assert make_scorer("abe", backbone, AbeSettings(mu=9.0)).calibration is None


def test_a_number_that_is_none_is_no_score(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As half precision gives on overflow: the picture is unscored, with the reason; the others keep their scores."""
    backbone = load_backbone(save_tiny("SiglipModel", tmp_path), device="cpu")
    encode = backbone.encode_images

    def overflow(pictures: object, readout: str | None = None, beside: object = ()) -> ImageFeatures:
        features = encode(pictures, readout, beside)  # type: ignore[arg-type]
        features.global_[1], features.patches[1] = math.nan, math.nan
        return features

    wanted = make_scorer("abe", backbone).explain(images(3), TWO)
    monkeypatch.setattr(backbone, "encode_images", overflow)
    soft = AbeScorer(backbone, AbeSettings(region="soft"))
    for scorer in (make_scorer("abe", backbone), soft, make_scorer("filip", backbone)):
        scores = scorer.explain(images(3), TWO)
        assert [score.status for score in scores] == ["scored", "unscored", "scored"]
        assert "no finite numbers" in str(scores[1].reason)
    assert make_scorer("abe", backbone).explain(images(3), TWO)[2].value == pytest.approx(wanted[2].value, abs=1e-5)


def test_singular_and_plural_of_a_noun_are_one_kind(tmp_path: Path) -> None:
    spec = parse("two red cubes and a blue cube next to a green ring")
    found = plan(spec, "{article} {phrase}", "any")
    assert found.kinds == ("cube", "cube", "ring")
    assert [[r.text for r in queries] for queries in found.queries[:2]] == [["red cubes"], ["a blue cube"]]
    table = AbeScorer(load_backbone(save_tiny("SiglipModel", tmp_path), device="cpu")).table([spec])[1]
    assert table.rivals[0].tolist() == [[False, False, True], [False, False, True], [True, True, False]]


def test_any_varies_one_attribute_of_the_phrase_at_a_time() -> None:
    found = plan(parse("a small red cube and a large blue ball"), "{article} {phrase}", "any")
    assert [reading.text for reading in found.queries[0]] == [
        "a small red cube",
        "a large red cube",
        "a small blue cube",
    ]


def test_box_follows_the_heaviest_patch_and_the_window() -> None:
    weights = np.zeros((4, 5))
    weights[1, 1], weights[1, 2], weights[3, 4] = 0.5, 0.3, 0.2
    assert region_box(weights) == pytest.approx((1 / 5, 1 / 4, 3 / 5, 2 / 4))
    weights[3, 4] = 0.45  # heavy, but apart from the heaviest
    assert region_box(weights) == pytest.approx((1 / 5, 1 / 4, 3 / 5, 2 / 4))
    assert region_box(weights, (0.25, 0, 0.75, 1)) == pytest.approx((0.35, 0.25, 0.55, 0.5))


def test_of_equal_patches_the_middle_one_is_the_peak() -> None:
    weights = np.zeros((5, 6))
    weights[1:4, 2:5] = 1 / 10
    weights[0, 0] = 1 / 10
    assert peak(weights) == (2, 3)
    assert region_box(weights) == pytest.approx((2 / 6, 1 / 5, 5 / 6, 4 / 5))
    weights[4, 5] = 0.2
    assert peak(weights) == (4, 5)


def test_competitors_are_the_other_objects_values_else_the_basic_ones() -> None:
    def of(spec: Spec, k: int, i: int) -> list[str]:
        return [
            text for text, _ in competitors(spec.objects[k], values_of(spec.objects), spec.objects[k].attributes[i])
        ]

    assert of(TWO, 0, 0) == ["red"]
    basics = of(ONE, 0, 0)
    assert "blue" not in basics
    assert {"red", "green", "yellow"} <= set(basics)
    assert of(THREE, 0, 1) == ["dotted", "plain"]
    both = make_spec(
        "a red and blue ball and a red car",
        ((("red", "colour"), ("blue", "colour")), "ball"),
        ((("red", "colour"),), "car"),
    )
    assert "red" not in of(both, 0, 1)
    assert of(both, 1, 0) == ["blue"]
    synonym = make_spec("a grey ball and a gray car", ((("grey", "colour"),), "ball"), ((("gray", "colour"),), "car"))
    assert "gray" not in of(synonym, 0, 0)
    odd = make_spec("a happy dog", ((("happy", "other"),), "dog"))
    assert of(odd, 0, 0) == []
    assert plan(odd, "{article} {phrase}", "any").pairs[0].values == ("happy", "")


def test_phrases_are_read_alone_and_in_the_prompt() -> None:
    first = plan(TWO, "{article} {phrase}", "any").pairs[0]
    assert [r.text for r in first.readings] == ["a yellow cylinder", "a red cylinder"]
    assert [r.text[slice(*r.span)] for r in first.readings] == ["yellow", "red"]
    assert [r.context for r in first.readings] == [TWO.prompt, "a red cylinder and a red cube"]
    assert all(r.context[slice(*r.context_span)] == r.text[slice(*r.span)] for r in first.readings)
    plural = make_spec(
        "two orange cars and an orange ball", ((("orange", "colour"),), "cars"), ((("orange", "colour"),), "ball")
    )
    found = plan(plural, "a photo of {article} {phrase}", "phrase")
    assert [q[0].text for q in found.queries] == ["a photo of orange cars", "a photo of an orange ball"]
    assert [n.text[slice(*n.span)] for n in found.nouns] == ["cars", "ball"]


def test_objects_with_one_noun_are_told_apart_by_their_phrases() -> None:
    twins = make_spec("a red cube and a blue cube", ((("red", "colour"),), "cube"), ((("blue", "colour"),), "cube"))
    for query in ("object", "any"):
        assert [q[0].text for q in plan(twins, "{article} {phrase}", query).queries] == ["a red cube", "a blue cube"]


def test_negated_objects_are_left_out(siglip: DualEncoder) -> None:
    without = Spec(TWO.prompt, (TWO.objects[0], replace(TWO.objects[1], negated=True)))
    score = make_scorer("abe", siglip).explain(images(1), without)[0]
    assert [pair.object.text for pair in score.pairs] == ["cylinder"]
    assert score.pairs[0].competitor != ""


@pytest.mark.parametrize(
    "wrong",
    [
        *({"alpha": 1.2}, {"region_share": 0.0}, {"softness": 0.0}, {"softness": math.nan}, {"smoothing": -0.1}),
        *({"template": "a thing"}, {"template": "a {foo} {phrase}"}, {"mu": math.inf}),
        *({"region": "sof"}, {"text_readout": "pooledd"}, {"region_query": "objekt"}),
    ],
)
def test_settings_out_of_range_are_usage_errors(wrong: dict[str, object]) -> None:
    with pytest.raises(UsageError):
        AbeSettings(**wrong)


def test_an_unknown_scorer_or_foreign_settings_are_usage_errors(siglip: DualEncoder) -> None:
    with pytest.raises(UsageError, match="unknown scorer 'best'"):
        make_scorer("best", siglip)
    with pytest.raises(UsageError, match="settings of the scorer 'clip'"):
        make_scorer("clip", siglip, AbeSettings())


def test_a_prompt_of_thousands_of_words_is_planned_in_linear_work():
    """Counted, not timed: twice the objects ask twice for the plain form of a word."""
    counts = []
    for objects in (100, 200):
        spec = parse(" and ".join(["a red cube", "a blue cone"] * (objects // 2)))
        readings.plain.cache_clear()
        readings.kind_of.cache_clear()
        assert len(readings.plan(spec, "{article} {phrase}", "object").pairs) == objects
        asked = [cached.cache_info() for cached in (readings.plain, readings.kind_of)]
        counts.append(sum(info.hits + info.misses for info in asked))
    assert counts[0] > 100
    assert counts[1] < 2.1 * counts[0]


def test_a_prompt_of_many_values_is_planned_in_bounded_size() -> None:
    colours = sorted(lexicon().colours)[:60]
    spec = parse(" and ".join(f"a {colour} cube" for colour in colours))
    found = plan(spec, "{article} {phrase}", "any")
    assert len(found.pairs) > 40
    values = [pair.attribute.text for pair in found.pairs]
    for k, pair in enumerate(found.pairs):
        assert len(pair.values) <= 17
        assert set(pair.values) <= {pair.attribute.text, *values[max(0, k - 9) : k + 25]}
    salad = parse("a " + " ".join(colours) + " cube, a blue ball")
    assert [len(queries) <= 64 for queries in plan(salad, "{article} {phrase}", "any").queries] == [True, True]


def test_images_are_looked_at_a_few_at_a_time_where_a_prompt_is_long(tmp_path, monkeypatch) -> None:
    backbone = load_backbone(save_tiny("SiglipModel", tmp_path), device="cpu")
    whole = make_scorer("abe", backbone).explain(images(5), TWO)
    monkeypatch.setattr(terms_module, "_MOST_NUMBERS", 1)
    parted = make_scorer("abe", backbone).explain(images(5), TWO)
    for one, other in zip(whole, parted, strict=True):
        assert one.value == pytest.approx(other.value, abs=1e-6)
        assert [pair.margin for pair in one.pairs] == pytest.approx([pair.margin for pair in other.pairs], abs=1e-6)


@pytest.mark.parametrize("name", ["abe", "comclip", "filip"])
def test_a_scorer_that_forgets_scores_as_a_new_one_to_the_bit(name):
    """Phrases that prompts share are encoded in another company else, and differ in the last digit."""
    (picture,) = images(1)
    first, second = "a red cube", "a yellow star and a red cube"
    new = make_scorer(name, load_backbone())
    old = make_scorer(name, load_backbone())
    old.explain([picture], parse(first))
    old.prepare([parse(second), parse(f"{second}, {first} and {second}")])
    old.forget()
    for seen, expected in zip(
        old.explain([picture], parse(second)), new.explain([picture], parse(second)), strict=True
    ):
        assert seen.value == expected.value
        assert [pair.evidence for pair in seen.pairs] == [pair.evidence for pair in expected.pairs]
