"""The index over batches: buckets of the documents that each batch kept, in Parquet files sorted by bucket.

The index of a batch is a sequence of files, each for an equal range of buckets (`bucket_range`), 24 bytes per
row, bands + 1 rows per document. Row groups are small and carry their lowest and highest bucket, so a new
batch reads only those in which it has buckets. The metadata of each file hold what the buckets depend on; an
index made with other parameters is refused.
"""

import json
from collections.abc import Mapping
from typing import BinaryIO, Protocol

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from dedup.minhash.parameters import Parameters

__all__ = [
    "SCHEMA",
    "WRITE_OPTIONS",
    "File",
    "ForeignIndexError",
    "bucket_range",
    "check",
    "matching_rows",
    "overlapping_files",
    "table",
]

_KEY = b"near_duplicates"
_ROWS_PER_GROUP = 1 << 14
SCHEMA = pa.schema([("bucket", pa.int64()), ("node", pa.int64()), ("text_key", pa.int64())])
WRITE_OPTIONS = {
    "row_group_size": _ROWS_PER_GROUP,
    "compression": "none",
    "use_dictionary": False,
}  # hashes: nothing to gain


class ForeignIndexError(ValueError):
    """The index was made with other parameters."""


class File(Protocol):
    """A file of an index; cheap to pickle."""

    def open(self) -> BinaryIO:
        """Opens it for reading."""
        ...


def bucket_range(buckets: NDArray[np.int64], ranges: int) -> NDArray[np.int64]:
    """In which of `ranges` equal ranges of int64 each bucket lies, 0 for the lowest."""
    upper = (buckets.view(np.uint64) ^ np.uint64(1 << 63)) >> np.uint64(32)
    return (upper * np.uint64(ranges) >> np.uint64(32)).astype(np.int64)


def overlapping_files(number: int, ranges: int, files: int) -> range:
    """Which of the `files` files of an index have buckets of range `number` of `ranges`."""
    first, last = -(-number * 2**32 // ranges), -(-(number + 1) * 2**32 // ranges) - 1
    return range(first * files >> 32, (last * files >> 32) + 1)


def table(buckets: pd.DataFrame, parameters: Parameters) -> pa.Table:
    """One file of an index, to be written with WRITE_OPTIONS. buckets: rows of `lsh.bucket_rows`."""
    rows = buckets.sort_values(["bucket", "node"], ignore_index=True)
    metadata = {_KEY: json.dumps(parameters.identity, sort_keys=True).encode()}
    return pa.Table.from_pandas(rows, SCHEMA, preserve_index=False).replace_schema_metadata(metadata)


def check(metadata: Mapping[bytes, bytes] | None, parameters: Parameters) -> None:
    """Raises ForeignIndexError if the metadata of a file do not belong to an index with these parameters."""
    try:
        found = json.loads((metadata or {})[_KEY])
    except (KeyError, ValueError) as error:
        raise ForeignIndexError("not an index of near-duplicates: its metadata are missing") from error
    wanted = parameters.identity
    if found != wanted:
        differing = [name for name in wanted if found.get(name) != wanted[name]]
        raise ForeignIndexError(
            "the index of near-duplicates was made with "
            + ", ".join(f"{name}={found.get(name)}" for name in differing)
            + "; this run has "
            + ", ".join(f"{name}={wanted[name]}" for name in differing)
        )


def matching_rows(file: File, buckets: NDArray[np.int64], parameters: Parameters) -> pd.DataFrame:
    """The rows of a file whose bucket is among `buckets`, sorted and distinct.

    Reads the row groups that can hold one of them, one at a time: 400 kB. Raises ForeignIndexError.
    """
    found: list[pd.DataFrame] = [SCHEMA.empty_table().to_pandas()]
    with file.open() as stream:
        parquet = pq.ParquetFile(stream)
        check(parquet.schema_arrow.metadata, parameters)
        for number in range(parquet.num_row_groups):
            group = parquet.metadata.row_group(number)
            if not group.num_rows:
                continue
            bounds = group.column(0).statistics
            wanted = buckets[
                np.searchsorted(buckets, bounds.min) : np.searchsorted(buckets, bounds.max, side="right")
            ]
            if not len(wanted):
                continue
            rows = parquet.read_row_group(number)
            column = rows["bucket"].to_numpy()
            first = np.searchsorted(column, wanted)
            count = np.searchsorted(column, wanted, side="right") - first
            starts = np.repeat(first - (np.cumsum(count) - count), count)
            if len(starts):
                found.append(rows.take(starts + np.arange(len(starts))).to_pandas())
    return pd.concat(found, ignore_index=True)
