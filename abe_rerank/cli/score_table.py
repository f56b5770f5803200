"""``abe-rerank score TABLE --out DIR``: the pictures and prompts of a table of any size, scored on Daft."""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from abe_rerank.cli.terminal import note, say, warn
from abe_rerank.errors import AbeRerankError, UsageError
from abe_rerank.files import printable, table

if TYPE_CHECKING:
    from abe_rerank.integrations.daft.engines import Engine
    from abe_rerank.integrations.daft.scored_table import Report

TABLE = "Tables (TABLE --out DIR; needs the extra scale)"

Out = Annotated[
    Path | None,
    typer.Option(
        help="Score the rows of a table (Parquet, Lance, CSV, JSON lines, WebDataset, or a folder of them) into this "
        "folder; the same command goes on where it was stopped.",
        rich_help_panel=TABLE,
    ),
]
ImageColumn = Annotated[
    str, typer.Option(help="Column of image files, URLs or the bytes of image files.", rich_help_panel=TABLE)
]
PromptColumn = Annotated[str, typer.Option(help="Column of prompts.", rich_help_panel=TABLE)]
By = Annotated[
    str | None,
    typer.Option(
        help="With --top-k: the column whose equal values make a group; the best rows go to best.parquet.",
        show_default="the prompts",
        rich_help_panel=TABLE,
    ),
]
KeepImages = Annotated[
    bool, typer.Option("--keep-images", help="Copy the images' bytes to the output too.", rich_help_panel=TABLE)
]
Prefix = Annotated[str, typer.Option(help="Stands before the names of the result's columns.", rich_help_panel=TABLE)]
EngineName = Annotated[
    str, typer.Option("--engine", help="native: this machine; ray: a cluster.", rich_help_panel=TABLE)
]
Address = Annotated[
    str | None,
    typer.Option(help="Of the Ray cluster.", show_default="a new one on this machine", rich_help_panel=TABLE),
]
Workers = Annotated[
    int | None,
    typer.Option(
        help="Processes that score, each with models of its own.",
        show_default="one for each GPU, or for each core",
        min=1,
        rich_help_panel=TABLE,
    ),
]
Gpus = Annotated[
    float | None,
    typer.Option(
        "--gpus-per-worker",
        help="0.5: two workers on each GPU.",
        show_default="1 where there is one, else 0",
        min=0,
        rich_help_panel=TABLE,
    ),
]
ShardRows = Annotated[
    int,
    typer.Option(
        help="Rows of one file of the output; a stop loses at most those at hand.", min=1, rich_help_panel=TABLE
    ),
]
RowsAtOnce = Annotated[int, typer.Option("--batch-size", help="Rows encoded at once.", min=1, rich_help_panel=TABLE)]

ENDINGS = (".parquet", ".lance", ".csv", ".tsv", ".jsonl", ".ndjson", ".tar")


@dataclass(frozen=True)
class TableRequest:
    """What of a table is scored, and where it is done; ``chosen`` is what a reranker is made of."""

    table: str
    out: Path
    image: str
    prompt: str
    top_k: int | None
    by: str | None
    keep_images: bool
    prefix: str
    engine: str
    address: str | None
    workers: int | None
    gpus: float | None
    shard_rows: int
    batch_size: int
    chosen: dict[str, Any]


def run(request: TableRequest) -> None:
    """Score a table, and say what became of its rows. Raises UsageError for what cannot be used, AbeRerankError if a
    file cannot be read or written, or no row at all could be scored."""
    try:
        from abe_rerank.integrations.daft.scored_table import best_of, job_of, score_table
        from abe_rerank.integrations.daft.sources import open_table
    except ImportError as error:
        if error.name not in ("daft", "pyarrow"):
            raise
        raise UsageError('tables are scored by Daft, which is not here: pip install "abe-rerank[scale]"') from None
    from tqdm import tqdm

    engine = _engine(request)
    found = open_table(request.table)
    job = job_of(
        found,
        request.table,
        request.image,
        request.prompt,
        request.out,
        keep_images=request.keep_images,
        prefix=request.prefix,
        shard_rows=request.shard_rows,
        batch_size=request.batch_size,
        chosen=request.chosen,
    )
    grouped = request.by or request.prompt
    if request.top_k is not None and grouped not in job.schema.names:
        raise UsageError(f"the output has no column {grouped!r} to group by; it has {', '.join(job.schema.names)}")
    note(f"{found.rows:,} rows in {len(found.parts)} files; {request.engine}, {engine.workers} workers")
    with tqdm(total=found.rows, desc="scoring", unit="row", leave=False) as bar:

        def done(rows: int) -> None:
            bar.update(rows - bar.n)

        report = score_table(found, job, engine, done)
    say(_as_text(report, request.out))
    if request.top_k is not None:
        best = best_of(request.out, request.top_k, grouped, request.prefix)
        say(f"the best {request.top_k} of each {grouped}: {best}")
    unscored = report.statuses["unscored"]
    if unscored == report.rows:
        raise AbeRerankError(f"none of {report.rows:,} rows could be scored; the reasons are in {request.out}")
    if unscored:
        warn(f"{unscored:,} of {report.rows:,} rows could not be scored; the output says why")


def _engine(request: TableRequest) -> Engine:
    """Where it is done, defaults filled in."""
    import torch

    from abe_rerank.integrations.daft.engines import Engine

    name: Literal["native", "ray"]
    if request.engine == "native":
        name = "native"
    elif request.engine == "ray":
        name = "ray"
    else:
        raise UsageError(f"there is no engine {request.engine!r}; choose native or ray")
    if name == "native" and request.address is not None:
        raise UsageError("--address is that of a Ray cluster; add --engine ray")
    devices = torch.cuda.device_count() if request.chosen.get("device") in (None, "cuda") else 0
    gpus = request.gpus if request.gpus is not None else float(devices > 0)
    workers = request.workers
    if workers is None:
        if name == "ray" and request.address is not None:
            raise UsageError("say how many --workers the cluster is to start")
        workers = max(1, int(devices / gpus)) if gpus else len(os.sched_getaffinity(0))
    return Engine(name, workers, gpus, request.address)


def _as_text(report: Report, out: Path) -> str:
    lines = [[status, f"{count:,}"] for status, count in sorted(report.statuses.items())]
    text = [table(["status", "rows"], [*lines, ["together", f"{report.rows:,}"]])]
    if report.before:
        text.append(f"{report.before:,} rows were there already")
    text += [f"{count:,}: {printable(reason)}" for reason, count in Counter(report.reasons).most_common(5)]
    return "\n".join([*text, f"results: {out}"])
