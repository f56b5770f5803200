"""``abe-rerank score``: score image files for prompts; a file that cannot be read becomes a failed row."""

from __future__ import annotations

import json
import os
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from abe_rerank.cli.terminal import cosine, note, say
from abe_rerank.errors import AbeRerankError, UsageError
from abe_rerank.suites.manifest import Row, read_manifest
from abe_rerank.text import table

if TYPE_CHECKING:
    from PIL.Image import Image

    from abe_rerank.reranker import Reranker
    from abe_rerank.types import Score


@dataclass(frozen=True)
class Scored:
    """A row with its score, or with the reason why there is none."""

    row: Row
    score: Score | None = None
    failure: str | None = None


def rows_of(images: Sequence[Path], prompt: str | None, manifest: Path | None) -> list[Row]:
    """The rows that the command line asks for. Raises UsageError if there are none, or too much is given."""
    if (manifest is None) == (not images):
        raise UsageError("give images with --prompt, or a --manifest, and not both")
    if manifest is not None:
        if prompt is not None:
            raise UsageError("a manifest has its own prompts; leave --prompt out")
        rows = read_manifest(manifest)
    elif prompt is None or not prompt.strip():
        raise UsageError('say what the images should show: --prompt "a yellow cylinder and a red cube"')
    else:
        rows = [Row(path, prompt) for path in _files(images)]
    if not rows:
        raise UsageError(f"no images in {manifest or ', '.join(map(str, images))}")
    _check_there(rows)
    return rows


def _check_there(rows: Sequence[Row]) -> None:
    """Say, before any model is loaded, which files are missing. Raises UsageError if all are."""
    files = list(dict.fromkeys(row.image for row in rows))
    missing = [file for file in files if not os.path.lexists(file)]
    if not missing:
        return
    if len(missing) == len(files):
        raise UsageError(f"no such image file: {missing[0]}" + (f" (nor {len(files) - 1} more)" if files[1:] else ""))
    note(f"warning: {len(missing)} of {len(files)} image files are missing, the first: {missing[0]}")


def score_rows(reranker: Reranker, rows: Iterable[Row], chunk: int = 32) -> Iterator[Scored]:
    """Score rows in their order, a chunk at a time; an image that cannot be read becomes a failure.

    An image is read and encoded once for all the rows of a chunk that name it, whatever their prompts.
    """
    from abe_rerank.reranker import as_spec
    from abe_rerank.scoring.stream import explain_asked

    waiting = iter(rows)
    while part := list(islice(waiting, chunk)):
        pictures, failures = _read(row.image for row in part)
        places = {path: k for k, path in enumerate(pictures)}
        asked = [(places[row.image], as_spec(row.prompt)) for row in part if row.image in pictures]
        scores = iter(explain_asked(reranker.scorer, list(pictures.values()), asked))
        for row in part:
            failure = failures.get(row.image)
            yield Scored(row, failure=failure) if failure else Scored(row, next(scores))


def _read(paths: Iterable[Path]) -> tuple[dict[Path, Image], dict[Path, str]]:
    """The pictures in files, each read once, and the reasons why others cannot be read."""
    from abe_rerank.images import read

    pictures, failures = {}, {}
    for path in dict.fromkeys(paths):
        try:
            pictures[path] = read(str(path))
        except AbeRerankError as error:
            failures[path] = str(error)
    return pictures, failures


def score(reranker: Reranker, rows: Sequence[Row], top_k: int | None, as_json: bool) -> None:
    """Score, rank within each prompt and print. Raises AbeRerankError at the end if some row failed."""
    from tqdm import tqdm

    from abe_rerank.reranker import prompt_warnings, rounding_warning

    backbone = reranker.scorer.backbone
    prompts = dict.fromkeys(row.prompt for row in rows)
    for warning in dict.fromkeys(w for prompt in prompts for w in prompt_warnings(prompt, backbone)):
        note(f"warning: {warning}")
    scored = list(tqdm(score_rows(reranker, rows), total=len(rows), desc="scoring", unit="image", leave=False))
    by_prompt: dict[str, list[Scored]] = defaultdict(list)
    for result in scored:
        by_prompt[result.row.prompt].append(result)
    ranked = {prompt: _ranked(results) for prompt, results in by_prompt.items()}
    for prompt, results in ranked.items():
        if close := rounding_warning([_value(result) for result in results], backbone):
            note(f"warning: {prompt}: {close}")
    failed = [result for result in scored if result.failure is not None]
    ranked = {prompt: results[:top_k] for prompt, results in ranked.items()}
    say(_as_json(ranked, failed, reranker.scorer.stamp) if as_json else _as_text(ranked, failed))
    if failed:
        raise AbeRerankError(
            f"{len(failed)} of {len(scored)} images could not be scored; the first: {failed[0].failure}"
        )


def _ranked(results: Iterable[Scored]) -> list[Scored]:
    """Those with a score, best first (ties keep their order), then the unscored ones; failures are left out."""
    read = [result for result in results if result.score is not None]
    return sorted(read, key=lambda r: (_value(r) is None, -(_value(r) or 0.0)))


def _value(result: Scored) -> float | None:
    return None if result.score is None else result.score.value


def _as_text(ranked: dict[str, list[Scored]], failed: Sequence[Scored]) -> str:
    from abe_rerank.report.sentences import status_line
    from abe_rerank.runs.build import score_record

    blocks = []
    for prompt, results in ranked.items():
        pairs = (
            [f"{p.attribute.text} {p.object.text}" for p in results[0].score.pairs]
            if results and results[0].score
            else []
        )
        lines = []
        for rank, result in enumerate(results, start=1):
            found = result.score.pairs if result.score else ()
            cells = [f"{cosine(pair.margin)} {pair.verdict}" for pair in found] or ["-"] * len(pairs)
            lines.append([str(rank), str(result.row.image), cosine(_value(result)), *cells])
        unbound = [result.score for result in results if result.score and result.score.status == "nothing to bind"]
        heading = [table([prompt], []), *(status_line(score_record(score)) for score in unbound[:1])]
        blocks.append("\n".join(heading) + "\n" + table(["rank", "image", "score", *pairs], lines))
    if failed:
        lines = [[str(result.row.image), result.failure or ""] for result in failed]
        blocks.append(table(["not scored", "reason"], lines))
    return "\n\n".join(blocks)


def _as_json(ranked: dict[str, list[Scored]], failed: Sequence[Scored], stamp: str) -> str:
    from abe_rerank.runs.build import score_record

    rows: list[dict[str, object]] = []
    for prompt, results in ranked.items():
        for rank, result in enumerate(results, start=1):
            assert result.score is not None
            record = score_record(result.score).model_dump(mode="json")
            rows.append({"image": str(result.row.image), "prompt": prompt, "rank": rank, "score": record})
    failures = [{"image": str(r.row.image), "prompt": r.row.prompt, "reason": r.failure} for r in failed]
    return json.dumps({"schema_version": 1, "scorer": stamp, "rows": rows, "failed": failures}, ensure_ascii=False)


def _files(images: Sequence[Path]) -> list[Path]:
    """The files themselves, and the image files inside folders, by their names; what is left out is said."""
    from abe_rerank.images import pictures_in

    found: list[Path] = []
    for path in images:
        if os.path.isdir(path):
            pictures, left_out = pictures_in(path)
            found += pictures
            for line in left_out:
                note(f"warning: left out {line}")
        else:
            found.append(path)
    return found
