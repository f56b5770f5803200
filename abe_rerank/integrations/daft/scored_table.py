"""A table scored on Daft: its shards shared out to workers, what is there already left alone, the best of each group.

The folder holds ``table.json``, what was asked, and ``rows/*.parquet``, the shards. The same call goes on where an
earlier one stopped. Daft's native runner starts workers on this machine, Ray those of a cluster that shares the folder.
"""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import daft
import pyarrow as pa
import pyarrow.parquet as pq

from abe_rerank.errors import AbeRerankError, UsageError, first_line
from abe_rerank.files import read_json, write_whole
from abe_rerank.integrations.daft.engines import Engine, wait_for_workers, work_off
from abe_rerank.integrations.daft.results import FIELDS
from abe_rerank.integrations.daft.shards import ROW, Job, Lane, Shard, shard_folder, shards_of, write_table
from abe_rerank.integrations.daft.sources import Part, Table
from abe_rerank.runs.folders import held, make_folder
from abe_rerank.runs.journal import refuse_links

LANES = 4
"""Into how many lanes for each worker the work is parted, so that the last ones end at nearly the same time."""

SECONDS = 0.5
"""How often the folder is looked at for what is done."""


@dataclass(frozen=True)
class Report:
    """What became of the rows; ``before`` were there already, ``reasons`` counts why rows are unscored."""

    rows: int
    before: int
    statuses: Counter[str]
    reasons: Counter[str]


def job_of(
    table: Table,
    name: str,
    image: str,
    prompt: str,
    out: Path,
    *,
    keep_images: bool = False,
    prefix: str = "",
    **how: Any,
) -> Job:
    """The job of a table; its pictures' bytes are left out unless they are to be kept.

    Raises UsageError for a table without rows, and a column that is not there, is of another type, or has the name of a
    result.
    """
    if not table.rows:
        raise UsageError(f"{name} has no rows")
    missing = [column for column in (image, prompt) if column not in table.schema.names]
    if missing:
        raise UsageError(f"{name} has no column {missing[0]!r}; it has {', '.join(table.schema.names)}")
    kind = table.schema.field(prompt).type
    if not (pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_null(kind)):
        raise UsageError(f"the column {prompt!r} of {name} holds {kind}, not text")
    if not _holds_images(table.schema.field(image).type):
        raise UsageError(
            f"the column {image!r} of {name} holds {table.schema.field(image).type}, no paths, URLs or files"
        )
    kept = pa.schema([field for field in table.schema if keep_images or not _is_heavy(field.type)])
    taken = sorted({prefix + field for field in FIELDS} & set(kept.names) | {ROW} & set(kept.names))
    if taken == [ROW]:
        kept, taken = kept.remove(kept.get_field_index(ROW)), []
    if taken:
        raise UsageError(f"{name} has a column {taken[0]!r} already; give the results other names with --prefix")
    return Job(name, table.base, image, prompt, out, kept, prefix, **how)


def score_table(table: Table, job: Job, engine: Engine, progress: Callable[[int], None] = lambda rows: None) -> Report:
    """Score what the folder lacks, and say what became of all rows. ``progress`` is told how many rows are done.

    Raises UsageError if the folder holds another table or is being written, or the engine or the reranker is not there,
    AbeRerankError if something cannot be read or written: what is done stays, and the same call goes on.
    """
    make_folder(job.out)
    with held(job.out / ".table.lock", job.out):
        refuse_links(job.out)
        wait_for_workers(job.out)
        _begin(table, job)
        before = _rows_done(table, job)
        lanes = lanes_of(table, job, engine.workers)
        if lanes:
            with _told(job, before, progress):
                work_off(lanes, job, engine)
        return _report(table, job, before)


def best_of(out: Path, top_k: int, by: str, prefix: str = "") -> Path:
    """Write the ``top_k`` best rows of each group with the same ``by`` to ``best.parquet``, best first, with ``rank``.

    Unscored rows are never among them; ties go by the row's number. In memory are the groups' column, scores and
    numbers of all rows, and the whole of the best ones. Raises UsageError if there is no such column.
    """
    from daft.functions import row_number

    rows = daft.read_parquet(str(shard_folder(out) / "*.parquet"))
    if by not in rows.column_names:
        raise UsageError(f"there is no column {by!r} to group by; there are {', '.join(rows.column_names)}")
    score = prefix + "score"
    window = daft.Window().partition_by(by).order_by([score, ROW], desc=[True, False])
    light = rows.select(*dict.fromkeys((by, score, ROW))).where(daft.col(score).not_null())
    ranks = light.with_column("rank", row_number().over(window)).where(f"rank <= {top_k}").select(ROW, "rank")
    others = [name for name in rows.column_names if name != "rank"]
    best = rows.select(*others).join(ranks, on=ROW).select(*others, "rank").sort([by, "rank"])
    target = out / "best.parquet"
    write_table(target, best.to_arrow())
    return target


def _holds_images(kind: pa.DataType) -> bool:
    if pa.types.is_struct(kind):
        return any(field.name in ("bytes", "path") for field in kind)
    types = pa.types
    tests = (types.is_string, types.is_large_string, types.is_binary, types.is_large_binary, types.is_null)
    return any(bool(test(kind)) for test in tests)


def _is_heavy(kind: pa.DataType) -> bool:
    if pa.types.is_struct(kind):
        return any(_is_heavy(field.type) for field in kind)
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind))


def _begin(table: Table, job: Job) -> None:
    """Write what is asked, or check that it is what was asked before; where no row was done before, anything may be."""
    asked = {
        "schema_version": 1,
        "table": job.table,
        "files": [[part.path, part.rows] for part in table.parts],
        "image_column": job.image,
        "prompt_column": job.prompt,
        "columns": job.schema.names,
        "shard_rows": job.shard_rows,
        "reranker": {key: None if value is None else str(value) for key, value in sorted(job.chosen.items())},
    }
    if job.urls:
        asked["urls"] = True
    file = job.out / "table.json"
    content = json.dumps(asked, ensure_ascii=False, indent=1)
    if not _rows_there(job.out):
        write_whole(file, content.encode(errors="replace"))
        return
    try:
        there = read_json(file) if file.exists() else None
    except (OSError, ValueError) as error:
        raise AbeRerankError(f"{file} cannot be read: {first_line(error)}; choose another folder with --out") from None
    if there is None:
        raise UsageError(f"{job.out} holds rows, but no table.json; choose another folder with --out")
    asked_now = json.loads(content.encode(errors="replace"))
    other = [key for key, value in asked_now.items() if not isinstance(there, dict) or there.get(key) != value]
    if other:
        raise UsageError(
            f"{job.out} holds a table scored with another {', '.join(other)}; choose another folder with --out"
        )


def _missing(part: Part, job: Job) -> list[Shard]:
    return [shard for shard in shards_of(part, job.shard_rows) if not shard.file(job.out).is_file()]


def _rows_done(table: Table, job: Job) -> int:
    return table.rows - sum(shard.stop - shard.start for part in table.parts for shard in _missing(part, job))


def lanes_of(table: Table, job: Job, workers: int) -> list[Lane]:
    """What is missing, in lanes: of a file each has neighbours, so that it passes over what others read, and there are
    no more of them than are needed."""
    todo = [(part, missing) for part in table.parts if (missing := _missing(part, job))]
    each = 1 if workers == 1 else -(-LANES * workers // max(1, len(todo)))
    return [Lane(part, tuple(shards)) for part, missing in todo for shards in _parted(missing, each)]


def _parted(shards: Sequence[Shard], number: int) -> Iterator[Sequence[Shard]]:
    """Neighbours, in at most that number of groups of nearly one length."""
    ends = [len(shards) * k // number for k in range(number + 1)]
    yield from (shards[start:stop] for start, stop in pairwise(ends) if start < stop)


@contextmanager
def _told(job: Job, before: int, progress: Callable[[int], None]) -> Iterator[None]:
    """Look how many rows are done, now and then, and tell."""
    over = threading.Event()

    def look() -> None:
        while not over.wait(SECONDS):
            progress(max(before, _rows_there(job.out)))

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
        progress(_rows_there(job.out))


def _rows_there(out: Path) -> int:
    """How many rows the shards hold, by their names."""
    spans = (file.stem.split("-")[1:] for file in shard_folder(out).glob("rows-*.parquet"))
    return sum(int(stop) - int(start) for start, stop in spans)


def _report(table: Table, job: Job, before: int) -> Report:
    """Count all rows of the output. Raises AbeRerankError if they are not those of the table."""
    statuses: Counter[str] = Counter()
    reasons: Counter[str] = Counter()
    names = [job.prefix + "status", job.prefix + "reason"]
    for part in table.parts:
        for shard in shards_of(part, job.shard_rows):
            file = shard.file(job.out)
            try:
                found = pq.read_table(file, columns=names)
            except (OSError, ValueError, pa.ArrowException) as error:
                raise AbeRerankError(
                    f"{file} cannot be read: {first_line(error)}; remove it, and the same command scores its rows again"
                ) from None
            if found.num_rows != shard.stop - shard.start:
                raise AbeRerankError(
                    f"{file} holds {found.num_rows} rows; remove it, and the same command makes it again"
                )
            statuses.update(found[names[0]].to_pylist())
            reasons.update(_kind_of(reason) for reason in found[names[1]].to_pylist() if reason is not None)
    return Report(table.rows, before, statuses, reasons)


def _kind_of(reason: str) -> str:
    """A reason without the file and the numbers that it names, so that it can be counted."""
    return " ".join("..." if "/" in word or word.strip(",:").isdigit() else word for word in reason.split())
