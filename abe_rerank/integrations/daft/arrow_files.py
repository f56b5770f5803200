"""Files that Arrow lays out: Parquet, and Lance where its library is there."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow.fs import LocalFileSystem

from abe_rerank.errors import UsageError
from abe_rerank.integrations.daft.table_kinds import Extent, blocks_of

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

    def extent(self, system: FileSystem, path: str) -> Extent:
        """How many rows a file has; it knows itself where they begin."""
        return Extent(int(pq.read_metadata(path, filesystem=system).num_rows))

    def blocks(self, system: FileSystem, path: str, extent: Extent, wanted: Wanted) -> Blocks:
        """The rows of a file. Of the row groups only those with wanted rows are read; their pages as their turn comes,
        so that large groups take no more memory."""
        with pq.ParquetFile(path, filesystem=system, pre_buffer=False, buffer_size=2**20) as file:

            def group(k: int) -> Blocks:
                return _blocks(file.iter_batches(ROWS, [k], use_threads=False))

            groups = range(file.num_row_groups)
            yield from blocks_of(((file.metadata.row_group(k).num_rows, partial(group, k)) for k in groups), wanted)


class Lance:
    """A Lance dataset, which is a folder on disk."""

    def schema(self, system: FileSystem, path: str) -> pa.Schema:
        """The columns of a dataset."""
        return self._opened(system, path).schema

    def extent(self, system: FileSystem, path: str) -> Extent:
        """How many rows a dataset has; it knows itself where they begin."""
        return Extent(int(self._opened(system, path).count_rows()))

    def blocks(self, system: FileSystem, path: str, extent: Extent, wanted: Wanted) -> Blocks:
        """The rows of a dataset; only fragments with wanted rows are read."""

        def fragment(one: Any) -> Blocks:
            return _blocks(one.to_batches(batch_size=ROWS))

        fragments = self._opened(system, path).get_fragments()
        yield from blocks_of(((one.count_rows(), partial(fragment, one)) for one in fragments), wanted)

    def _opened(self, system: FileSystem, path: str) -> Any:
        if not isinstance(system, LocalFileSystem):
            raise UsageError(f"{path} is a Lance dataset, which is read from disk only; copy it here first")
        try:
            import lance
        except ImportError:
            raise UsageError(f"{path} is a Lance dataset, which needs its library: pip install pylance") from None
        return lance.dataset(path)


def _blocks(batches: Iterable[pa.RecordBatch]) -> Blocks:
    for batch in batches:
        yield batch.num_rows, partial(_cells, batch)


def _cells(batch: pa.RecordBatch) -> list[Found]:
    return [(cells, None) for cells in batch.to_pylist()]
