"""Columns of images and prompts of a Daft dataframe, scored by workers that each load their models once."""

from __future__ import annotations

from threading import Lock
from typing import TYPE_CHECKING, Any

import daft

from abe_rerank.errors import UsageError
from abe_rerank.integrations.daft.cells import pictures_of
from abe_rerank.integrations.daft.results import RESULT, result_of, unscored
from abe_rerank.parsing import parse
from abe_rerank.scoring.stream import CHUNK, score_stream

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from abe_rerank.reranker import Reranker
    from abe_rerank.scoring.stream import Item


def score_cells(
    reranker: Reranker,
    images: Sequence[Any],
    prompts: Sequence[Any],
    base: str = ".",
    chunk: int = CHUNK,
    urls: bool = False,
) -> list[dict[str, object]]:
    """The result of each row (:data:`abe_rerank.integrations.daft.results.FIELDS`), in order; ``urls`` are opened only
    if that is asked for.

    A row without an image or a prompt, or whose image cannot be read, is unscored, with the reason.
    """
    faults = [_fault(prompt) for prompt in prompts]

    def items() -> Iterator[Item]:
        cells = [None if fault else cell for cell, fault in zip(images, faults, strict=True)]
        pictures = pictures_of(cells, base, urls)
        for picture, prompt, fault in zip(pictures, prompts, faults, strict=True):
            if fault is None:
                yield picture, parse(prompt)

    scores = score_stream(reranker.scorer, items(), skip_unreadable=True, chunk=chunk)
    return [result_of(next(scores)) if fault is None else unscored(fault) for fault in faults]


def _fault(prompt: Any) -> str | None:
    """Why a cell is no prompt, or None."""
    if prompt is None or (isinstance(prompt, str) and not prompt.strip()):
        return "no prompt: the cell is empty"
    if not isinstance(prompt, str):
        return f"the prompt column holds a {type(prompt).__name__}, not text"
    return None


def scored(
    table: daft.DataFrame,
    image: str = "image",
    prompt: str = "prompt",
    *,
    into: str = "binding",
    workers: int | None = None,
    gpus: float = 0,
    batch_size: int = CHUNK,
    base: str = ".",
    urls: bool = False,
    **chosen: Any,
) -> daft.DataFrame:
    """The dataframe with one column more, ``into``: a struct of score, global_score, all_bound, status, reason, pairs.

    ``image`` is a column of Daft images, paths (relative to ``base``), URLs (with ``urls`` alone: of tables whose maker
    you trust) or bytes of image files, ``prompt`` one of texts.
    ``workers`` processes (this process alone, if None) each load a reranker once: ``chosen`` are the
    arguments of :meth:`abe_rerank.Reranker.from_pretrained`. ``gpus`` is what one worker takes, a fraction too. Lazy,
    as all that Daft does, and the same on its native runner and on Ray. Rows that cannot be scored stay, with a reason.

    Raises UsageError for a column that is not there, or is there already.
    """
    missing = [name for name in (image, prompt) if name not in table.column_names]
    if missing:
        raise UsageError(f"the table has no column {missing[0]!r}; it has {', '.join(table.column_names)}")
    if into in table.column_names:
        raise UsageError(f"the table has a column {into!r} already; name another with into=")

    @daft.cls(max_concurrency=workers, gpus=gpus, use_process=workers is not None)  # a number makes processes
    class Worker:
        def __init__(self) -> None:
            from abe_rerank.reranker import Reranker

            self.reranker, self.lock = Reranker.from_pretrained(**chosen), Lock()

        @daft.method.batch(return_dtype=daft.DataType.from_arrow_type(RESULT), batch_size=batch_size)
        def score(self, images: daft.Series, prompts: daft.Series) -> list[dict[str, object]]:
            with self.lock:  # threads of this process share it
                return score_cells(self.reranker, images.to_pylist(), prompts.to_pylist(), base, urls=urls)

    worker: Any = Worker()  # Daft makes its methods take and return expressions
    return table.with_column(into, worker.score(table[image], table[prompt]))
