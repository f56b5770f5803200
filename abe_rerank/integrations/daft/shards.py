"""A worker's share of a table: rows read, scored, and written as shards, each whole or not at all.

A shard is the rows of one file from ``k * shard_rows`` on: which rows it holds does not depend on the workers, so a
shard that is there needs no second look, and one that is written twice is the same twice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from io import BytesIO
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from abe_rerank.files import write_whole
from abe_rerank.integrations.daft.columns import score_cells
from abe_rerank.integrations.daft.results import FIELDS
from abe_rerank.integrations.daft.sources import Part, Row, rows_of

if TYPE_CHECKING:
    from abe_rerank.reranker import Reranker

ROW = "row"
"""The column with a row's number in the table."""


@dataclass(frozen=True)
class Job:
    """What is scored and how; ``kept`` are the columns that go from the table to the output, ``prefix`` stands before
    the names of the results, ``urls`` in the table are opened only if that was asked for,
    ``chosen`` are the arguments of :meth:`abe_rerank.Reranker.from_pretrained`."""

    table: str
    base: str
    image: str
    prompt: str
    out: Path
    kept: pa.Schema
    prefix: str = ""
    shard_rows: int = 1024
    batch_size: int = 64
    urls: bool = False
    chosen: dict[str, Any] = field(default_factory=dict)

    @property
    def schema(self) -> pa.Schema:
        """The columns of the output."""
        results = [(self.prefix + name, kind) for name, kind in FIELDS.items()]
        return pa.schema([(ROW, pa.int64()), *self.kept, *results])


@dataclass(frozen=True)
class Shard:
    """The rows [start, stop) of a table, all of one file."""

    start: int
    stop: int

    def file(self, out: Path) -> Path:
        """Where its results are."""
        return shard_folder(out) / f"rows-{self.start:012d}-{self.stop:012d}.parquet"


@dataclass(frozen=True)
class Lane:
    """Some shards of one file, done one after the other by one worker."""

    part: Part
    shards: tuple[Shard, ...]


def shard_folder(out: Path) -> Path:
    """Where the shards of a scored table are."""
    return out / "rows"


def shards_of(part: Part, shard_rows: int) -> list[Shard]:
    """The shards of a file."""
    stop = part.start + part.rows
    return [Shard(start, min(start + shard_rows, stop)) for start in range(part.start, stop, shard_rows)]


def do_lane(reranker: Reranker, job: Job, lane: Lane, go_on: Callable[[], None] = lambda: None) -> None:
    """Score and write the shards of a lane. ``go_on`` is asked before each batch, and raises to stop.

    Raises AbeRerankError if the table cannot be read, or a shard not be written.
    """
    starts = {shard.start - lane.part.start: shard for shard in lane.shards}

    def shard_start(number: int) -> int:
        return number - number % job.shard_rows

    def wanted(start: int, stop: int) -> bool:
        return any(k in starts for k in range(shard_start(start), stop, job.shard_rows))

    found = rows_of(job.table, lane.part, wanted)
    for start, rows in groupby(found, key=lambda row: shard_start(row.number)):
        shard = starts[start]
        columns: dict[str, list[Any]] = {name: [] for name in job.schema.names}
        for batch in _batches(rows, job.batch_size):
            go_on()
            _add(columns, batch, lane.part.start, reranker, job)
        write_table(shard.file(job.out), pa.table(columns, schema=job.schema))


def write_table(path: Path, table: pa.Table) -> None:
    """Write a Parquet file, whole or not at all. Raises AbeRerankError if it cannot be written."""
    content = BytesIO()
    pq.write_table(table, content, compression="zstd")
    write_whole(path, content.getvalue())


def _add(columns: dict[str, list[Any]], rows: Sequence[Row], first: int, reranker: Reranker, job: Job) -> None:
    images = [row.cells.get(job.image) for row in rows]
    prompts = [None if row.fault else row.cells.get(job.prompt) for row in rows]
    results = score_cells(reranker, images, prompts, job.base, job.batch_size, job.urls)
    for row, result in zip(rows, results, strict=True):
        columns[ROW].append(first + row.number)
        for name in job.kept.names:
            columns[name].append(_writable(row.cells.get(name)))
        if row.fault:
            result["reason"] = row.fault
        for name, value in result.items():
            columns[job.prefix + name].append(value)


def _writable(cell: Any) -> Any:
    """The cell itself; half characters, which no file can hold, become a replacement."""
    return cell.encode(errors="replace").decode() if isinstance(cell, str) else cell


def _batches(rows: Iterable[Row], size: int) -> Iterator[list[Row]]:
    batch: list[Row] = []
    for row in rows:
        batch.append(row)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch
