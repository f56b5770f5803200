"""Soft-TIFA: GenEval 2's files read where the user has them, its questions asked, its two means against plain loops.

The benchmark's own data does not ship; these tests write small files of the same shape.
"""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
from evaluation_runs import Shape, results, said_by, write_run
from tiny_answerers import WORDS, save_answerer
from tiny_models import images, save_tiny

from abe_rerank import UsageError, parse
from abe_rerank.backbones import load_backbone
from abe_rerank.backbones.answers import load_answerer
from abe_rerank.evaluation.summary import summarize
from abe_rerank.report.run_page import run_page
from abe_rerank.runs.evaluated import JudgeResult
from abe_rerank.runs.records import PartRecord
from abe_rerank.scoring import make_scorer
from abe_rerank.scoring.questions import atoms, with_questions
from abe_rerank.suites import as_line, load_prompts

LINES = (
    {
        "prompt": "two red cubes next to a ring",
        "atom_count": 5,
        "vqa_list": [
            ["How many cubes are there in the picture?", "two"],
            ["Is the cube red?", "Yes"],
            ["Is there a cube in the picture?", "Yes"],
            ["Is the cube next to the ring?", "Yes"],
        ],
        "skills": ["count", "attribute", "object", "position"],
    },
    {
        "prompt": "a blue star",
        "atom_count": 2,
        "vqa_list": [["Is the star blue?", "Yes"], ["Is there a star in the picture?", "Yes"]],
        "skills": ["attribute", "object"],
    },
)
COUNTING = [*WORDS, "two", "2", "▁Two", "How", "many", "one", "word"]


@pytest.fixture
def suite(tmp_path: Path) -> Path:
    path = tmp_path / "geneval2.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in LINES))
    return path


def test_the_lines_are_read_with_questions_kinds_and_counts(suite: Path, tmp_path: Path) -> None:
    first, second = load_prompts(str(suite))
    assert (first.prompt, first.atom_count, first.category) == (LINES[0]["prompt"], 5, "5 atoms")
    assert [kind for kind, _, _ in first.questions] == ["count", "attribute", "object", "relation"]
    assert first.questions[0] == ("count", "How many cubes are there in the picture?", "two")
    kept = tmp_path / "prompts.jsonl"
    kept.write_text("".join(as_line(prompt) + "\n" for prompt in (first, second)))
    assert [p.questions for p in load_prompts(str(kept))] == [first.questions, second.questions]
    assert [p.atom_count for p in load_prompts(str(kept))] == [5, 2]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"atom_count": 0}, "atom_count"),
        ({"atom_count": "5"}, "atom_count"),
        ({"skills": ["count"]}, "lists of one length"),
        ({"vqa_list": "x"}, "lists of one length"),
        ({"vqa_list": [["Is it?"]] * 4}, "pairs of a question and its answer"),
        ({"vqa_list": [["Is it?", 2]] * 4}, "pairs of a question and its answer"),
        ({"skills": ["count", "mood", "object", "position"]}, "unknown skill 'mood'"),
        ({"prompt": " "}, 'needs a "prompt"'),
    ],
)
def test_lines_that_cannot_be_are_named(tmp_path: Path, change: dict[str, object], said: str) -> None:
    path = tmp_path / "wrong.jsonl"
    path.write_text(json.dumps(LINES[1]) + "\n" + json.dumps(LINES[0] | change))
    with pytest.raises(UsageError, match=f"line 2: .*{said}"):
        load_prompts(str(path))


@pytest.fixture(scope="module")
def judge(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_answerer("llava", tmp_path_factory.mktemp("llava"), COUNTING)


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny("CLIPModel", tmp_path_factory.mktemp("clip"))


def test_a_suites_questions_are_asked_with_their_own_answers(suite: Path, judge: Path, clip: Path) -> None:
    prompt = load_prompts(str(suite))[0]
    spec = with_questions(parse(prompt.prompt), prompt.questions)
    picture = images(1)
    scorer, answerer = make_scorer(f"vqa:{judge}", load_backbone(clip, device="cpu")), load_answerer(judge, "cpu")
    parts = scorer.explain(picture, spec)[0].parts
    assert [part.kind for part in parts] == ["question", "count", "attribute", "object", "relation"]
    asked = [f"{question} Answer in one word." for _, question, _ in prompt.questions]
    assert parts[1].text == f"{asked[0]} (two)"
    assert [part.text for part in parts[2:]] == asked[1:]
    ids = [COUNTING.index(token) for token in ("two", "2", "▁Two")]
    assert sorted(answerer.tokens("Two")) == sorted(ids)
    wanted = answerer.answer(picture, asked, ["two", "Yes", "yes", "yes"]).yes[0]
    np.testing.assert_allclose([part.value for part in parts[1:]], wanted, atol=1e-5)
    with pytest.raises(UsageError, match="no token for 'seven'"):
        answerer.answer(picture, ["How many?"], ["seven"])
    assert with_questions(parse("a"), None) == parse("a")
    assert [a.answer for a in atoms(spec)] == ["two", "Yes", "Yes", "Yes"]


def test_an_evaluation_of_a_json_of_prompt_to_file(suite: Path, judge: Path, clip: Path, tmp_path: Path, cli) -> None:
    for k, picture in enumerate(images(3)):
        picture.save(tmp_path / f"{k}.png")
    found = {LINES[0]["prompt"]: "0.png", LINES[1]["prompt"]: ["1.png", "2.png"], "another prompt": "0.png"}
    (tmp_path / "images.json").write_text(json.dumps(found))
    run = tmp_path / "run"
    code, _, err = cli(
        *("evaluate", "--suite", suite, "--images", tmp_path / "images.json", "--judge", f"vqa:{judge}"),
        *("--backbone", clip, "--device", "cpu", "--scorer", "clip", "--out", run),
    )
    assert code == 0, err
    lines = [json.loads(line) for line in (run / "results.jsonl").read_text().splitlines()]
    soft = summarize([run]).runs[0].soft_tifa
    assert soft.asked_by == "judge"
    assert [at.atoms for at in soft.by_count] == [2, 5]
    values = [part["value"] for part in lines[0]["judge"]["parts"] if part["kind"] != "question"]
    assert len(values) == 4
    assert soft.by_count[1].arithmetic.mean == pytest.approx(sum(values) / 4, abs=1e-6)
    assert soft.by_count[1].geometric.mean == pytest.approx(math.prod(values) ** 0.25, abs=1e-6)
    page = run_page(run).read_text()
    assert "Soft-TIFA: atoms and prompts" in page
    assert '<svg class="soft-curve"' in page


@pytest.mark.parametrize(
    ("value", "said"),
    [({"a red cube": 3}, "must be a path"), ({"a red cube": []}, "must be a path"), ({" ": "a.png"}, "must be a path")],
)
def test_a_map_of_prompts_that_cannot_be_is_refused(tmp_path: Path, value: object, said: str, clip: Path, cli) -> None:
    (tmp_path / "images.json").write_text(json.dumps(value))
    code, _, err = cli(
        *("evaluate", "--images", tmp_path / "images.json", "--backbone", clip, "--out", tmp_path / "run")
    )
    assert code == 2
    assert said in err


def test_both_means_kinds_and_counts_are_those_of_loops(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    rng = np.random.default_rng(1)
    shape = Shape(prompts=7, n=3, calibrated=False)
    found, told = [], {}
    for result in results(shape):
        kinds = ["object", "attribute", "attribute", "count", "relation"][: 2 + result.index % 4]
        values = rng.random(len(kinds)) if result.index else np.zeros(len(kinds))
        told[result.key] = list(zip(kinds, values.tolist(), strict=True))
        parts = [PartRecord(kind="question", text="all?", value=0.5)]
        parts += [PartRecord(kind=kind, text=kind, value=value) for kind, value in told[result.key]]
        judged = JudgeResult(value=0.5, status="scored", parts=tuple(parts))
        found.append(result.model_copy(update={"judge": judged}))
    run = write_run(tmp_path / "run", shape, found)
    soft = summarize([run]).runs[0].soft_tifa
    picked = {}
    for result in found:
        best = picked.get(result.index)
        if result.value is not None and (best is None or result.value > best.value):
            picked[result.index] = result

    def means(atoms: list[tuple[str, float]]) -> tuple[float, float]:
        values = [value for _, value in atoms]
        return sum(values) / len(values), math.prod(values) ** (1 / len(values))

    for k, estimates in enumerate((soft.arithmetic, soft.geometric)):
        assert estimates.first.mean == pytest.approx(np.mean([means(told[i, 0])[k] for i in range(7)]))
        everything = [np.mean([means(told[i, c])[k] for c in range(3)]) for i in range(7)]
        assert estimates.mean.mean == pytest.approx(np.mean(everything))
        assert estimates.picked.mean == pytest.approx(np.mean([means(told[r.key])[k] for r in picked.values()]))
        assert estimates.picked.low <= estimates.picked.mean <= estimates.picked.high
    every = [atom for result in picked.values() for atom in told[result.key]]
    for kind in soft.kinds:
        values = [value for name, value in every if name == kind.kind]
        assert kind.atoms == len(values)
        assert kind.mean.mean == pytest.approx(np.mean(values))
    for at in soft.by_count:
        some = [means(told[r.key]) for r in picked.values() if len(told[r.key]) == at.atoms]
        assert at.geometric.prompts == len(some)
        assert at.arithmetic.mean == pytest.approx(np.mean([a for a, _ in some]))
        assert at.geometric.mean == pytest.approx(np.mean([g for _, g in some]))
    for form in ("table", "csv", "markdown", "latex", "json"):
        code, out, _ = said_by(capsys, "summarize", run, "--format", form)
        assert code == 0
        assert "soft_tifa" in out or "Soft-TIFA" in out
    page = run_page(run).read_text()
    assert f"{soft.geometric.picked.mean:.3f}" in page
    assert page.count("<circle") >= 2 * len(soft.by_count)


def test_what_a_scorer_says_of_relations_stands_beside_its_pairs(tmp_path: Path) -> None:
    shape = Shape(calibrated=True, judge=None)
    held = PartRecord(kind="relation", text="cube left of ring", value=0.9)
    related = [result.model_copy(update={"parts": (held,)}) for result in results(shape)]
    without, found = (
        summarize([write_run(tmp_path / name, shape, made)]).runs[0].soft_tifa
        for name, made in (("without", None), ("with", related))
    )
    attribute, relation = found.kinds
    assert (attribute.kind, relation.kind) == ("attribute", "relation")
    assert relation.mean.mean == pytest.approx(0.9)
    assert attribute.mean == without.kinds[0].mean


def test_calibrated_pairs_are_atoms_and_plain_scores_have_none(tmp_path: Path) -> None:
    plain, sure = (Shape(calibrated=flag, judge=None) for flag in (False, True))
    assert summarize([write_run(tmp_path / "plain", plain)]).runs[0].soft_tifa is None
    soft = summarize([write_run(tmp_path / "sure", sure)]).runs[0].soft_tifa
    assert soft.asked_by == "scorer"
    assert [kind.kind for kind in soft.kinds] == ["attribute"]
    assert "Soft-TIFA" not in run_page(tmp_path / "plain").read_text()
