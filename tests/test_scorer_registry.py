"""Scorers by name, those of other packages, ensembles over the candidates of a prompt, and picking by lot."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from tiny_models import images, save_tiny

from abe_rerank import AbeRerankError, Reranker, UsageError, parse, scoring
from abe_rerank.backbones import DualEncoder, load_backbone
from abe_rerank.evaluation.workload import Judges
from abe_rerank.scoring import make_scorer, registry
from abe_rerank.scoring.ensemble import members_of, rank_values, z_values
from abe_rerank.scoring.stream import rank, score_stream
from abe_rerank.types import Drawing, NoPicture, Sample, Samples

PROMPT, OTHER = parse("a red cube and a blue ring"), parse("a green star")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny("CLIPModel", tmp_path_factory.mktemp("clip"))


@pytest.fixture(scope="module")
def clip(folder: Path) -> DualEncoder:
    return load_backbone(folder, device="cpu")


OF_A_PACKAGE = """
from abe_rerank.scoring.clip import ClipScorer


class Backwards(ClipScorer):
    name = "backwards"

    def score_features(self, features, prepared):
        return -super().score_features(features, prepared)


class Failing(ClipScorer):
    def __init__(self, backbone):
        raise KeyError("inside")


def no_class(backbone):
    return Backwards(backbone)


no_class.explain_features = no_class.settings_type = None
NOT_ONE = 3
print("a scorer was imported")
"""
POINTS = """[abe_rerank.scorers]
backwards = backwards_scorer:Backwards
broken = broken_scorer:Broken
leaving = leaving_scorer:Leaving
failing = backwards_scorer:Failing
number = backwards_scorer:NOT_ONE
function = backwards_scorer:no_class
absent = backwards_scorer:Absent
nameless = backwards_scorer
clip = backwards_scorer:Backwards
\x1b[31m = backwards_scorer:Backwards
a+b = backwards_scorer:Backwards
"""


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package with a good scorer, some that cannot be imported, made or called so, and some that are none; beside it
    a package whose entry points and metadata cannot be read."""
    (tmp_path / "backwards_scorer.py").write_text(OF_A_PACKAGE)
    (tmp_path / "broken_scorer.py").write_text("import there_is_no_such_module\n")
    (tmp_path / "leaving_scorer.py").write_text("raise SystemExit(0)\n")
    (tmp_path / "torn-1.0.dist-info").mkdir()
    (tmp_path / "torn-1.0.dist-info" / "entry_points.txt").write_bytes(b"[abe_rerank.scorers]\nbad \xff\n")
    info = tmp_path / "backwards-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: backwards\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(POINTS)
    monkeypatch.syspath_prepend(tmp_path)
    for module in ("backwards_scorer", "leaving_scorer"):
        monkeypatch.delitem(sys.modules, module, raising=False)
    registry._of_packages.cache_clear()
    yield tmp_path
    registry._of_packages.cache_clear()


def test_scorers_of_other_packages_are_offered_and_used(installed: Path, clip: DualEncoder, cli) -> None:
    assert "backwards (of backwards)" in scoring.choices()
    assert "backwards" in scoring.names()
    pictures = images(3)
    ours, theirs = (make_scorer(name, clip).score(pictures, [PROMPT]) for name in ("clip", "backwards"))
    np.testing.assert_allclose(ours, -theirs)


def test_a_broken_one_is_named_and_breaks_nothing_else(
    installed: Path, clip: DualEncoder, caplog: pytest.LogCaptureFixture
) -> None:
    for name, why in (
        ("broken", "there_is_no_such_mod"),
        ("leaving", "SystemExit: 0"),
        ("failing", "KeyError: 'inside'"),
        ("number", "is no scorer"),
        ("function", "is no scorer"),
        ("absent", "no attribute 'Absent'"),
        ("nameless", "no attribute ''"),
    ):
        with pytest.raises(AbeRerankError, match=f"'{name}' of the package backwards cannot be used .*{why}"):
            make_scorer(name, clip)
    assert type(make_scorer("clip", clip)).__module__ == "abe_rerank.scoring.clip"
    assert "'clip' of the package backwards is left out" in caplog.text
    assert "scorers of a package cannot be read" in caplog.text
    assert r"'\x1b[31m' of the package backwards is left out: it is no name" in caplog.text
    assert "'a+b' of the package backwards is left out: it is no name" in caplog.text
    assert "\x1b" not in scoring.choices() + caplog.text


def test_what_a_scorer_of_a_package_prints_is_no_result(installed: Path, folder: Path, tmp_path: Path, cli) -> None:
    images(1)[0].save(tmp_path / "x.png")
    words = ("score", tmp_path / "x.png", "--prompt", PROMPT.prompt, "--json", "--backbone", folder, "--device", "cpu")
    code, out, err = cli(*words, "--scorer", "backwards")
    assert code == 0, err
    assert len(json.loads(out)["rows"]) == 1
    assert "a scorer was imported" in err
    code, out, err = cli(*words, "--scorer", "leaving")
    assert (code, out) == (1, "")
    assert "error: the scorer 'leaving' of the package backwards cannot be used (SystemExit: 0)" in err


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("best", r"unknown scorer 'best'; choose from abe, clip, filip, .*random.*, .*ensemble:abe\+clip"),
        ("abe:x", "write it abe"),
        ("ensemble", r"write it ensemble:abe\+clip"),
        ("ensemble:", r"write it ensemble:abe\+clip"),
        ("ensemble:abe", "has one member"),
        ("ensemble:abe+best", "has one member|unknown scorer"),
        ("ensemble:abe+2*clip", "give a weight to each member"),
        ("ensemble:0*abe+2*clip", "is not above 0"),
        ("ensemble:x*abe+2*clip", "is no number"),
        ("ensemble:nan*abe+2*clip", "is not above 0"),
    ],
)
def test_names_that_cannot_be_are_usage_errors(name: str, said: str, clip: DualEncoder) -> None:
    with pytest.raises(UsageError, match=said):
        make_scorer(name, clip)


def test_members_may_hold_plus_signs_and_stars() -> None:
    assert members_of("abe+clip") == (("abe", None), ("clip", None))
    assert members_of("2*abe+0.5*clip") == (("abe", 2.0), ("clip", 0.5))
    assert members_of("abe+random+filip")[1:] == (("random", None), ("filip", None))


def test_ranks_and_z_scores_are_those_of_loops() -> None:
    values = np.array([[0.5, 1.0], [0.2, 1.0], [0.9, np.nan], [0.2, 3.0]])
    for t, column in enumerate(values.T):
        known = [v for v in column if np.isfinite(v)]
        for n, value in enumerate(column):
            if np.isnan(value):
                assert np.isnan(rank_values(values)[n, t])
                assert np.isnan(z_values(values)[n, t])
                continue
            above, equal = sum(v > value for v in known), sum(v == value for v in known)
            assert rank_values(values)[n, t] == -(above + (equal + 1) / 2)
            mean = sum(known) / len(known)
            spread = (sum((v - mean) ** 2 for v in known) / len(known)) ** 0.5
            assert z_values(values)[n, t] == pytest.approx((value - mean) / spread)
    assert not z_values(np.full((3, 1), 0.7)).any()


@pytest.mark.parametrize("name", ["ensemble:abe+clip+filip", "ensemble:2*abe+1*clip+0.5*filip"])
def test_an_ensemble_joins_the_candidates_of_each_prompt_whatever_the_chunk(name: str, clip: DualEncoder) -> None:
    ensemble, pictures = make_scorer(name, clip), images(7)
    weights = [2, 1, 0.5] if "*" in name else [1, 1, 1]
    place = z_values if "*" in name else rank_values
    wanted = {}
    for spec, some in ((PROMPT, pictures), (OTHER, pictures[:4])):
        columns = [place(make_scorer(n, clip).score(some, [spec])) for n in ("abe", "clip", "filip")]
        mean = sum(w * c for w, c in zip(weights, columns, strict=True)) / sum(weights)
        wanted |= {(spec, k): value for k, value in enumerate(mean[:, 0])}
    items = [(spec, k) for k in range(7) for spec in (PROMPT, OTHER) if (spec, k) in wanted]
    for chunk in (2, 64):
        found = list(score_stream(ensemble, ((pictures[k], spec) for spec, k in items), chunk=chunk))
        np.testing.assert_allclose([s.value for s in found], [wanted[item] for item in items], atol=1e-4)
    np.testing.assert_allclose(
        ensemble.score(pictures, [PROMPT])[:, 0], [wanted[PROMPT, k] for k in range(7)], atol=1e-4
    )
    first = found[0]
    assert [part.text for part in first.parts] == ["abe", "clip", "filip"]
    assert {part.kind for part in first.parts} == {"member"}
    assert len(first.pairs) == 2
    assert "over the candidates" in ensemble.stamp or "among the candidates" in ensemble.stamp


def test_a_candidate_without_a_picture_takes_no_rank(clip: DualEncoder) -> None:
    pictures = images(3)
    drawn = [Sample(k, picture) for k, picture in enumerate(pictures)]
    drawn.insert(1, Sample(9, pictures[0], failure="it broke down"))
    samples = Samples(tuple(drawn), Drawing(4, 0, 1, {}, "cpu", "float32"))
    ranking_scorer = make_scorer("ensemble:abe+clip", clip)
    ranking = rank(ranking_scorer, PROMPT, samples)
    assert ranking.candidates[-1].score.reason == "it broke down"
    assert sum(c.score.value or 0 for c in ranking.candidates) == -6
    assert [s.value for s in score_stream(ranking_scorer, [(NoPicture("gone"), PROMPT)])] == [None]


def test_what_needs_a_score_of_its_own_refuses_an_ensemble(clip: DualEncoder) -> None:
    ensemble, plain = (Reranker(make_scorer(name, clip)) for name in ("ensemble:abe+clip", "clip"))
    with pytest.raises(UsageError, match="one among candidates"):
        ensemble.score_each(images(2), [PROMPT.prompt] * 2)
    for pair in ((ensemble, None), (plain, ensemble)):
        with pytest.raises(UsageError, match="depend on all candidates"):
            Judges(*pair)
    with pytest.raises(UsageError, match="cannot be a member"):
        make_scorer("ensemble:abe+ensemble:abe+clip", clip)


def test_a_lot_depends_on_pixels_and_prompt_alone(clip: DualEncoder) -> None:
    scorer, pictures = make_scorer("random", clip), images(400)
    values = scorer.score(pictures, [PROMPT, OTHER])
    np.testing.assert_array_equal(values[5:9], scorer.score(pictures[5:9], [PROMPT, OTHER]))
    assert ((values >= 0) & (values < 1)).all()
    assert abs(values.mean() - 0.5) < 0.05
    assert abs(np.corrcoef(values.T)[0, 1]) < 0.15
    assert scorer.explain(pictures[:1], PROMPT)[0].value == pytest.approx(float(values[0, 0]))


def test_the_command_takes_boxes_and_ensembles_and_says_what_they_are(folder: Path, tmp_path: Path, cli) -> None:
    for k, picture in enumerate(images(3)):
        picture.save(tmp_path / f"{k}.png")
    rows = [{"image": f"{k}.png", "prompt": PROMPT.prompt, "boxes": {"red cube": [0, 0, 0.5, 1]}} for k in range(3)]
    manifest = tmp_path / "rows.jsonl"
    manifest.write_text("\n".join(map(json.dumps, rows)))
    table = tmp_path / "rows.csv"
    cell = '"{""red cube"": [0, 0, 0.5, 1]}"'
    table.write_text(f"image,prompt,boxes\n0.png,{PROMPT.prompt},{cell}\n1.png,{PROMPT.prompt},\n")
    common = ("--backbone", folder, "--device", "cpu")
    code, out, err = cli("score", "--manifest", manifest, "--scorer", "comclip", "--json", *common)
    assert code == 0, err
    parts = json.loads(out)["rows"][0]["score"]["parts"]
    assert parts[0] == parts[0] | {"text": "red cube", "box": [0, 0, 0.5, 1], "kind": "sub-image"}
    code, out, err = cli("score", "--manifest", table, "--scorer", "comclip", "--json", *common)
    assert code == 0, err
    code, _, err = cli("score", "--manifest", manifest, "--scorer", "clip", "--json", *common)
    assert code == 0
    assert "takes no boxes" in err
    code, out, err = cli("score", "--manifest", manifest, "--scorer", "ensemble:abe+clip", *common)
    assert code == 0, err
    assert "mean rank among the candidates" in err
    for wrong, said in (([0, 0, 2, 1], "leaves the image"), ([0.5, 0, 0.5, 1], "is empty")):
        manifest.write_text(json.dumps(rows[0] | {"boxes": {"cube": wrong}}))
        code, _, err = cli("score", "--manifest", manifest, "--scorer", "comclip", *common)
        assert code == 2
        assert said in err
    manifest.write_text(json.dumps(rows[0] | {"boxes": [1, 2]}))
    code, _, err = cli("score", "--manifest", manifest, "--scorer", "comclip", *common)
    assert code == 2
    assert "line 1: boxes must be an object" in err


def test_drawn_candidates_are_ranked_together_whatever_the_batch(clip: DualEncoder, pipeline) -> None:
    ensemble = Reranker(make_scorer("ensemble:abe+clip", clip))
    size = {"num_inference_steps": 1, "guidance_scale": 1.0}
    parts, whole = (ensemble.generate(pipeline, PROMPT, 4, batch_size=b, **size) for b in (1, 4))
    assert [c.seed for c in parts.candidates] == [c.seed for c in whole.candidates]
    assert sum(c.score.value or 0 for c in parts.candidates) == -10
    with pytest.raises(UsageError, match="before all are drawn"):
        ensemble.generate(pipeline, PROMPT, 2, on_candidate=print, **size)
