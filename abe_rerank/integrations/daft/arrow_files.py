"""Files that Arrow lays out: Parquet, and Lance where its library is there."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow.fs import LocalFileSystem

from abe_rerank.errors import UsageError

if TYPE_CHECKING:
    from pyarrow.fs import FileSystem

    from abe_rerank.integrations.daft.table_kinds import Blocks, Found, Wanted

ROWS = 64
"""How many rows are read at once."""


class Parquet:
    """A Parquet file, of one row group or many."""

    def schema(self, system: FileSystem, path: str) -> pa.Schema:
        """The columns of a file."""
        return pq.read_schema(path, filesystem=system)

    def count(self, system: FileSystem, path: str) -> int:
        """How many rows a file has."""
        return int(pq.read_metadata(path, filesystem=system).num_rows)

    def blocks(self, system: FileSystem, path: str, wanted: Wanted) -> Blocks:
        """The rows of a file. Of the row groups only those with wanted rows are read; their pages as their turn comes,
        so that large groups take no more memory."""
        with pq.ParquetFile(path, filesystem=system, pre_buffer=False, buffer_size=2**20) as file:
            groups = range(file.num_row_groups)
            yield from _blocks(
                (
                    (file.metadata.row_group(k).num_rows, partial(file.iter_batches, ROWS, [k], use_threads=False))
                    for k in groups
                ),
                wanted,
            )


class Lance:
    """A Lance dataset, which is a folder on disk."""

    def schema(self, system: FileSystem, path: str) -> pa.Schema:
        """The columns of a dataset."""
        return self._opened(system, path).schema

    def count(self, system: FileSystem, path: str) -> int:
        """How many rows a dataset has."""
        return int(self._opened(system, path).count_rows())

    def blocks(self, system: FileSystem, path: str, wanted: Wanted) -> Blocks:
        """The rows of a dataset; only fragments with wanted rows are read."""
        fragments = self._opened(system, path).get_fragments()
        yield from _blocks(((one.count_rows(), partial(one.to_batches, batch_size=ROWS)) for one in fragments), wanted)

    def _opened(self, system: FileSystem, path: str) -> Any:
        if not isinstance(system, LocalFileSystem):
            raise UsageError(f"{path} is a Lance dataset, which is read from disk only; copy it here first")
        try:
            import lance
        except ImportError:
            raise UsageError(f"{path} is a Lance dataset, which needs its library: pip install pylance") from None
        return lance.dataset(path)


def _blocks(pieces: Iterable[tuple[int, Callable[[], Iterator[pa.RecordBatch]]]], wanted: Wanted) -> Blocks:
    """The rows of pieces of known lengths; those of a piece without wanted rows count as one block."""
    start = 0
    for rows, batches in pieces:
        if wanted(start, start + rows):
            for batch in batches():
                yield batch.num_rows, partial(_cells, batch)
        else:
            yield rows, list
        start += rows


def _cells(batch: pa.RecordBatch) -> list[Found]:
    return [(cells, None) for cells in batch.to_pylist()]
