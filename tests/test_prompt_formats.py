"""Files of prompts as T2I-CompBench, GenEval, PartiPrompts, DrawBench and DPG write them."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from abe_rerank import UsageError
from abe_rerank.suites import as_line, load_prompts

DATA = Path(__file__).parents[2] / "shared" / "data"
shared = pytest.mark.skipif(not DATA.is_dir(), reason=f"the public data files are not at {DATA}")

PLAIN = "a green bench and a blue bowl\na {curly} cup, and a plate\n"
GENEVAL = "\n".join(
    json.dumps(line)
    for line in (
        {"tag": "two_object", "include": [{"class": "bench", "count": 1}], "prompt": "a photo of a bench"},
        {
            "tag": "color_attr",
            "include": [{"class": "wine glass", "color": "purple"}, {"class": "apple", "color": "black"}],
            "prompt": "a photo of a purple wine glass and a black apple",
        },
    )
)
PARTI = 'Prompt\tCategory\tChallenge\tNote\n"G I G" in paint\tArts\tBasic\tx\na "b" c\tAnimals\tBasic\t\n'
DRAWBENCH = 'Prompts,Category\n"A red, round ball.",Colors\n\nA ""brown"" bird,Colors\n'
DPG_TABLE = "item_id,text,keywords,tuple\nCOCO1,A red bus.,bus,1\nCOCO1,A red bus.,bus,2\nCOCO2,A cat.,cat,1\n"
DPG = '{"id": "10", "prompt": "On a rustic table."}\n{"id": "9", "prompt": "A bus."}\n'

CASES = {
    "plain": (PLAIN, ["a green bench and a blue bowl", "a {curly} cup, and a plate"], ["", ""]),
    "brace": ("{a} cup\na plate\n", ["{a} cup", "a plate"], ["", ""]),
    "geneval": (
        GENEVAL,
        ["a photo of a bench", "a photo of a purple wine glass and a black apple"],
        ["two_object", "color_attr"],
    ),
    "parti": (PARTI, ['"G I G" in paint', 'a "b" c'], ["Arts", "Animals"]),
    "drawbench": (DRAWBENCH, ["A red, round ball.", 'A ""brown"" bird'], ["Colors", "Colors"]),
    "dpg": (DPG, ["On a rustic table.", "A bus."], ["", ""]),
    "dpg table": (DPG_TABLE, ["A red bus.", "A cat."], ["", ""]),
}


def load(folder, text, name="prompts.txt"):
    (folder / name).write_text(text, encoding="utf-8")
    return load_prompts(str(folder / name))


@pytest.mark.parametrize(("text", "prompts", "categories"), CASES.values(), ids=CASES.keys())
@pytest.mark.parametrize("change", [str, lambda text: "\ufeff" + text, lambda text: text.replace("\n", "\r\n")])
def test_each_form_is_told_by_its_content_whatever_the_name(tmp_path, text, prompts, categories, change):
    for name in ("a.txt", "b.data", "c"):
        if "{a}" in text and name != "a.txt":
            continue  # a brace that opens no JSON is text only where the name says so
        found = load(tmp_path, change(text), name)
        assert [p.prompt for p in found] == prompts
        assert [p.category for p in found] == categories
        assert len({p.id for p in found}) == len(found)


@pytest.mark.parametrize("text", ["null", "[1, 2]", "[" * 9000, "a.png,a red cube", "image,caption\na.png,a red cube"])
@pytest.mark.parametrize("name", ["a.jsonl", "a.json", "a.csv", "A.TSV"])
def test_what_is_meant_as_records_is_not_read_as_a_prompt_a_line(tmp_path, text, name):
    with pytest.raises(UsageError, match=rf"{name}.*neither a JSON object nor the header of a table"):
        load(tmp_path, text, name)
    assert load(tmp_path, text, "a.txt")[0].prompt == text.partition("\n")[0]


def test_fifty_thousand_columns_of_one_name_are_refused_at_once(tmp_path):
    with pytest.raises(UsageError, match="the column c is there twice"):
        load(tmp_path, "image,prompt" + ",c" * 50_000 + "\n", "a.csv")


def test_geneval_says_the_pairs_where_it_says_colours(tmp_path):
    plain, coloured = load(tmp_path, GENEVAL)
    assert plain.pairs is None
    assert coloured.pairs == (("purple", "wine glass"), ("black", "apple"))
    assert [plain.id, coloured.id] == ["00000", "00001"]


def test_ids_of_dpg_are_kept_and_a_folder_of_text_files_is_its_other_form(tmp_path):
    assert [p.id for p in load(tmp_path, DPG)] == ["10", "9"]
    assert [p.id for p in load(tmp_path, DPG_TABLE)] == ["COCO1", "COCO2"]
    (tmp_path / "prompts").mkdir()
    (tmp_path / "prompts" / "COCO7.txt").write_text("A long\nprompt.\n")
    (found,) = load_prompts(str(tmp_path / "prompts"))
    assert (found.id, found.prompt) == ("COCO7", "A long\nprompt.")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"prompt": "x"}\nx\n', "line 2: not JSON"),
        ('{"prompt": "x"}\n[1]\n', 'line 2: needs a "prompt"'),
        ('{"prompt": "x", "include": [1]}', 'line 1: "include"'),
        ('{"prompt": "x", "include": [{"color": "red"}]}', 'line 1: "include"'),
        ("Prompts,Category\n,Colors\n", "line 2: the prompt is empty"),
        ('{"prompt": "\\ud800 cube"}', "half a character"),
    ],
)
def test_what_cannot_be_read_is_named_by_its_line(tmp_path, text, said):
    with pytest.raises(UsageError, match=said):
        load(tmp_path, text)


def test_prompts_written_as_lines_are_read_back(tmp_path):
    found = load(tmp_path, GENEVAL)
    assert load(tmp_path, "".join(as_line(p) + "\n" for p in found), "again") == found


@shared
@pytest.mark.parametrize(
    ("file", "number", "categories"),
    [
        ("t2i-compbench/color_val.txt", 300, 1),
        ("t2i-compbench/complex_val.txt", 300, 1),
        ("geneval/evaluation_metadata.jsonl", 553, 6),
        ("parti/PartiPrompts.tsv", 1632, 12),
        ("dpg-bench/dpg_prompts.jsonl", 1065, 1),
    ],
)
def test_public_files_are_read_whole(file, number, categories):
    found = load_prompts(str(DATA / file))
    assert len(found) == len({p.id for p in found}) == number
    assert len(Counter(p.category for p in found)) == categories
    assert all(p.prompt == p.prompt.strip() and "\t" not in p.prompt for p in found)


@shared
def test_the_pairs_of_geneval_are_those_of_its_gold_file():
    found = {p.prompt: p.pairs for p in load_prompts(str(DATA / "geneval/evaluation_metadata.jsonl"))}
    gold = load_prompts(str(DATA / "geneval/gold_pairs.jsonl"))
    assert len(gold) == 194
    assert [p.prompt for p in gold if found[p.prompt] != p.pairs] == []


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b'{"prompt": "a red cube"}\n{"prompt": ' + b"[" * 100_000, "line 2: JSON that is nested too deeply"),
        (b'{"prompt": ' + b"[" * 100_000, "line 1: JSON that is nested too deeply"),
        (b'{"prompt": "a red cube", "id": ' + b"9" * 5_000 + b"}", "line 1: holds a number of more digits"),
        (b'prompt,category\n"a red cube,x\n', "line 2: a quote that is not closed"),
        (b'prompt,category\n"' + b"a" * 140_000 + b'",x\n', "line 2: .*cell of more than 131,072 characters"),
        (b"prompt\tcategory\n" + b"a" * 140_000 + b"\tx\n", "line 2: .*cell of more than 131,072 characters"),
        (b"prompt,category\na red cube,x,y\n", "line 2: 3 cells, but 2 columns"),
        (b"prompt,prompt\na red cube,x\n", "line 1: the column prompt is there twice"),
        (b"a red cube\na blue\0 cone\n", "line 2: holds a NUL character"),
        (b"a red cube\na caf\xe9\n", "line 2: not UTF-8 text"),
        (b'{"prompt": "a \\ud800 cube"}\n', "line 1: holds half a character"),
    ],
)
def test_what_no_file_of_prompts_can_hold_is_named_with_its_line(tmp_path, content, words):
    (tmp_path / "prompts.data").write_bytes(content)
    with pytest.raises(UsageError, match=words):
        load_prompts(str(tmp_path / "prompts.data"))


def test_other_codings_and_delimiters_are_read(tmp_path):
    (tmp_path / "wide").write_bytes("a red cube\nein blauer K\u00f6rper\n".encode("utf-16"))
    assert [p.prompt for p in load_prompts(str(tmp_path / "wide"))] == ["a red cube", "ein blauer K\u00f6rper"]
    for sign in ";|":
        text = f'ID{sign} Prompt{sign}Category\n1{sign}"a red{sign} round cube"{sign}x\n'
        (found,) = load(tmp_path, text, "table.csv")
        assert (found.id, found.prompt, found.category) == ("1", f"a red{sign} round cube", "x")
