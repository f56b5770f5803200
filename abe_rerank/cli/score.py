"""``abe-rerank score``: score image files for prompts; a file that cannot be read becomes a failed row."""

from __future__ import annotations

import json
import os
from collections import defaultdict, deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from abe_rerank.cli.asked import BackboneOptions, spread
from abe_rerank.cli.loading import load_reranker
from abe_rerank.cli.options import OUTPUT, AsJson, Scorer
from abe_rerank.cli.score_table import TableOptions, check_none, score_table
from abe_rerank.cli.terminal import cosine, say, say_json, warn
from abe_rerank.errors import AbeRerankError, UsageError
from abe_rerank.files import table
from abe_rerank.integrations.daft.table_kinds import ENDINGS
from abe_rerank.suites.rows import Row, read_manifest

if TYPE_CHECKING:
    from abe_rerank.reranker import Reranker
    from abe_rerank.scoring.stream import Item
    from abe_rerank.types import Score


SUBJECT = "What to score"


@spread
def score(
    *,
    images: Annotated[
        list[str] | None, typer.Argument(help="Image files, or folders of them; or a table, with --out.")
    ] = None,
    prompt: Annotated[str | None, typer.Option(help="What the images should show.", rich_help_panel=SUBJECT)] = None,
    manifest: Annotated[
        Path | None,
        typer.Option(help="A CSV or JSONL file of image and prompt, instead of both.", rich_help_panel=SUBJECT),
    ] = None,
    backbone: BackboneOptions,
    scorer: Scorer = "abe",
    top_k: Annotated[
        int | None, typer.Option(help="Show only the best K of each prompt.", min=1, rich_help_panel=OUTPUT)
    ] = None,
    as_json: AsJson = False,
    table: TableOptions,
) -> None:
    """Score images that exist already, best first; equal pictures in the order in which they are given."""
    if table.out is not None:
        if prompt is not None or manifest is not None or as_json or images is None or len(images) != 1:
            raise UsageError("--out takes one table, with its columns: score TABLE --out DIR")
        score_table(images[0], table.out, table, backbone, scorer, top_k)
        return
    asked = rows_of([Path(name) for name in images or []], prompt, manifest)
    check_none(table)
    _check_boxes(asked.rows, scorer)
    run(load_reranker(backbone, scorer), asked, top_k, as_json)


@dataclass(frozen=True)
class Scored:
    """A row with its score; one that could not be scored says why."""

    row: Row
    score: Score


@dataclass(frozen=True)
class Asked:
    """The rows that the command line asks for, and what was left out of its folders, each with the reason."""

    rows: list[Row]
    left_out: tuple[str, ...] = ()


def rows_of(images: Sequence[Path], prompt: str | None, manifest: Path | None) -> Asked:
    """What the command line asks for. Raises UsageError if that is nothing, or too much is given."""
    from abe_rerank.reranker import check_prompt

    tables = [path for path in images if path.suffix.lower() in ENDINGS]
    if tables and len(tables) == len(images):
        raise UsageError(f"{tables[0]} is a table: say where its scores go with --out, or give it as --manifest")
    if (manifest is None) == (not images):
        raise UsageError("give images with --prompt, or a --manifest, and not both")
    left_out: list[str] = []
    if manifest is not None:
        if prompt is not None:
            raise UsageError("a manifest has its own prompts; leave --prompt out")
        rows = read_manifest(manifest)
    elif prompt is None or not prompt.strip():
        raise UsageError('say what the images should show: --prompt "a yellow cylinder and a red cube"')
    else:
        files, left_out = _files(images)
        rows = [Row(path, prompt) for path in files]
    if not rows:
        raise UsageError(f"no images in {manifest or ', '.join(map(str, images))}")
    for asked in dict.fromkeys(row.prompt for row in rows):
        check_prompt(asked)
    _check_there(rows)
    return Asked(rows, tuple(left_out))


def _check_there(rows: Sequence[Row]) -> None:
    """Say, before any model is loaded, which files cannot be read. Raises UsageError if none can."""
    from abe_rerank.images import check_picture

    files, faults = dict.fromkeys(row.image for row in rows), list[str]()
    for file in files:
        try:
            check_picture(file)
        except UsageError as error:
            faults.append(str(error))
    if faults and len(faults) == len(files):
        raise UsageError(faults[0] + (f" (nor can {len(files) - 1} more be read)" if len(files) > 1 else ""))
    if faults:
        warn(f"{len(faults)} of {len(files)} image files cannot be read, the first: {faults[0]}")


def _check_boxes(rows: Sequence[Row], scorer: str) -> None:
    """Raises UsageError, before any model is loaded, for boxes that cannot be; says if the scorer takes none."""
    from abe_rerank.parsing import parse
    from abe_rerank.scoring.boxes import with_boxes

    boxed = [row for row in rows if row.boxes is not None]
    for row in boxed:
        try:
            with_boxes(parse(row.prompt), row.boxes or {})
        except UsageError as error:
            raise UsageError(f"{row.image}: {error}") from None
    if boxed and scorer != "comclip":
        warn(f"the scorer {scorer} takes no boxes: those of {len(boxed)} rows are not used (comclip uses them)")


def score_rows(reranker: Reranker, rows: Iterable[Row], chunk: int | None = None) -> Iterator[Scored]:
    """Score rows in their order, a chunk at a time; an image that cannot be read is unscored.

    An image is read and encoded once for all the rows of a chunk that name it, whatever their prompts.
    """
    from abe_rerank.parsing import parse
    from abe_rerank.scoring.boxes import with_boxes
    from abe_rerank.scoring.stream import CHUNK, score_stream

    taken: deque[Row] = deque()
    boxed = reranker.scorer.name == "comclip"

    def items() -> Iterator[Item]:
        for row in rows:
            taken.append(row)
            spec = parse(row.prompt)
            yield row.image, spec if row.boxes is None or not boxed else with_boxes(spec, row.boxes)

    for score in score_stream(reranker.scorer, items(), skip_unreadable=True, chunk=chunk or CHUNK):
        yield Scored(taken.popleft(), score)


def run(reranker: Reranker, asked: Asked, top_k: int | None, as_json: bool) -> None:
    """Score, rank within each prompt and print. Raises AbeRerankError at the end if some row could not be scored, or
    something was left out."""
    from tqdm import tqdm

    from abe_rerank.backbones.progress import bars_wanted
    from abe_rerank.drawing.prompt_fit import prompt_warnings
    from abe_rerank.scoring.stream import rounding_warning

    rows, backbone = asked.rows, reranker.scorer.backbone
    for warning in prompt_warnings([row.prompt for row in rows], backbone):
        warn(warning)
    hidden = not bars_wanted()
    scored = list(tqdm(score_rows(reranker, rows), "scoring", len(rows), unit="image", disable=hidden, leave=False))
    by_prompt: dict[str, list[Scored]] = defaultdict(list)
    for result in scored:
        by_prompt[result.row.prompt].append(result)
    ranked = {prompt: _ranked(results) for prompt, results in by_prompt.items()}
    for prompt, results in ranked.items():
        if close := rounding_warning([result.score.value for result in results], backbone):
            warn(f"{prompt}: {close}")
    failed = [result for result in scored if result.score.value is None]
    ranked = {prompt: results[:top_k] for prompt, results in ranked.items()}
    if as_json:
        say_json(_as_json(ranked, failed, asked.left_out, reranker.scorer.stamp))
    else:
        say(_as_text(ranked, failed))
    if failed:
        raise AbeRerankError(
            f"{len(failed)} of {len(scored)} images could not be scored; the first: {failed[0].score.reason}"
        )
    if asked.left_out:
        raise AbeRerankError(f"{len(asked.left_out)} files or folders were left out; the first: {asked.left_out[0]}")


def _ranked(results: Iterable[Scored]) -> list[Scored]:
    """Those with a score, best first; ties keep their order."""
    return sorted((r for r in results if r.score.value is not None), key=lambda r: -(r.score.value or 0.0))


def _as_text(ranked: dict[str, list[Scored]], failed: Sequence[Scored]) -> str:
    from abe_rerank.report.sentences import status_line
    from abe_rerank.runs.records import ScoreRecord

    blocks = []
    for prompt, results in ranked.items():
        pairs = [f"{p.attribute.text} {p.object.text}" for p in results[0].score.pairs] if results else []
        lines = []
        for rank, result in enumerate(results, start=1):
            cells = [f"{cosine(pair.margin)} {pair.verdict}" for pair in result.score.pairs]
            lines.append([str(rank), str(result.row.image), cosine(result.score.value), *cells])
        unbound = [result.score for result in results if result.score.status == "nothing to bind"]
        heading = [table([prompt], []), *(status_line(ScoreRecord.of(score)) for score in unbound[:1])]
        blocks.append("\n".join(heading) + "\n" + table(["rank", "image", "score", *pairs], lines))
    if failed:
        lines = [[str(result.row.image), result.score.reason or ""] for result in failed]
        blocks.append(table(["not scored", "reason"], lines))
    return "\n\n".join(blocks)


def _as_json(ranked: dict[str, list[Scored]], failed: Sequence[Scored], left_out: Sequence[str], stamp: str) -> str:
    from abe_rerank.runs.records import ScoreRecord

    rows: list[dict[str, object]] = []
    for prompt, results in ranked.items():
        for rank, result in enumerate(results, start=1):
            record = ScoreRecord.of(result.score).model_dump(mode="json")
            rows.append({"image": str(result.row.image), "prompt": prompt, "rank": rank, "score": record})
    failures = [{"image": str(r.row.image), "prompt": r.row.prompt, "reason": r.score.reason} for r in failed]
    return json.dumps(
        {"schema_version": 2, "scorer": stamp, "rows": rows, "failed": failures, "left_out": left_out},
        ensure_ascii=False,
    )


def _files(images: Sequence[Path]) -> tuple[list[Path], list[str]]:
    """The files themselves, and the image files inside folders, by their names; and what is left out, which is said."""
    from abe_rerank.images import pictures_in

    found: list[Path] = []
    left_out: list[str] = []
    for path in images:
        if os.path.isdir(path):
            pictures, others = pictures_in(path)
            found += pictures
            left_out += others
        else:
            found.append(path)
    for line in left_out:
        warn(f"left out {line}")
    return found, left_out
