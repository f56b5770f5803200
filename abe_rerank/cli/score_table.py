"""``abe-rerank score TABLE --out DIR``: the pictures and prompts of a table of any size, scored on Daft."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from abe_rerank.cli.asked import BackboneOptions
from abe_rerank.cli.loading import check_scorer
from abe_rerank.cli.options import MOST_PROCESSES, MOST_ROWS, finite
from abe_rerank.cli.terminal import note, say, warn
from abe_rerank.errors import AbeRerankError, UsageError
from abe_rerank.files import printable, table

if TYPE_CHECKING:
    from abe_rerank.integrations.daft.engines import Engine
    from abe_rerank.integrations.daft.scored_table import Report
    from abe_rerank.integrations.daft.shards import Job
    from abe_rerank.integrations.daft.sources import Table

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
EngineName = Annotated[str, typer.Option(help="native: this machine; ray: a cluster.", rich_help_panel=TABLE)]
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
        max=MOST_PROCESSES,
        rich_help_panel=TABLE,
    ),
]
Gpus = Annotated[
    float | None,
    typer.Option(
        help="How much of a GPU a worker takes; 0.5: two workers on each.",
        show_default="1 where there is one, else 0",
        min=0,
        max=MOST_PROCESSES,
        callback=finite,
        rich_help_panel=TABLE,
    ),
]
ShardRows = Annotated[
    int,
    typer.Option(
        help="Rows of one file of the output; a stop loses at most those at hand.",
        min=1,
        max=MOST_ROWS,
        rich_help_panel=TABLE,
    ),
]
Urls = Annotated[
    bool,
    typer.Option(
        "--urls", help="Open the URLs in the table; only for tables whose maker you trust.", rich_help_panel=TABLE
    ),
]
RowsAtOnce = Annotated[int, typer.Option(help="Rows encoded at once.", min=1, max=MOST_ROWS, rich_help_panel=TABLE)]


@dataclass(frozen=True)
class TableOptions:
    """Which columns of a table are scored, and where that is done."""

    out: Out = None
    image_column: ImageColumn = "image"
    prompt_column: PromptColumn = "prompt"
    by: By = None
    keep_images: KeepImages = False
    prefix: Prefix = ""
    engine: EngineName = "native"
    address: Address = None
    workers: Workers = None
    gpus: Gpus = None
    shard_rows: ShardRows = 1024
    rows_at_once: RowsAtOnce = 64
    urls: Urls = False


def check_none(options: TableOptions) -> None:
    """Raises UsageError if an option for tables was given and no --out: it would change nothing."""
    given = [field.name for field in fields(TableOptions) if getattr(options, field.name) != field.default]
    if given:
        raise UsageError(f"--{given[0].replace('_', '-')} is for tables; say where their scores go with --out")


def score_table(
    name: str, out: Path, options: TableOptions, backbone: BackboneOptions, scorer: str, top_k: int | None
) -> None:
    """Score a table, and say what became of its rows.

    Raises UsageError for what cannot be used, AbeRerankError if a file cannot be read or written, or no row at all
    could be scored.
    """
    try:
        from abe_rerank.integrations.daft import scored_table
        from abe_rerank.integrations.daft.sources import open_table
    except ImportError as error:
        if error.name not in ("daft", "pyarrow"):
            raise
        raise UsageError('tables are scored by Daft, which is not here: pip install "abe-rerank[scale]"') from None
    from abe_rerank.runs.folders import check_writable

    engine = _engine(options, backbone.device)
    check_writable(out)
    found = open_table(name)
    check_scorer(scorer, backbone.backbone, backbone.allow_pickle)
    job = scored_table.job_of(
        found,
        name,
        options.image_column,
        options.prompt_column,
        out,
        keep_images=options.keep_images,
        prefix=options.prefix,
        shard_rows=options.shard_rows,
        batch_size=options.rows_at_once,
        urls=options.urls,
        chosen={**vars(backbone), "scorer": scorer},
    )
    grouped = options.by or options.prompt_column
    if top_k is None and options.by is not None:
        raise UsageError("--by makes the groups whose best rows --top-k takes; add --top-k 1")
    if top_k is not None and grouped not in job.schema.names:
        raise UsageError(f"the output has no column {grouped!r} to group by; it has {', '.join(job.schema.names)}")
    note(f"{found.rows:,} rows in {len(found.parts)} files; {engine.name}, {engine.workers} workers")
    report = _scored(found, job, engine)
    say(_as_text(report, out))
    if top_k is not None:
        say(f"the best {top_k} of each {grouped}: {scored_table.best_of(out, top_k, grouped, options.prefix)}")
    unscored = report.statuses["unscored"]
    if unscored == report.rows:
        raise AbeRerankError(f"none of {report.rows:,} rows could be scored; the reasons are in {out}")
    if unscored:
        warn(f"{unscored:,} of {report.rows:,} rows could not be scored; the output says why")


def _scored(found: Table, job: Job, engine: Engine) -> Report:
    """Score what is not there yet, beneath a progress bar."""
    from tqdm import tqdm

    from abe_rerank.backbones.progress import bars_wanted
    from abe_rerank.integrations.daft.scored_table import score_table

    with tqdm(total=found.rows, desc="scoring", unit="row", leave=False, disable=not bars_wanted()) as bar:

        def done(rows: int) -> None:
            bar.update(rows - bar.n)

        return score_table(found, job, engine, done)


def _engine(options: TableOptions, device: str | None) -> Engine:
    """Where it is done, defaults filled in. Raises UsageError for what does not go together."""
    import torch

    from abe_rerank.integrations.daft.engines import Engine, cores

    if options.engine not in ("native", "ray"):
        raise UsageError(f"there is no engine {options.engine!r}; choose native or ray")
    if options.engine == "native" and options.address is not None:
        raise UsageError("--address is that of a Ray cluster; add --engine ray")
    devices = torch.cuda.device_count() if device in (None, "cuda") else 0
    gpus = float(devices > 0) if options.gpus is None else options.gpus
    workers = options.workers
    if workers is None:
        if options.address is not None:
            raise UsageError("say how many --workers the cluster is to start")
        workers = max(1, int(devices / gpus)) if gpus else cores()
    return Engine("ray" if options.engine == "ray" else "native", workers, gpus, options.address)


def _as_text(report: Report, out: Path) -> str:
    lines = [[status, f"{count:,}"] for status, count in sorted(report.statuses.items())]
    text = [table(["status", "rows"], [*lines, ["together", f"{report.rows:,}"]])]
    if report.before:
        text.append(f"{report.before:,} rows were there already")
    text += [f"{count:,}: {printable(reason)}" for reason, count in Counter(report.reasons).most_common(5)]
    return "\n".join([*text, f"results: {out}"])
