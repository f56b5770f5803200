"""A table that is scored onto disks of every size from too small to enough.

Parquet is laid out by Arrow, below what a failing write of ours could stand for, so the disks are real: file systems in
memory, with so many bytes or so many files. Making one takes a superuser; where there is none, this is skipped.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

pytest.importorskip("daft", reason="tables are scored by Daft: pip install 'abe-rerank[scale]'")
pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")

from test_tables import PICTURES, PROMPTS  # noqa: E402

PAGE = 4096


def mounted(folder: Path, limit: str, again: bool = False) -> subprocess.CompletedProcess[str]:
    """A file system in memory with so much room, or more room in one that is there."""
    words = ["mount", "-t", "tmpfs", "-o", f"{'remount,' if again else ''}{limit}", "tmpfs", str(folder)]
    try:
        return subprocess.run(words, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        pytest.skip("there is no mount here")


@contextmanager
def disk(folder: Path, limit: str) -> Iterator[Path]:
    """A disk with so much room."""
    folder.mkdir(exist_ok=True)
    made = mounted(folder, limit)
    if made.returncode:
        pytest.skip(f"no file system can be mounted here: {made.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def rows_in(out: Path) -> list[dict[str, object]]:
    return [row for file in sorted((out / "rows").glob("*.parquet")) for row in pq.read_table(file).to_pylist()]


@pytest.mark.slow
@pytest.mark.parametrize("limit", ["size={}k", "nr_inodes={}"])
def test_a_table_on_a_full_disk_is_said_in_a_line_and_goes_on_with_room(limit, cli, tmp_path, backbone_folder):
    table = tmp_path / "table.parquet"
    pq.write_table(pa.table({"image": PICTURES, "prompt": PROMPTS, "id": list(range(len(PROMPTS)))}), table)
    how = ["--workers", "1", "--shard-rows", "7", "--top-k", "1", "--by", "id", "--backbone", backbone_folder]
    how += ["--device", "cpu"]
    assert cli("score", table, "--out", tmp_path / "whole", *how)[0] == 0
    expected, best = rows_in(tmp_path / "whole"), pq.read_table(tmp_path / "whole" / "best.parquet").to_pylist()
    assert len(expected) == len(best) == len(PROMPTS)

    step, failures, reached = (PAGE // 1024 if "size" in limit else 1), 0, set()
    for room in range(step, 100 * step, step):
        with disk(tmp_path / "disk", limit.format(room)) as place:
            out = place / "out"
            words = ("score", table, "--out", out, *how)
            code, _, err = cli(*words)
            if code == 0:
                break
            failures += 1
            said = [line for line in err.splitlines() if "No space left on device" in line]
            assert (code, len(said), "unexpected" in err, "Traceback" in err) == (1, 1, False, False), (room, err)
            there = rows_in(out)
            assert there == expected[: len(there)], room
            reached.add((len(there), (out / "table.json").is_file()))
            assert not [file.name for file in out.rglob("*.unfinished")], room
            assert mounted(place, limit.format(4096), again=True).returncode == 0
            assert cli(*words)[0] == 0, room
            assert rows_in(out) == expected, room
            assert pq.read_table(out / "best.parquet").to_pylist() == best, room
            assert sorted(file.name for file in out.iterdir()) == [".table.lock", "best.parquet", "rows", "table.json"]
    assert rows_in(tmp_path / "whole") == expected
    assert len(reached) >= 4, reached  # it failed before, at and behind every shard
    print(f"{limit}: {failures} disks too small, {sorted(reached)}")
