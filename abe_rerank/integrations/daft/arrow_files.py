"""Files that Arrow lays out: Parquet, and Lance where its library is there."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow.fs import LocalFileSystem

from abe_rerank.errors import UsageError

if TYPE_CHECKING:
    from pyarrow.fs import FileSystem

    from abe_rerank.integrations.daft.table_kinds import Blocks, Found

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

    def blocks(self, system: FileSystem, path: str) -> Blocks:
        """The rows of a file; pages are read as their turn comes, so that large row groups take no more memory."""
        with pq.ParquetFile(path, filesystem=system, pre_buffer=False, buffer_size=2**20) as file:
            yield from _blocks(file.iter_batches(batch_size=ROWS, use_threads=False))


class Lance:
    """A Lance dataset, which is a folder on disk."""

    def schema(self, system: FileSystem, path: str) -> pa.Schema:
        """The columns of a dataset."""
        return self._opened(system, path).schema

    def count(self, system: FileSystem, path: str) -> int:
        """How many rows a dataset has."""
        return int(self._opened(system, path).count_rows())

    def blocks(self, system: FileSystem, path: str) -> Blocks:
        """The rows of a dataset."""
        yield from _blocks(self._opened(system, path).to_batches(batch_size=ROWS, scan_in_order=True))

    def _opened(self, system: FileSystem, path: str) -> Any:
        if not isinstance(system, LocalFileSystem):
            raise UsageError(f"{path} is a Lance dataset, which is read from disk only; copy it here first")
        try:
            import lance
        except ImportError:
            raise UsageError(f"{path} is a Lance dataset, which needs its library: pip install pylance") from None
        return lance.dataset(path)


def _blocks(batches: Iterator[pa.RecordBatch]) -> Blocks:
    for batch in batches:
        yield batch.num_rows, partial(_cells, batch)


def _cells(batch: pa.RecordBatch) -> list[Found]:
    return [(cells, None) for cells in batch.to_pylist()]
