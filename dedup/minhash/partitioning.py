"""How work is divided among tasks: node numbers, groups of partitions, ranges of buckets.

A document's node number is `partition * 2**32 + row`; partitions of earlier batches come first. Partitions
are read in groups: one task reads all partitions of a group, whenever something is needed of their documents.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

import dask
import numpy as np
import pandas as pd
import pyarrow as pa
from dask import dataframe as dd
from numpy.typing import NDArray

from dedup.minhash import index
from dedup.minhash.tables import Batch, DocumentPartition

__all__ = [
    "GROUP_SIZE",
    "NODES_PER_PARTITION",
    "Grouping",
    "from_groups",
    "groups_of",
    "index_files",
    "read_rows",
    "repartition_by",
]

NODES_PER_PARTITION = 1 << 32
GROUP_SIZE = 8  # partitions: a shuffle among more groups costs more than the work on fewer partitions
_MIN_TASKS = 16  # that the work on a large index is divided among, however small the new batch

Group = list[tuple[int, int, DocumentPartition]]  # number, batch and documents of each partition
Destination = Callable[[pd.DataFrame], NDArray[np.int64]]  # the partition that each row moves to


@dataclass(frozen=True)
class Grouping:
    """How many partitions there are, and which group each belongs to; groups of earlier batches come first.

    earlier, new: partitions. size: partitions of a group of new ones.
    """

    earlier: int
    new: int
    size: int = GROUP_SIZE

    @property
    def earlier_size(self) -> int:
        """Partitions of a group of earlier ones: as many groups as of new ones, at least _MIN_TASKS."""
        return max(1, -(-self.earlier // max(_MIN_TASKS, self.new_groups)))

    @property
    def earlier_groups(self) -> int:
        """Groups of earlier partitions."""
        return -(-self.earlier // self.earlier_size)

    @property
    def new_groups(self) -> int:
        """Groups of new partitions."""
        return -(-self.new // self.size)

    @property
    def groups(self) -> int:
        """All groups."""
        return self.earlier_groups + self.new_groups

    @property
    def bucket_ranges(self) -> int:
        """Tasks that the buckets are divided among."""
        return max(self.new_groups, min(_MIN_TASKS, self.earlier_groups))

    def group_of(self, nodes: pd.Series) -> NDArray[np.int64]:
        """The group of each node: shape (nodes,), int64."""
        partition = nodes.to_numpy(np.int64) // NODES_PER_PARTITION
        return np.where(
            partition < self.earlier,
            partition // self.earlier_size,
            self.earlier_groups + (partition - self.earlier) // self.size,
        )


def groups_of(parts: Sequence[tuple[int, DocumentPartition]], first: int, size: int) -> list[Group]:
    """Partitions, given as (batch, documents) and numbered from `first`, in groups of `size`."""
    numbered = [(first + number, batch, part) for number, (batch, part) in enumerate(parts)]
    return [numbered[start : start + size] for start in range(0, len(numbered), size)]


def from_groups(groups: Sequence[Group]) -> dd.DataFrame:
    """A Dask partition per group, with a row per partition of it: `partition`, `batch`, `documents`."""
    return _from_lists(_group_frame, groups)


def index_files(earlier: Sequence[Batch], ranges: int) -> dd.DataFrame:
    """A Dask partition per range of buckets, with a row per file of the index that has buckets of it.

    Columns: `file`, and `first_partition`, the number of the first partition of the file's batch.
    """
    starts = accumulate((len(batch.documents) for batch in earlier), initial=0)
    batches = list(zip(earlier, starts, strict=False))
    files = [
        [
            (batch.index[file], start)
            for batch, start in batches
            for file in index.overlapping_files(number, ranges, len(batch.index))
        ]
        for number in range(ranges)
    ]
    return _from_lists(_files_frame, files)


def _from_lists(function: Callable[[Any], pd.DataFrame], lists: Sequence[Any]) -> dd.DataFrame:
    with dask.config.set({"dataframe.convert-string": False}):  # by default any object column becomes strings
        return dd.from_map(function, list(lists), meta=function([]), enforce_metadata=False)


def _group_frame(group: Group) -> pd.DataFrame:
    return pd.DataFrame(group, columns=["partition", "batch", "documents"])


def _files_frame(files: list[tuple[index.File, int]]) -> pd.DataFrame:
    return pd.DataFrame(files, columns=["file", "first_partition"])


def read_rows(
    group: pd.DataFrame, rows: pd.DataFrame, column: str, columns: Sequence[str]
) -> tuple[pd.DataFrame, pa.Table | None]:
    """`rows` sorted by the nodes in `column`, all of this group; and `columns` of those documents, if any."""
    rows = rows.sort_values(column, kind="stable", ignore_index=True)
    nodes = rows[column].to_numpy(np.int64)
    tables = []
    for number, documents in sorted(
        zip(group["partition"], group["documents"], strict=True), key=lambda item: item[0]
    ):
        start, end = np.searchsorted(
            nodes, [number * NODES_PER_PARTITION, (number + 1) * NODES_PER_PARTITION]
        )
        if start < end:
            tables.append(documents.read(columns, nodes[start:end] % NODES_PER_PARTITION))
    return rows, pa.concat_tables(tables) if tables else None


def repartition_by(rows: dd.DataFrame, destination: Destination, npartitions: int) -> dd.DataFrame:
    """Moves each row to the partition that `destination` returns, through Dask's shuffle.

    The frame comes back as it is if it has one partition and is to have one.
    """
    if npartitions == rows.npartitions == 1:
        return rows
    meta = rows._meta.assign(destination=np.empty(0, np.int64))
    located = rows.map_partitions(_with_destination, destination, meta=meta)
    return located.set_index("destination", divisions=tuple(range(npartitions + 1)))


def _with_destination(rows: pd.DataFrame, destination: Destination) -> pd.DataFrame:
    return rows.assign(destination=destination(rows))
