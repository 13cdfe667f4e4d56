"""Where what is computed: the numbers of documents, and the tasks that look after them and their buckets.

A document's number, its node, is `partition · 2³² + row`; the partitions of earlier batches come first. A
partition's home is the task that reads it whenever something is wanted of its documents.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from dask import dataframe as dd
from numpy.typing import NDArray

from dedup.minhash import index
from dedup.minhash.documents import Batch, Documents

ROWS = 1 << 32
HOME = 8  # partitions of a home: a shuffle between more homes costs more than the work on fewer partitions
TASKS = 16  # that the work on a large index is divided among, however small the batch

Home = list[tuple[int, int, Documents]]  # number, batch and documents of each partition
Slot = list[tuple[index.File, int]]  # files of the index, and the number of their batch's first partition
Where = Callable[[pd.DataFrame], NDArray[np.int64]]


@dataclass(frozen=True)
class Numbers:
    """How many partitions there are, and which home is whose."""

    earlier: int
    new: int
    size: int = HOME  # partitions of a home of new ones

    @property
    def size_before(self) -> int:
        """Partitions of a home of earlier ones: these homes are no more than the new ones, or TASKS."""
        return max(1, -(-self.earlier // max(TASKS, -(-self.new // self.size))))

    @property
    def homes_before(self) -> int:
        """Homes of earlier partitions; those of new ones come after them."""
        return -(-self.earlier // self.size_before)

    @property
    def homes(self) -> int:
        """All homes."""
        return self.homes_before + -(-self.new // self.size)

    @property
    def slots(self) -> int:
        """Tasks that share the buckets."""
        return max(self.homes - self.homes_before, min(TASKS, self.homes_before))

    def home(self, nodes: pd.Series) -> NDArray[np.int64]:
        """The home of each document."""
        partition = nodes.to_numpy(np.int64) // ROWS
        return np.where(
            partition < self.earlier,
            partition // self.size_before,
            self.homes_before + (partition - self.earlier) // self.size,
        )


def homes(parts: Sequence[tuple[int, Documents]], first: int, size: int) -> list[Home]:
    """Partitions (batch, documents), numbered from `first`, in homes of `size`."""
    numbered = [(first + number, batch, part) for number, (batch, part) in enumerate(parts)]
    return [numbered[start : start + size] for start in range(0, len(numbered), size)]


def at_homes(homes: Sequence[Home]) -> dd.DataFrame:
    """A partition for each home, with a row for each of its partitions: `partition`, `batch`, `documents`."""
    return _one_each(_open_home, homes)


def at_slots(earlier: Sequence[Batch], slots: int) -> dd.DataFrame:
    """A partition for each share of the buckets, with the files of the index: `file`, `base`."""
    bases = accumulate((len(batch.documents) for batch in earlier), initial=0)
    batches = list(zip(earlier, bases, strict=False))
    files: list[Slot] = [
        [
            (batch.index[file], base)
            for batch, base in batches
            for file in index.overlapping(slot, slots, len(batch.index))
        ]
        for slot in range(slots)
    ]
    return _one_each(_open_slot, files)


def _one_each(function: Callable[[Any], pd.DataFrame], items: Sequence[Any]) -> dd.DataFrame:
    return dd.from_map(function, list(items), meta=function([]), enforce_metadata=False)


def _open_home(home: Home) -> pd.DataFrame:
    return pd.DataFrame(home, columns=["partition", "batch", "documents"])


def _open_slot(slot: Slot) -> pd.DataFrame:
    return pd.DataFrame(slot, columns=["file", "base"])


def gather(
    home: pd.DataFrame, rows: pd.DataFrame, column: str, columns: Sequence[str]
) -> tuple[pd.DataFrame, pa.Table | None]:
    """The rows sorted by `column`, nodes of a home; and `columns` of these documents. None for no rows."""
    rows = rows.sort_values(column, kind="stable", ignore_index=True)
    nodes = rows[column].to_numpy(np.int64)
    tables = []
    for number, documents in sorted(zip(home["partition"], home["documents"], strict=True)):
        start, end = np.searchsorted(nodes, [number * ROWS, (number + 1) * ROWS])
        if start < end:
            tables.append(documents.read(columns, nodes[start:end] % ROWS))
    return rows, pa.concat_tables(tables) if tables else None


def spread(rows: dd.DataFrame, where: Where, places: int) -> dd.DataFrame:
    """Moves each row to the partition that `where` gives, through Dask's shuffle, if it can be another."""
    if places == rows.npartitions == 1:
        return rows
    located = rows.map_partitions(_locate, where, meta=rows._meta.assign(place=np.empty(0, np.int64)))
    return located.set_index("place", divisions=tuple(range(places + 1)))


def _locate(rows: pd.DataFrame, where: Where) -> pd.DataFrame:
    return rows.assign(place=where(rows))
