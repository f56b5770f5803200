"""A table that is scored, killed by SIGKILL at chosen moments and started again until it is done; prints what was seen.

    python tests/kill_table.py FOLDER MOMENTS [OPTIONS of score TABLE --out]

Each start is killed in a moment of its own: so many shards after its start, and a part of a second later; by turns the
first process alone, whose workers must find out, or all of them at once. A run that ends before its moment begins
anew. The rows must be those of an undisturbed run, in order, none twice and none lost, with no half-written file left.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from io import BytesIO
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

COLOURS = ["red", "blue", "green", "yellow", "white", "black", "pink", "orange"]


def make_table(file: Path, rows: int) -> None:
    """Pictures of noise in squares, 128 px, prompts of two objects, and a number; a file of 100 rows a group."""
    levels = np.random.default_rng(0)

    def png() -> bytes:
        content = BytesIO()
        noise = levels.integers(0, 255, (8, 8, 3), dtype=np.uint8)
        Image.fromarray(noise).resize((128, 128), Image.Resampling.NEAREST).save(content, "PNG")
        return content.getvalue()

    prompts = [f"a {COLOURS[k % 8]} cylinder and a {COLOURS[k // 8 % 8]} cube" for k in range(rows)]
    table = pa.table({"image": [png() for _ in range(rows)], "prompt": prompts, "id": list(range(rows))})
    pq.write_table(table, file, row_group_size=100)


def started(table: Path, out: Path, options: list[str]) -> subprocess.Popen[bytes]:
    """The command, in a process group of its own."""
    command = [sys.executable, "-m", "abe_rerank", "score", str(table), "--out", str(out), *options]
    with Path(f"{out}.err").open("wb") as errors:
        return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=errors, start_new_session=True)


def whole_run(table: Path, out: Path, options: list[str]) -> list[dict[str, object]]:
    """Its rows. Raises AssertionError if it fails, or leaves what is no shard."""
    process = started(table, out, options)
    assert process.wait() == 0, Path(f"{out}.err").read_text()
    assert sorted(file.name for file in out.iterdir()) == [".table.lock", "rows", "table.json"], list(out.iterdir())
    files = sorted((out / "rows").iterdir())
    assert all(file.name.startswith("rows-") and file.suffix == ".parquet" for file in files), files
    return [row for file in files for row in pq.read_table(file).to_pylist()]


def shards(out: Path) -> int:
    """How many shards are there."""
    return len(list((out / "rows").glob("rows-*.parquet")))


def main(root: Path, moments: int, options: list[str], rows: int = 320) -> None:
    """Kill it, start it again, and compare."""
    root.mkdir(parents=True, exist_ok=True)
    make_table(root / "table.parquet", rows)
    options = ["--workers", "2", "--shard-rows", "8", *options]
    expected = whole_run(root / "table.parquet", root / "undisturbed", options)
    assert [row["row"] for row in expected] == list(range(rows))
    chance = random.Random(0)
    killed, begun, seen = 0, 0, []
    while killed < moments:
        out = root / f"killed-{begun}"
        there = shards(out)
        process = started(root / "table.parquet", out, options)
        until = there + killed % 6
        while process.poll() is None and shards(out) < until:
            time.sleep(0.02)
        time.sleep(chance.uniform(0, 12 if until == there else 1))
        if process.poll() is not None:
            assert whole_run(root / "table.parquet", out, options) == expected
            begun += 1
            continue
        (os.killpg if killed % 2 else os.kill)(process.pid, signal.SIGKILL)
        process.wait()
        killed += 1
        seen.append(f"{there}-{shards(out)}")
        print(f"killed {killed}: shards {seen[-1]}", flush=True)
    assert whole_run(root / "table.parquet", root / f"killed-{begun}", options) == expected
    print(f"killed {killed} times; shards from-to: {' '.join(seen)}; {rows} rows as in an undisturbed run")


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3:])
