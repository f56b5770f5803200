"""Character spans to token indices, and windows, on real tokenizers: BPE, Unigram, word level, SentencePiece."""

from __future__ import annotations

import json
from functools import cache
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers
from transformers import CLIPTokenizer, PreTrainedTokenizerFast

from abe_rerank.backbones import TokenStates
from abe_rerank.errors import UsageError
from abe_rerank.parsing import parse
from abe_rerank.parsing.tokens import align_pieces, token_offsets, windows
from abe_rerank.types import Spec

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"
CORPUS = [
    "a small red cube next to a blue sphere",
    "a light blue vase and a striped cone",
    "the café is red, the ball is green",
]
TEXTS = [
    "a red cube and a red ball",
    "A light-blue vase, a (striped) RED cone!",
    "the ball's colour is red; the café is green",
    "two  red\n\ncubes,\ttiny",
    "unbelievably multicoloured ornithopters",
]


@cache
def clip() -> CLIPTokenizer:
    folder = SHARED / "clip-tokenizer"
    if not folder.is_dir():
        pytest.skip(f"CLIP's tokenizer is not at {folder}")
    return CLIPTokenizer.from_pretrained(folder)


@cache
def unigram() -> PreTrainedTokenizerFast:
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    trainer = trainers.UnigramTrainer(
        vocab_size=80, special_tokens=["<unk>", "</s>"], unk_token="<unk>", show_progress=False
    )
    tokenizer.train_from_iterator(CORPUS, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="<unk>", eos_token="</s>")


@cache
def word_level() -> PreTrainedTokenizerFast:
    tokenizer = Tokenizer(models.WordLevel(unk_token="<unk>"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.train_from_iterator(CORPUS, trainers.WordLevelTrainer(special_tokens=["<unk>"], show_progress=False))
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="<unk>")


FAST = [clip, unigram, word_level]


def words(text: str) -> list[tuple[int, int]]:
    """Naive spans of the maximal runs of letters."""
    spans, start = [], None
    for k, letter in enumerate(text + " "):
        if letter.isalpha() and start is None:
            start = k
        elif not letter.isalpha() and start is not None:
            spans.append((start, k))
            start = None
    return spans


def token_indices(tokenizer, text: str, spans: list[tuple[int, int]]) -> list[list[int]]:
    """The tokens of each span as the scorers find them: by the offsets of the tokens that stand for characters."""
    offsets = token_offsets(tokenizer, text)
    kept = [k for k, (start, end) in enumerate(offsets) if start < end]
    tokens = TokenStates(torch.empty(len(kept), 0), tuple(offsets[k] for k in kept))
    return [[kept[i] for i in tokens.indices(span)] for span in spans]


@pytest.mark.parametrize("make", FAST)
@pytest.mark.parametrize("text", TEXTS)
def test_every_word_is_covered_and_no_token_is_shared(make, text):
    tokenizer = make()
    spans = words(text)
    indices = token_indices(tokenizer, text, spans)
    ids = tokenizer(text)["input_ids"]
    assert all(indices)
    assert all(group == list(range(group[0], group[-1] + 1)) for group in indices)
    assert max(k for group in indices for k in group) < len(ids)
    if make is not unigram:  # a Unigram piece may hold a hyphen and the word after it
        flat = [k for group in indices for k in group]
        assert flat == sorted(set(flat))


def test_repeated_words_have_their_own_tokens():
    text = "a red cube and a red ball"
    first, second = token_indices(clip(), text, [(2, 5), (17, 20)])
    tokens = clip().convert_ids_to_tokens(clip()(text)["input_ids"])
    assert (first, second) == ([2], [6])
    assert [tokens[k] for k in first + second] == ["red</w>", "red</w>"]


def test_a_word_of_several_pieces_has_all_of_them():
    text = "a red ornithopter"
    (found,) = token_indices(clip(), text, [(6, 17)])
    pieces = clip().convert_ids_to_tokens(clip()(text)["input_ids"])
    assert len(found) > 1
    assert "".join(pieces[k] for k in found).replace("</w>", "") == "ornithopter"


def test_white_space_and_empty_text_have_no_tokens():
    assert token_indices(clip(), "a  red", [(1, 3)]) == [[]]
    assert token_indices(clip(), "", [(0, 0)]) == [[]]


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("make", [unigram, word_level])
def test_aligning_pieces_agrees_with_the_offsets_of_a_fast_tokenizer(make, text):
    tokenizer = make()
    encoded = tokenizer(text, return_offsets_mapping=True)
    tokens = tokenizer.convert_ids_to_tokens(encoded["input_ids"])
    pieces = [None if token == "</s>" else token for token in tokens]
    aligned = align_pieces(text, pieces, tokenizer.unk_token)
    for token, mine, theirs in zip(tokens, aligned, token_offsets(tokenizer, text), strict=True):
        if token == "▁" or theirs[0] == theirs[1]:
            continue  # the mark of a word's start stands for no character
        if token == "<unk>":
            assert mine[0] <= theirs[0] < theirs[1] <= mine[1], (token, mine, theirs)
        else:
            assert mine == theirs, (token, mine, theirs)


@pytest.mark.parametrize("text", [*TEXTS, "a Café — naïve 🙂 12 red's", "日本の赤い車"])
def test_aligning_byte_level_pieces_agrees_with_clips_offsets(text):
    from transformers.convert_slow_tokenizer import bytes_to_unicode

    tokenizer = clip()
    ids = tokenizer(text)["input_ids"]
    tokens = tokenizer.convert_ids_to_tokens(ids)
    pieces = [None if i in tokenizer.all_special_ids else token for i, token in zip(ids, tokens, strict=True)]
    decoder = {letter: byte for byte, letter in bytes_to_unicode().items()}
    assert align_pieces(text, pieces, None, decoder) == token_offsets(tokenizer, text)


def test_accents_that_a_tokenizer_strips_are_survived():
    assert align_pieces("a Café crème", ["a", "cafe", "cre", "##me"]) == [(0, 1), (2, 6), (7, 10), (10, 12)]


def test_dropped_punctuation_byte_fallback_and_unknown_pieces():
    text = "a (red) 🙂 ball!"
    pieces = ["▁a", "▁red", "▁", "<0xF0>", "<0x9F>", "<0x99>", "<0x82>", "▁", "<unk>", None]
    spans = align_pieces(text, pieces, "<unk>")
    assert [text[a:b] for a, b in spans] == ["a", "red", "", "🙂", "🙂", "🙂", "🙂", "", "ball!", ""]


def test_siglips_sentencepiece_without_offsets(tmp_path):
    spm = pytest.importorskip("sentencepiece", reason="SigLIP's tokenizer needs the package sentencepiece")
    from transformers import SiglipTokenizer

    corpus = tmp_path / "corpus.txt"
    corpus.write_text("\n".join(CORPUS * 20), encoding="utf-8")
    spm.SentencePieceTrainer.train(
        input=str(corpus), model_prefix=str(tmp_path / "m"), vocab_size=60, model_type="unigram",
        unk_id=0, pad_id=1, eos_id=2, bos_id=-1, minloglevel=2, hard_vocab_limit=False,
    )  # fmt: skip
    tokenizer = SiglipTokenizer(str(tmp_path / "m.model"))
    text = "A light-blue vase, a (red) café and a red ball."
    ids = tokenizer(text)["input_ids"]
    spans = words(text)
    indices = token_indices(tokenizer, text, spans)
    pieces = tokenizer.convert_ids_to_tokens(ids)
    for (start, end), group in zip(spans, indices, strict=True):
        joined = "".join(pieces[k] for k in group).replace("▁", "")
        assert text[start:end].lower() in joined
    assert token_indices(tokenizer, text, [(22, 25)]) != token_indices(tokenizer, text, [(38, 41)])


def without_space(text: str) -> str:
    return "".join(text.split())


@pytest.mark.parametrize("limit", [8, 20, 77])
def test_windows_fit_and_lose_nothing(limit):
    prompt = "A small red cube stands next to a blue sphere, behind a striped cone. The cone is green! " * 4
    found = windows(parse(prompt), clip(), limit)
    assert without_space("".join(prompt[a:b] for a, b in found)) == without_space(prompt)
    assert all(len(clip()(prompt[a:b])["input_ids"]) <= limit for a, b in found)
    assert all(left[1] <= right[0] for left, right in pairwise(found))


def test_a_prompt_that_fits_is_one_window():
    assert windows(parse("  a red cube "), clip(), 77) == [(2, 12)]
    assert windows(parse(" \n "), clip(), 77) == []


def test_windows_end_at_sentences_and_never_inside_a_phrase():
    prompt = (
        "A big red cube lies on a plate. A tiny green striped ball floats over it. A shiny blue cone stands behind."
    )
    spec = parse(prompt)
    found = [prompt[a:b] for a, b in windows(spec, clip(), 12)]
    assert found == [part + "." for part in prompt.rstrip(".").split(". ")]
    for start, end in windows(spec, clip(), 8):
        for thing in spec.objects:
            left, right = thing.phrase_span
            assert not left < start < right
            assert not left < end < right


def test_a_word_longer_than_the_window_is_cut():
    prompt = "x" * 300
    found = windows(Spec(prompt), clip(), 10)
    assert "".join(prompt[a:b] for a, b in found) == prompt
    assert len(found) > 1


def test_a_window_without_room_is_a_usage_error():
    with pytest.raises(UsageError, match="max_tokens=2"):
        windows(parse("a red cube"), clip(), 2)


def test_long_prompts_of_dpg_bench_lose_nothing():
    path = SHARED / "dpg-bench" / "dpg_prompts.jsonl"
    if not path.is_file():
        pytest.skip(f"the prompts of dpg-bench are not at {path}")
    prompts = [json.loads(line)["prompt"] for line in path.read_text(encoding="utf-8").splitlines()[:20]]
    several = 0
    for prompt in prompts:
        found = windows(parse(prompt), clip(), 77)
        several += len(found) > 1
        assert without_space("".join(prompt[a:b] for a, b in found)) == without_space(prompt)
        assert all(len(clip()(prompt[a:b])["input_ids"]) <= 77 for a, b in found)
    assert several > 5
