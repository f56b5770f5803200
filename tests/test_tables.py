"""Tables of any size: every row comes out once, with the scores that the reranker gives, or with a reason."""

from __future__ import annotations

import csv
import io
import json
import os
import random
import socket
import subprocess
import sys
import tarfile
import weakref
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

daft = pytest.importorskip("daft", reason="tables are scored by Daft: pip install 'abe-rerank[scale]'")
pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")

from abe_rerank import Reranker  # noqa: E402
from abe_rerank.cli.app import main  # noqa: E402
from abe_rerank.errors import AbeRerankError, UsageError  # noqa: E402
from abe_rerank.integrations.daft import shards, table_kinds, tar_files  # noqa: E402
from abe_rerank.integrations.daft.cells import pictures_of  # noqa: E402
from abe_rerank.integrations.daft.columns import scored  # noqa: E402
from abe_rerank.integrations.daft.engines import USAGE, Engine, Worker, stop_without  # noqa: E402
from abe_rerank.integrations.daft.scored_table import best_of, job_of, lanes_of, score_table  # noqa: E402
from abe_rerank.integrations.daft.shards import Job, Lane, do_lane, shards_of  # noqa: E402
from abe_rerank.integrations.daft.sources import KINDS, Table, open_table, rows_of  # noqa: E402
from abe_rerank.integrations.daft.table_kinds import ENDINGS  # noqa: E402

COLOURS = ("red", "blue", "green", "yellow")
PROMPTS = [f"a {COLOURS[k % 4]} square and a {COLOURS[(k + 1) % 4]} circle" for k in range(20)]


def png(k: int) -> bytes:
    picture = Image.new("RGB", (64, 64), "gainsboro")
    picture.paste(COLOURS[k % 4], (4 + k, 8, 28, 32))
    picture.paste(COLOURS[(k + 1) % 4], (36, 30, 58, 40 + k))
    file = io.BytesIO()
    picture.save(file, "PNG")
    return file.getvalue()


PICTURES = [png(k) for k in range(20)]


@pytest.fixture(scope="module")
def reranker() -> Reranker:
    return Reranker.from_pretrained()


@pytest.fixture(scope="module")
def values(reranker: Reranker) -> list[float]:
    """What the reranker says of each picture and its own prompt."""
    pictures = [Image.open(io.BytesIO(content)) for content in PICTURES]
    return [float(reranker.score([picture], [prompt])[0, 0]) for picture, prompt in zip(pictures, PROMPTS, strict=True)]


def as_parquet(folder: Path) -> Path:
    table = pa.table({"image": PICTURES, "prompt": PROMPTS, "id": list(range(20))})
    pq.write_table(table, folder / "table.parquet", row_group_size=7)
    return folder / "table.parquet"


def as_files(folder: Path) -> list[str]:
    for k, content in enumerate(PICTURES):
        (folder / f"{k}.png").write_bytes(content)
    return [f"{k}.png" for k in range(20)]


def as_csv(folder: Path) -> Path:
    with (folder / "table.csv").open("w", newline="") as file:
        csv.writer(file, delimiter=";").writerows([("image", "prompt"), *zip(as_files(folder), PROMPTS, strict=True)])
    return folder / "table.csv"


def as_jsonl(folder: Path) -> Path:
    rows = [{"image": i, "prompt": p, "n": 1} for i, p in zip(as_files(folder), PROMPTS, strict=True)]
    (folder / "table.jsonl").write_text("\n\n".join(map(json.dumps, rows)))
    return folder / "table.jsonl"


def as_tar(folder: Path) -> Path:
    with tarfile.open(folder / "table.tar", "w") as tar:
        for k in range(20):
            for name, content in ((f"{k:03}.png", PICTURES[k]), (f"{k:03}.prompt", PROMPTS[k].encode())):
                member = tarfile.TarInfo(name)
                member.size = len(content)
                tar.addfile(member, io.BytesIO(content))
    return folder / "table.tar"


def as_lance(folder: Path) -> Path:
    lance = pytest.importorskip("lance", reason="Lance tables need pylance")
    table = pa.table({"image": PICTURES, "prompt": PROMPTS})
    lance.write_dataset(table, folder / "table.lance", max_rows_per_file=9)
    return folder / "table.lance"


def as_folder(folder: Path) -> Path:
    table = pa.table({"image": PICTURES, "prompt": PROMPTS})
    (folder / "table").mkdir()
    pq.write_table(table.slice(0, 9), folder / "table" / "a.parquet")
    pq.write_table(table.slice(9), folder / "table" / "b.parquet")
    return folder / "table"


def job(path: Path, out: Path, **how: object) -> tuple[Table, Job]:
    table = open_table(str(path))
    return table, job_of(table, str(path), "image", "prompt", out, **({"shard_rows": 8, "batch_size": 3} | how))


def do_all(reranker: Reranker, table: Table, asked: Job) -> list[dict[str, object]]:
    for part in table.parts:
        do_lane(reranker, asked, Lane(part, tuple(shards_of(part, asked.shard_rows))))
    return rows_in(asked.out)


def rows_in(out: Path) -> list[dict[str, object]]:
    return [row for file in sorted((out / "rows").glob("*.parquet")) for row in pq.read_table(file).to_pylist()]


@pytest.mark.parametrize("made", [as_parquet, as_csv, as_jsonl, as_tar, as_folder, as_lance])
def test_every_kind_of_table_has_the_scores_of_the_reranker(made, tmp_path, reranker, values):
    rows = do_all(reranker, *job(made(tmp_path), tmp_path / "out"))
    assert [row["row"] for row in rows] == list(range(20))
    assert [row["prompt"] for row in rows] == PROMPTS
    assert [row["score"] for row in rows] == pytest.approx(values, abs=1e-5)
    assert {row["status"] for row in rows} == {"scored"}


def test_pairs_are_those_of_an_explanation(tmp_path, reranker):
    rows = do_all(reranker, *job(as_parquet(tmp_path), tmp_path / "out"))
    score = reranker.explain(Image.open(io.BytesIO(PICTURES[3])), PROMPTS[3])
    for cell, pair in zip(rows[3]["pairs"], score.pairs, strict=True):
        assert (cell["attribute"], cell["object"], cell["verdict"]) == (
            pair.attribute.text,
            pair.object.text,
            pair.verdict,
        )
        assert cell["probability"] == pytest.approx(pair.probability, abs=1e-6)
        assert cell["box"] == pytest.approx(pair.region.box, abs=1e-6)
    chances = [pair.probability for pair in score.pairs]
    assert rows[3]["all_bound"] == pytest.approx(chances[0] * chances[1], abs=1e-6)


def test_what_cannot_be_scored_stays_with_its_reason(tmp_path, reranker, values):
    images: list[bytes | None] = list(PICTURES)
    prompts: list[str | None] = list(PROMPTS)
    images[2], images[5], prompts[7], prompts[11] = b"junk", None, None, "  "
    images[13], prompts[13] = images[12], prompts[12]
    pq.write_table(pa.table({"image": images, "prompt": prompts}), tmp_path / "table.parquet")
    rows = do_all(reranker, *job(tmp_path / "table.parquet", tmp_path / "out"))
    assert [row["row"] for row in rows] == list(range(20))
    reasons = {row["row"]: row["reason"] for row in rows if row["status"] == "unscored"}
    assert reasons == {
        2: "the image is not an image that Pillow can read",
        5: "no image: the cell is empty",
        7: "no prompt: the cell is empty",
        11: "no prompt: the cell is empty",
    }
    assert all(row["score"] is None and row["pairs"] == [] for row in rows if row["row"] in reasons)
    assert rows[13]["score"] == rows[12]["score"] == pytest.approx(values[12], abs=1e-5)


def test_a_table_opens_no_url_and_writes_through_no_link_unless_told(tmp_path, reranker):
    server = socket.create_server(("127.0.0.1", 0))
    url = f"http://127.0.0.1:{server.getsockname()[1]}/a.png"
    for urls, said in ((False, "only with --urls"), (True, "cannot be opened")):
        path = tmp_path / f"{urls}.csv"
        path.write_text(f"image,prompt\n{url},a red cube\n")
        server.settimeout(0.2)
        if urls:
            server.close()
        rows = do_all(reranker, *job(path, tmp_path / f"out{urls}", urls=urls))
        assert said in rows[0]["reason"]
        if not urls:
            with pytest.raises(TimeoutError):  # nobody called
                server.accept()
    out, outside = tmp_path / "linked", tmp_path / "outside"
    out.mkdir()
    outside.mkdir()
    (out / "rows").symlink_to(outside)
    table, asked = job(path, out)
    with pytest.raises(AbeRerankError, match="rows is a link"):
        score_table(table, asked, Engine("native", 1))
    assert list(outside.iterdir()) == []


def test_the_members_of_a_row_are_bounded_together(tmp_path, reranker, monkeypatch):
    monkeypatch.setattr(tar_files, "LARGEST", 3000)
    path = tmp_path / "rows.tar"
    with tarfile.open(path, "w") as tar:
        for ending, content in (
            ("png", PICTURES[0]),
            ("prompt", b"a red square"),
            ("a", b"x" * 2000),
            ("b", b"x" * 2000),
        ):
            member = tarfile.TarInfo(f"0.{ending}")
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    rows = do_all(reranker, *job(path, tmp_path / "out"))
    assert "larger than 0 MiB, alone or with the row's others" in rows[0]["reason"]


def test_a_broken_line_of_text_is_a_row_with_a_reason(tmp_path, reranker):
    as_files(tmp_path)
    lines = ['{"image": "0.png", "prompt": "a red square"}', '{"image": "1.png",', "[1]", '{"prompt": "a red square"}']
    (tmp_path / "table.jsonl").write_text("\n".join(lines))
    rows = do_all(reranker, *job(tmp_path / "table.jsonl", tmp_path / "out"))
    assert [row["status"] for row in rows] == ["scored", "unscored", "unscored", "unscored"]
    assert "line 2" in rows[1]["reason"]
    assert rows[2]["reason"] == "line 3: not an object"
    assert rows[3]["reason"] == "no image: the cell is empty"
    (tmp_path / "table.csv").write_bytes(b"image,prompt\n0.png,a red square\n1.png\n2.png,a \xff square\n")
    rows = do_all(reranker, *job(tmp_path / "table.csv", tmp_path / "other"))
    assert [row["reason"] for row in rows] == [
        None,
        "line 3 has 1 cells for 2 columns",
        "the column 'prompt' holds bytes that are no UTF-8 text",
    ]


def test_a_shard_that_is_there_is_left_and_one_that_lacks_is_the_same_again(tmp_path, reranker):
    table, asked = job(as_parquet(tmp_path), tmp_path / "out")
    do_all(reranker, table, asked)
    files = sorted((tmp_path / "out" / "rows").iterdir())
    assert [file.name for file in files] == [
        "rows-000000000000-000000000008.parquet",
        "rows-000000000008-000000000016.parquet",
        "rows-000000000016-000000000020.parquet",
    ]
    contents = [file.read_bytes() for file in files]
    files[1].unlink()
    do_lane(reranker, asked, Lane(table.parts[0], (shards_of(table.parts[0], 8)[1],)))
    assert [file.read_bytes() for file in files] == contents


def test_a_write_that_fails_leaves_no_half_shard(tmp_path, reranker, monkeypatch):
    table, asked = job(as_parquet(tmp_path), tmp_path / "out")
    write = shards.write_whole
    written: list[Path] = []

    def full(path: Path, content: bytes) -> None:
        if written:
            raise AbeRerankError(f"cannot write {path}: No space left on device")
        written.append(path)
        write(path, content)

    monkeypatch.setattr(shards, "write_whole", full)
    with pytest.raises(AbeRerankError, match="No space left"):
        do_all(reranker, table, asked)
    assert len(rows_in(asked.out)) == 8
    monkeypatch.undo()
    assert len(do_all(reranker, table, asked)) == 20


def test_the_command_scores_goes_on_and_takes_the_best(tmp_path, reranker, values, capsys):
    path, out = as_parquet(tmp_path), tmp_path / "out"
    words = ["score", str(path), "--out", str(out), "--workers", "1", "--shard-rows", "8", "--top-k", "2"]
    with pytest.raises(SystemExit, match="0"):
        main(words)
    assert "scored    20" in capsys.readouterr().out
    rows = rows_in(out)
    assert [row["score"] for row in rows] == pytest.approx(values, abs=1e-5)
    (out / "rows" / "rows-000000000008-000000000016.parquet").unlink()
    words[words.index("--workers") + 1] = "2"  # processes of Daft's go on with what this one began
    with pytest.raises(SystemExit, match="0"):
        main(words)
    assert "12 rows were there already" in capsys.readouterr().out
    assert rows_in(out) == rows
    best = pq.read_table(out / "best.parquet").to_pylist()
    for prompt in sorted(set(PROMPTS)):
        naive = sorted((k for k in range(20) if PROMPTS[k] == prompt), key=lambda k: (-rows[k]["score"], k))[:2]
        assert [row["row"] for row in best if row["prompt"] == prompt] == naive
    assert Counter(row["rank"] for row in best) == {1: 4, 2: 4}
    with pytest.raises(SystemExit, match="2"):
        main([*words, "--scorer", "clip"])
    assert "another reranker" in capsys.readouterr().err


def test_a_wrong_name_is_a_wrong_use_and_leaves_the_folder_free(tmp_path, capsys):
    words = ["score", str(as_parquet(tmp_path)), "--out", str(tmp_path / "out"), "--workers", "1"]
    for wrong, said in (
        (["--scorer", "abc"], "unknown scorer 'abc'"),
        (["--by", "id"], "add --top-k 1"),
    ):
        with pytest.raises(SystemExit, match="2"):
            main([*words, *wrong])
        assert said in capsys.readouterr().err
    with pytest.raises(SystemExit, match="2"):
        main([*words, "--backbone", str(tmp_path / "nowhere")])
    assert "no backbone called" in capsys.readouterr().err
    fault = Worker(job(tmp_path / "table.parquet", tmp_path, chosen={"backbone": str(tmp_path / "nowhere")})[1]).fault
    assert fault.startswith(f"{USAGE}no backbone called")  # as a worker in another process hands it back
    with pytest.raises(SystemExit, match="0"):
        main([*words, "--scorer", "clip"])
    (tmp_path / "1.png").write_bytes(PICTURES[0])
    with pytest.raises(SystemExit, match="2"):
        main(["score", str(tmp_path / "1.png"), "--prompt", "a red cube", "--shard-rows", "8"])
    assert "--shard-rows is for tables" in capsys.readouterr().err


def test_a_dataframe_gets_a_column(reranker, values):
    frame = daft.from_pydict({"image": [*PICTURES[:3], None], "prompt": [*PROMPTS[:3], "a cube"]})
    cells = scored(frame).to_pydict()["binding"]
    assert [cell["score"] for cell in cells[:3]] == pytest.approx(values[:3], abs=1e-5)
    assert cells[3]["reason"] == "no image: the cell is empty"
    with pytest.raises(UsageError, match="no column 'picture'"):
        scored(frame, image="picture")


def test_tables_that_cannot_be_used_are_named(tmp_path):
    path = as_parquet(tmp_path)
    table = open_table(str(path))
    for wrong, message in (
        (("picture", "prompt"), "no column 'picture'; it has image, prompt, id"),
        (("image", "id"), "'id' of .* holds int64, not text"),
        (("id", "prompt"), "'id' of .* holds int64, no paths"),
    ):
        with pytest.raises(UsageError, match=message):
            job_of(table, str(path), *wrong, tmp_path / "out")
    pq.write_table(pa.table({"image": ["a"], "prompt": ["b"], "score": [1.0]}), tmp_path / "taken.parquet")
    with pytest.raises(UsageError, match="'score' already"):
        job(tmp_path / "taken.parquet", tmp_path / "out")
    assert job(tmp_path / "taken.parquet", tmp_path / "out", prefix="abe_")[1].schema.names[-1] == "abe_pairs"
    pq.write_table(pa.table({"image": ["a"], "prompt": ["b"]}).slice(1), tmp_path / "empty.parquet")
    (tmp_path / "empty.jsonl").write_text("")
    for empty in ("empty.parquet", "empty.jsonl"):
        with pytest.raises(UsageError, match="has no rows"):
            job(tmp_path / empty, tmp_path / "out")
    (tmp_path / "broken.parquet").write_bytes(b"PAR1 no more")
    with pytest.raises(AbeRerankError, match=r"broken.parquet cannot be read"):
        open_table(str(tmp_path / "broken.parquet"))
    with pytest.raises(UsageError, match="no such table"):
        open_table(str(tmp_path / "none.parquet"))
    (tmp_path / "folder").mkdir()
    with pytest.raises(UsageError, match="is no table"):
        open_table(str(tmp_path / "folder"))
    (tmp_path / "out" / "rows").mkdir(parents=True)
    pq.write_table(pa.table({"row": [0], "score": [1.0]}), tmp_path / "out" / "rows" / "rows-0-1.parquet")
    with pytest.raises(UsageError, match="no column 'seed'"):
        best_of(tmp_path / "out", 1, "seed")


def test_row_groups_that_nobody_wants_are_not_read(tmp_path):
    path = as_parquet(tmp_path)  # groups of 7 rows
    part = open_table(str(path)).parts[0]
    for start, stop in ((0, 20), (0, 1), (6, 8), (7, 14), (13, 20), (19, 20)):

        def wanted(first: int, end: int, start: int = start, stop: int = stop) -> bool:
            return first < stop and start < end

        found = [(row.number, row.cells["id"], row.fault) for row in rows_of(str(path), part, wanted)]
        assert found == [(k, k, None) for k in range(start, stop)]
    second = pq.read_metadata(path).row_group(1).column(0)
    with path.open("r+b") as file:
        file.seek(second.data_page_offset)
        file.write(b"\xff" * 40)
    assert [row.number for row in rows_of(str(path), part, lambda first, end: first < 20 and end > 14)] == [
        *range(14, 20)
    ]
    with pytest.raises(AbeRerankError, match=r"table.parquet cannot be read"):
        list(rows_of(str(path), part, lambda first, end: True))


def odd_csv(path: Path) -> None:
    """A mark of the byte order, quotes, line ends in cells, and blank lines."""
    rows = [f'{k}.png,"a ""red"" c\u00fcbe,\n{k} \U0001f7e5"' + "\r\n" * (k % 5 == 0) for k in range(57)]
    path.write_bytes("\r\n".join(["\ufeffimage,prompt", *rows]).encode())


def old_csv(path: Path) -> None:
    """Line ends of one character, bytes that are no UTF-8, rows of another length."""
    rows = [b"%d.png;a\xff cube" % k if k % 7 == 0 else b"%d.png" % k if k % 7 == 1 else b"0;cube" for k in range(50)]
    path.write_bytes(b"\r".join([b"image;prompt", *rows, b"", b""]))


def odd_lines(path: Path) -> None:
    """Blank lines, and lines that are no JSON."""
    rows = [json.dumps({"image": f"{k}.png", "prompt": "c\u00fcbe"}, ensure_ascii=False) for k in range(41)]
    path.write_text("\n\n" + "\n\n".join(row if k % 6 else "[" for k, row in enumerate(rows)), encoding="utf-8")


def odd_tar(path: Path) -> None:
    """Names that need a header of their own, folders in between, rows of two members and of three."""
    with tarfile.open(path, "w") as tar:
        for k in range(40):
            for ending in ("png", "prompt", "extra")[: 2 + k % 2]:
                member = tarfile.TarInfo("d" * 120 * (k % 4 == 0) + f"/{k}.{ending}")
                member.size = 13 * k
                tar.addfile(member, io.BytesIO(b"x" * member.size))
            folder = tarfile.TarInfo(f"folder{k}")
            folder.type = tarfile.DIRTYPE
            tar.addfile(folder)


@pytest.mark.parametrize(
    ("made", "name"), [(odd_csv, "a.csv"), (old_csv, "b.tsv"), (odd_lines, "c.jsonl"), (odd_tar, "d.tar")]
)
def test_rows_read_from_a_mark_on_are_those_of_a_file_read_from_its_start(made, name, tmp_path, monkeypatch):
    monkeypatch.setattr(table_kinds, "APART", 3)
    monkeypatch.setattr(table_kinds, "MOST_MARKS", 8)
    path = str(tmp_path / name)
    made(Path(path))
    part = open_table(path).parts[0]
    assert 4 < len(part.extent.marks) <= 8
    from_start = replace(part, extent=replace(part.extent, marks=part.extent.marks[:1]))
    rows = list(rows_of(path, from_start, lambda first, end: True))
    assert [row.number for row in rows] == list(range(part.rows))
    for start in range(part.rows):
        for stop in (start + 1, start + 4, part.rows):

            def wanted(first: int, end: int, start: int = start, stop: int = stop) -> bool:
                return first < stop and start < end

            assert list(rows_of(path, part, wanted)) == rows[start:stop]


@pytest.mark.parametrize(("made", "name"), [(odd_csv, "a.csv"), (odd_lines, "c.jsonl"), (odd_tar, "d.tar")])
def test_of_a_text_or_a_tar_file_a_lane_reads_its_own_part_alone(made, name, tmp_path, monkeypatch):
    monkeypatch.setattr(table_kinds, "APART", 4)
    path = str(tmp_path / name)
    made(Path(path))
    part = open_table(path).parts[0]
    rows = list(rows_of(path, part, lambda first, end: first < 24 and end > 16))
    content = Path(path).read_bytes()
    marks = {mark.row: mark.place for mark in part.extent.marks}
    kept = content[: marks[0]], content[marks[16] : marks[28]]  # a row of a tar file ends where the next begins
    assert [len(kept[1]) * 3 < len(content), len(rows)] == [True, 8]
    Path(path).write_bytes(kept[0].ljust(marks[16], b"\xff") + kept[1].ljust(len(content) - marks[16], b"\xff"))
    assert list(rows_of(path, part, lambda first, end: first < 24 and end > 16)) == rows
    with Path(path).open("ab") as file:
        file.write(b"\n")
    with pytest.raises(AbeRerankError, match=r"bytes now, and had .* before; score it into a new folder"):
        next(rows_of(path, part, lambda first, end: True))


def test_of_the_pictures_of_a_batch_one_at_a_time_is_decoded():
    before: list[weakref.ref[object]] = []
    for picture in pictures_of(PICTURES, "."):
        assert sum(other() is not None for other in before) <= 1
        before.append(weakref.ref(picture))
    assert len(before) == len(PICTURES)


@pytest.mark.parametrize("workers", [1, 2, 3, 7])
def test_lanes_hold_each_missing_shard_once_neighbours_together(workers, tmp_path):
    table, asked = job(as_folder(tmp_path), tmp_path / "out", shard_rows=1)  # files of 9 and 11 rows
    (tmp_path / "out" / "rows").mkdir(parents=True)
    shards_of(table.parts[1], 1)[3].file(tmp_path / "out").touch()
    lanes = lanes_of(table, asked, workers)
    assert [shard.start for lane in lanes for shard in lane.shards] == [k for k in range(20) if k != 9 + 3]
    assert all(
        lane.part.start <= shard.start < lane.part.start + lane.part.rows for lane in lanes for shard in lane.shards
    )
    sizes = [[len(lane.shards) for lane in lanes if lane.part == part] for part in table.parts]
    assert all(
        max(each) - min(each) <= 1 and len(each) == min(2 * workers if workers > 1 else 1, total)
        for each, total in zip(sizes, (9, 10), strict=True)
    )


def test_the_best_rows_are_those_of_a_plain_loop(tmp_path):
    lot = random.Random(0)
    rows = [
        {
            "row": k,
            "group": lot.choice(["a", "b", None]),
            "rank": "of the table",
            "score": lot.choice([None, 0.25, 0.5, 0.75]),
            "pairs": [{"attribute": str(k)}],
        }
        for k in range(60)
    ]
    (tmp_path / "rows").mkdir()
    for start in (0, 20, 40):
        pq.write_table(
            pa.Table.from_pylist(rows[start : start + 20]), tmp_path / "rows" / f"rows-{start}-{start + 20}.parquet"
        )
    expected = [
        {**row, "rank": rank}
        for group in ("a", "b", None)
        for rank, row in enumerate(
            sorted(
                (row for row in rows if row["group"] == group and row["score"] is not None),
                key=lambda row: (-row["score"], row["row"]),
            )[:5],
            start=1,
        )
    ]
    assert pq.read_table(best_of(tmp_path, 5, "group")).to_pylist() == expected


def test_every_kind_of_table_is_known_without_its_library():
    assert tuple(KINDS) == ENDINGS


def test_a_table_that_has_grown_since_is_not_mixed(tmp_path, reranker):
    table, asked = job(as_parquet(tmp_path), tmp_path / "out")
    pq.write_table(pa.table({"image": PICTURES[:5], "prompt": PROMPTS[:5], "id": [0] * 5}), tmp_path / "table.parquet")
    with pytest.raises(AbeRerankError, match="has 5 rows now, and had 20 before"):
        do_lane(reranker, asked, Lane(table.parts[0], tuple(shards_of(table.parts[0], 8))))


def test_a_worker_ends_once_the_first_process_is_gone_even_if_that_was_before_it_began(tmp_path):
    table, asked = job(as_parquet(tmp_path), tmp_path / "out")
    for starter in (None, os.getppid()):
        stop_without(starter)()
    gone = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, text=True)
    worker = Worker(asked, stop_without(int(gone.stdout)))
    assert worker.do(Lane(table.parts[0], tuple(shards_of(table.parts[0], 8)))) == (
        "the process that started this worker is gone"
    )
    assert not (tmp_path / "out" / "rows").exists()


@pytest.mark.slow
def test_killed_at_any_moment_it_goes_on_to_the_same_rows(tmp_path):
    script = Path(__file__).with_name("kill_commands.py")
    words = [sys.executable, script, tmp_path, "1", "table", "--scorer", "clip"]
    ended = subprocess.run(words, capture_output=True)
    assert ended.returncode == 0, ended.stderr.decode()


@pytest.mark.slow
def test_a_cluster_of_two_workers_gives_the_same_rows(tmp_path):
    pytest.importorskip("ray", reason="a cluster needs Ray")
    path, rows = as_parquet(tmp_path), []
    for engine in ("native", "ray"):
        out = tmp_path / engine
        words = ["score", str(path), "--out", str(out), "--engine", engine, "--workers", "2", "--shard-rows", "4"]
        ended = subprocess.run([sys.executable, "-m", "abe_rerank", *words], capture_output=True)
        assert ended.returncode == 0, ended.stderr.decode()
        rows.append(rows_in(out))
    assert rows[0] == rows[1]
