"""Manifests as people and programs write them, and as they should not: rows, or one line that says what was found."""

from __future__ import annotations

import csv
import json
import random
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from abe_rerank.errors import UsageError
from abe_rerank.suites.rows import Row, read_manifest

PROMPT = "a red cube, and a blue star"


def rows(folder: Path, content: str | bytes, name: str = "rows.csv") -> list[tuple[str, str]]:
    (folder / name).write_bytes(content.encode() if isinstance(content, str) else content)
    return [(row.image.name, row.prompt) for row in read_manifest(folder / name)]


@pytest.mark.parametrize(
    "content",
    [
        f'image,prompt\na.png,"{PROMPT}"\n',
        f'Image, Prompt\na.png, "{PROMPT}"\n',
        f'\n\n IMAGE ,"PROMPT"\r\na.png,"{PROMPT}"\r\n\r\n',
        f"image;prompt\na.png;{PROMPT}\n",
        f"image\tprompt\na.png\t{PROMPT}",
        f"prompt|image\n{PROMPT}|a.png",
        f'id;prompt;image\n1;"{PROMPT}";a.png;;\n',
        f'\ufeffimage,prompt\na.png,"{PROMPT}"\n',
        f'image,prompt\na.png,"{PROMPT}"\n'.encode("utf-16"),
        f'image;prompt\na.png;"{PROMPT}"\n'.encode("utf-16-be").join([b"\xfe\xff", b""]),
    ],
)
def test_tables_as_they_are_written(tmp_path: Path, content: str | bytes) -> None:
    assert rows(tmp_path, content) == [("a.png", PROMPT)]


def test_a_quoted_prompt_keeps_its_lines_and_quotes(tmp_path: Path) -> None:
    with (tmp_path / "rows.csv").open("w", newline="") as stream:
        csv.writer(stream).writerows([["image", "prompt"], ["a.png", 'a "red"\ncube, or so'], ["b.png", "x"]])
    assert [row.prompt for row in read_manifest(tmp_path / "rows.csv")] == ['a "red"\ncube, or so', "x"]


@pytest.mark.parametrize("name", ["rows.jsonl", "rows.json", "rows.ndjson"])
def test_json_as_lines_or_as_one_list(tmp_path: Path, name: str) -> None:
    records = [{"image": f"{k}.png", "prompt": PROMPT, "id": k, "category": None} for k in (1, 2)]
    expected = [Row(tmp_path / f"{k}.png", PROMPT, str(k)) for k in (1, 2)]
    for content in ("\r\n".join(map(json.dumps, records)), json.dumps(records, indent=2)):
        (tmp_path / name).write_text("\ufeff" + content)
        assert read_manifest(tmp_path / name) == expected


REFUSED = {
    "long cell": (f"image,prompt\na.png,{'x' * 131_073}\n", "line 2: a quote that is not closed, or a cell of more"),
    "open quote": ('image,prompt\nb.png,y\na.png,"x\nc.png,z\n', "line 3: a quote that is not closed"),
    "open quote and long": ('image,prompt\na.png,"' + "x\n" * 99_999, "line 2: a quote that is not closed"),
    "odd quotes": ('image,prompt\na.png,"red" cube\n', "line 2: quotes that do not go round a whole cell"),
    "loose comma": (f"image,prompt\na.png,{PROMPT}\n", "line 2: 3 cells, but 2 columns, parted by commas"),
    "other columns": ("file,text\na.png,x\n", "line 2: needs an image and a prompt.*found file, text"),
    "no header": ("a.png,x\nb.png,y\n", "line 2: needs an image and a prompt"),
    "twice": ("image,prompt,Prompt\na.png,x,y\n", "column prompt is there twice"),
    "nul": ("image,prompt\na.png,x\0y\n", "line 2: holds a NUL"),
    "utf-16 without its mark": ("image,prompt\na.png,x\n".encode("utf-16-le"), "line 1: holds a NUL.*UTF-8"),
    "latin": ("image,prompt\na.png,r\xf6d\n".encode("latin-1"), "line 2: not UTF-8 text .byte 0xf6"),
    "a picture": (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "not UTF-8 text"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_tables_that_cannot_be_read_name_the_line_and_what_was_found(tmp_path: Path, kind: str) -> None:
    content, words = REFUSED[kind]
    with pytest.raises(UsageError, match=rf"rows\.csv.*{words}") as caught:
        rows(tmp_path, content)
    assert "\n" not in str(caught.value)


REFUSED_JSON = {
    "deep": ("[" * 100_000, "nested too deeply"),
    "deep object": ('{"image": ' + '{"a":' * 100_000, "nested too deeply"),
    "digits": ('{"image": "a", "prompt": "b", "id": ' + "9" * 5000 + "}", "more digits"),
    "half a character": (r'{"image": "a", "prompt": "\ud800"}', "half a character"),
    "cut": ('{"image": "a", "prompt', "line 1: not JSON"),
    "no object": ("3", "line 1: needs an image and a prompt.*found neither"),
    "other types": ('{"image": ["a"], "prompt": {"b": 1}}', "line 1: needs an image"),
    "other keys": ('{"file": "a", "caption": "b"}', "found file, caption"),
}


@pytest.mark.parametrize("kind", REFUSED_JSON)
def test_json_that_cannot_be_read_names_the_line(tmp_path: Path, kind: str) -> None:
    content, words = REFUSED_JSON[kind]
    with pytest.raises(UsageError, match=rf"rows\.jsonl.*{words}"):
        rows(tmp_path, content, "rows.jsonl")


def test_a_folder_or_nothing_is_no_manifest(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "none.csv", tmp_path / ("x" * 300), Path("a\0b")):
        with pytest.raises(UsageError, match=r"is a folder, not a file|cannot be read|no such"):
            read_manifest(path)


PIECES = [
    "image",
    "prompt",
    ",",
    ";",
    "\t",
    "\n",
    "\r",
    '"',
    "\\",
    "\0",
    "{",
    "}",
    "[",
    "]",
    ":",
    "a.png",
    "\ufeff",
    "é",
]


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.one_of(st.binary(), st.lists(st.sampled_from(PIECES)).map("".join), st.text()), json=st.booleans())
def test_any_bytes_are_rows_or_one_error(tmp_path: Path, content: str | bytes, json: bool) -> None:
    data = content.encode("utf-8", "surrogatepass") if isinstance(content, str) else content
    try:
        found = rows(tmp_path, data, "rows.jsonl" if json else "rows.csv")
    except UsageError as error:
        found = [("error", str(error))]
    assert all(prompt.strip() for _, prompt in found)


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(prompts=st.lists(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1)))
def test_what_csv_writes_is_read_back(tmp_path: Path, prompts: list[str]) -> None:
    wanted = [prompt for prompt in prompts if prompt.strip()]
    delimiter = random.Random(len(wanted)).choice(",;|")
    with (tmp_path / "rows.csv").open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream, delimiter=delimiter, quoting=csv.QUOTE_ALL)
        writer.writerows([["image", "prompt"], *(["a.png", prompt] for prompt in wanted)])
    assert [row.prompt for row in read_manifest(tmp_path / "rows.csv")] == wanted
