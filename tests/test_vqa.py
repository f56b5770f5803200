"""Judges that answer questions: real classes of three families at tiny random configs, against their own softmax."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from tiny_answerers import FAMILIES, QWEN, WORDS, save_answerer
from tiny_models import images, save_tiny

from abe_rerank import Reranker, UsageError, parse
from abe_rerank.backbones import DualEncoder, load_backbone
from abe_rerank.backbones.answers import Answerer, load_answerer
from abe_rerank.scoring import make_scorer
from abe_rerank.scoring.questions import WHOLE, atoms, pair_questions, whole_question
from abe_rerank.scoring.vqa import Answer, verdict_of

PROMPT = parse("a red cube next to a blue ring")
QUESTIONS = ["Is there a cube in the picture?", "Is the cube red?", "Is the cube blue?", whole_question(PROMPT.prompt)]


@pytest.fixture(scope="module", params=FAMILIES)
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_answerer(request.param, tmp_path_factory.mktemp(request.param))


@pytest.fixture(scope="module")
def answerer(folder: Path) -> Answerer:
    return load_answerer(folder, "cpu")


@pytest.fixture(scope="module")
def llava(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_answerer("llava", tmp_path_factory.mktemp("llava"))


@pytest.fixture(scope="module")
def clip_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny("CLIPModel", tmp_path_factory.mktemp("clip"))


@pytest.fixture(scope="module")
def clip(clip_folder: Path) -> DualEncoder:
    return load_backbone(clip_folder, device="cpu")


def own_softmax(folder: Path, picture: object, question: str) -> torch.Tensor:
    """The model's distribution over its first answer token, as its documentation asks it, one question alone."""
    model = transformers.AutoModelForImageTextToText.from_pretrained(folder).eval()
    if model.config.model_type == "qwen2_5_vl":
        return next_word(model, qwen_inputs(folder, picture, question))
    processor = transformers.AutoProcessor.from_pretrained(folder, backend="pil")
    if processor.chat_template:
        content = [{"type": "image"}, {"type": "text", "text": question}]
        text = processor.apply_chat_template([{"role": "user", "content": content}], add_generation_prompt=True)
    else:
        text = "<image>" + question
    inputs = processor(images=[[picture]], text=[text], return_tensors="pt")
    inputs.pop("labels", None)
    return next_word(model, inputs)


def qwen_inputs(folder: Path, picture: object, question: str) -> dict[str, torch.Tensor]:
    """By hand, since its processor does not load whole without torchvision: a token for each four patches."""
    tokens = transformers.AutoTokenizer.from_pretrained(folder)
    pixels = transformers.Qwen2VLImageProcessorPil.from_pretrained(folder)(images=[picture], return_tensors="pt")
    start, one, end, _ = QWEN
    many = one * (int(pixels["image_grid_thw"].prod()) // 4)
    written = tokens(f"USER : {start}{many}{end} {question} ASSISTANT :", return_tensors="pt")
    return {**pixels, **written, "mm_token_type_ids": (written["input_ids"] == tokens.convert_tokens_to_ids(one)).int()}


def next_word(model: Any, inputs: Any) -> torch.Tensor:
    written = model.generate(
        **inputs, max_new_tokens=1, do_sample=False, output_logits=True, return_dict_in_generate=True
    )
    return written.logits[0][0].float().softmax(dim=-1)


def test_answers_are_the_models_own_softmax_whatever_the_batch(folder: Path, answerer: Answerer) -> None:
    pictures = images(3, size=(40, 32))
    found = answerer.answer(pictures, QUESTIONS)
    spellings = {"yes": ["yes", "Yes", "▁YES"], "no": ["no", "▁No"]}
    for n, picture in enumerate(pictures):
        for q, question in enumerate(QUESTIONS):
            own = own_softmax(folder, picture, question)
            for mass, word in ((found.yes, "yes"), (found.no, "no")):
                wanted = sum(float(own[WORDS.index(token)]) for token in spellings[word])
                assert float(mass[n, q]) == pytest.approx(wanted, abs=1e-5)
            assert float(found.lost[n, q]) == pytest.approx(1 - float(found.yes[n, q] + found.no[n, q]), abs=1e-6)
    assert found.yes.std() > 1e-4


def test_batches_of_any_size_answer_alike(folder: Path, answerer: Answerer) -> None:
    pictures = images(5, size=(40, 32))
    wanted = answerer.answer(pictures, QUESTIONS)
    for size in (1, 3, 64):
        small = Answerer(answerer.model, answerer.processor, folder, "small", batch_size=size)
        found = small.answer(pictures, QUESTIONS)
        torch.testing.assert_close(found.yes, wanted.yes, atol=1e-5, rtol=0)
        torch.testing.assert_close(found.no, wanted.no, atol=1e-5, rtol=0)


def test_a_picture_goes_through_the_vision_tower_once_for_all_questions(answerer: Answerer) -> None:
    """But where the tower takes the patches of all pictures in one row: 16 of each, for every question."""
    names = ("patch_embedding", "patch_embed")
    patches = next(m for name, m in answerer.model.named_modules() if name.endswith(names))
    rows: list[int] = []
    handle = patches.register_forward_pre_hook(lambda _, given: rows.append(given[0].shape[0]))
    answerer.answer(images(3), QUESTIONS)
    answerer.answer(images(1), ["Is it red?"])
    handle.remove()
    assert rows == ([3 * 4 * 16, 16] if answerer.model.config.model_type == "qwen2_5_vl" else [3, 1])


def test_scores_say_the_whole_question_and_every_atom(folder: Path, clip: DualEncoder) -> None:
    scorer, pictures = make_scorer(f"vqa:{folder}", clip), images(2)
    answers = load_answerer(folder, "cpu").answer(pictures, [a.question for a in atoms(PROMPT)])
    for n, score in enumerate(scorer.explain(pictures, PROMPT)):
        assert score.parts[0].text == WHOLE.format(prompt=PROMPT.prompt)
        assert score.value == score.parts[0].value
        assert [part.kind for part in score.parts[1:]] == ["object"] * 2 + ["attribute"] * 2 + ["relation"]
        np.testing.assert_allclose([part.value for part in score.parts[1:]], answers.yes[n], atol=1e-5)
        kept = [part.weight for part in score.parts[1:]]
        np.testing.assert_allclose(kept, 1 - answers.lost[n], atol=1e-5)
        for pair in score.pairs:
            there = next(part for part in score.parts if f"a {pair.object.text} in the" in part.text)
            assert pair.probability == pytest.approx(there.value * pair.evidence, abs=1e-6)
            assert pair.competitor in ("red", "blue")
    values = scorer.score(pictures, [PROMPT, parse("a star")])
    np.testing.assert_allclose(values[:, 0], [s.value for s in scorer.explain(pictures, PROMPT)], atol=1e-5)
    assert "vqa" in scorer.stamp
    assert scorer.stamp == make_scorer(f"vqa:{folder}", clip).stamp


@pytest.mark.parametrize(
    ("prompt", "asked"),
    [
        (
            "two red cubes and an orange ring",
            [
                "Are there cubes in the picture?",
                "Are there exactly 2 cubes?",
                "Is there a ring in the picture?",
                "Are the cubes red?",
                "Is the ring orange?",
            ],
        ),
        (
            "a red cube and a blue cube",
            [
                "Is there a cube in the picture?",
                "Is there a red cube in the picture?",
                "Is there a blue cube in the picture?",
            ],
        ),
        ("a cube above a ring without a star", None),
        ("red", []),
    ],
)
def test_the_questions_of_a_prompt(prompt: str, asked: list[str] | None) -> None:
    found = [atom.question for atom in atoms(parse(prompt))]
    if asked is None:
        assert "Is the cube above the ring?" in found
        assert not any("star" in question for question in found)
    else:
        assert found == asked


def test_competitors_are_those_of_the_prompt() -> None:
    pairs = pair_questions(parse("a red cube, a blue ring and a striped star"))
    assert [(p.asked, p.instead) for p in pairs] == [
        ("Is the cube red?", ("Is the cube blue?",)),
        ("Is the ring blue?", ("Is the ring red?",)),
        ("Is the star striped?", ()),
    ]


def test_presence_comes_first_in_a_verdict() -> None:
    yes, no, strong = Answer(0.6, 0.2), Answer(0.1, 0.7), Answer(0.9, 0.05)
    assert verdict_of(no, strong, None) == "not found"
    assert verdict_of(yes, yes, None) == "bound"
    assert verdict_of(yes, no, None) == "wrong"
    assert verdict_of(yes, yes, strong) == "swapped"
    assert verdict_of(yes, strong, yes) == "bound"
    assert verdict_of(yes, no, no) == "wrong"
    assert verdict_of(yes, Answer(0.3, 0.1), Answer(0.35, 0.5)) == "unsure"


def test_models_that_cannot_answer_are_usage_errors(clip_folder: Path, clip: DualEncoder, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="type 'clip', which cannot answer questions; vqa takes image-text-to-text"):
        make_scorer(f"vqa:{clip_folder}", clip)
    with pytest.raises(UsageError, match="write it vqa:MODEL"):
        make_scorer("vqa", clip)
    with pytest.raises(UsageError, match="no model that answers questions called"):
        make_scorer("vqa:nothing-there", clip)
    mute = [word for word in WORDS if word.lower().lstrip("▁") != "no"]
    save_answerer("llava", tmp_path, mute)
    with pytest.raises(UsageError, match="cannot answer: its tokenizer has no token for 'no'"):
        make_scorer(f"vqa:{tmp_path}", clip)


def test_a_vqa_scorer_and_judge_from_the_command_line(
    llava: Path, clip_folder: Path, tmp_path: Path, pipeline_folder: Path, cli
) -> None:
    for k, picture in enumerate(images(2)):
        picture.save(tmp_path / f"{k}.png")
    common = ("--backbone", clip_folder, "--device", "cpu")
    asked = ("score", tmp_path, "--prompt", PROMPT.prompt, "--scorer", f"vqa:{llava}", "--json", *common)
    code, out, err = cli(*asked)
    assert code == 0, err
    row = json.loads(out)["rows"][0]["score"]
    assert row["parts"][0]["kind"] == "question"
    assert {pair["verdict"] for pair in row["pairs"]} <= {"bound", "swapped", "wrong", "unsure", "not found"}
    rows = "".join(json.dumps({"image": f"{k}.png", "prompt": PROMPT.prompt}) + "\n" for k in range(2))
    (tmp_path / "rows.jsonl").write_text(rows)
    run = tmp_path / "run"
    code, out, err = cli(
        *("evaluate", "--images", tmp_path / "rows.jsonl", "--judge", f"vqa:{llava}", "--out", run, *common)
    )
    assert code == 0, err
    lines = [json.loads(line) for line in (run / "results.jsonl").read_text().splitlines()]
    scorer = make_scorer(f"vqa:{llava}", load_backbone(clip_folder, device="cpu"))
    wanted = scorer.score(images(2), [PROMPT])[:, 0]
    np.testing.assert_allclose([line["judge"]["value"] for line in lines], wanted, atol=1e-5)
    assert [part["kind"] for part in lines[0]["judge"]["parts"]][:2] == ["question", "object"]


def test_an_ensemble_with_a_vqa_member(llava: Path, clip: DualEncoder) -> None:
    ranking = Reranker(make_scorer(f"ensemble:clip+vqa:{llava}", clip)).rank(PROMPT, images(3))
    assert [part.text for part in ranking.best.score.parts[:2]] == ["clip", f"vqa:{llava}"]
    assert len(ranking.best.score.pairs) == 2
