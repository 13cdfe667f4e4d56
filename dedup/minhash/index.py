"""The index over batches: the buckets of what earlier batches have kept, in Parquet files sorted by bucket.

A batch's index is a sequence of files, each one equal share of the bucket range (`share`), 24 bytes a row,
bands + 1 rows a document. Row groups are small and carry their lowest and highest bucket, so that a new batch
reads only those in which it has buckets. The files' metadata say what the buckets depend on; buckets of other
parameters are refused.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, BinaryIO, Protocol

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from dedup.minhash import lsh, signatures

FORMAT = 1
KEY = b"near_duplicates"
ROW_GROUP = 1 << 14
SCHEMA = pa.schema([("bucket", pa.int64()), ("node", pa.int64()), ("text_key", pa.int64())])
WRITE = {
    "row_group_size": ROW_GROUP,
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


@dataclass(frozen=True)
class Parameters:
    """What near-duplicates are. Raises ValueError for a threshold that no banding fits."""

    threshold: float = 0.7
    num_perm: int = 128
    seed: int = 1
    shingle: int = 5

    @cached_property
    def banding(self) -> tuple[int, int]:
        """Bands, and rows of each."""
        return lsh.parameters(self.threshold, self.num_perm)

    @property
    def identity(self) -> dict[str, Any]:
        """What buckets depend on, ready for JSON: buckets of equal identities can be compared."""
        bands, rows = self.banding
        return {
            "format": FORMAT,
            "bands": bands,
            "rows": rows,
            "num_perm": self.num_perm,
            "seed": self.seed,
            "shingle": self.shingle,
            "permutations": signatures.checksum(self.num_perm, self.seed),
        }


def share(buckets: NDArray[np.int64], shares: int) -> NDArray[np.int64]:
    """In which of `shares` equal parts of the range of int64 each bucket lies: 0 for the lowest."""
    upper = (buckets.view(np.uint64) ^ np.uint64(1 << 63)) >> np.uint64(32)
    return (upper * np.uint64(shares) >> np.uint64(32)).astype(np.int64)


def overlapping(number: int, shares: int, files: int) -> range:
    """The files of an index of `files` files that share `number` of `shares` reaches into."""
    first, last = -(-number * 2**32 // shares), -(-(number + 1) * 2**32 // shares) - 1
    return range(first * files >> 32, (last * files >> 32) + 1)


def table(buckets: pd.DataFrame, parameters: Parameters) -> pa.Table:
    """One file of an index, to be written with WRITE. buckets: rows of `lsh.bucket_rows`."""
    rows = buckets.sort_values(["bucket", "node"], ignore_index=True)
    metadata = {KEY: json.dumps(parameters.identity, sort_keys=True).encode()}
    return pa.Table.from_pandas(rows, SCHEMA, preserve_index=False).replace_schema_metadata(metadata)


def check(metadata: Mapping[bytes, bytes] | None, parameters: Parameters) -> None:
    """Raises ForeignIndexError if a file's metadata are not those of an index of these parameters."""
    try:
        found = json.loads((metadata or {})[KEY])
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


def touched(file: File, buckets: NDArray[np.int64], parameters: Parameters) -> pd.DataFrame:
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
