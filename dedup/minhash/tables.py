"""The tables of de-duplication: schemas, and the protocol by which partitions on storage are read."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from dedup.minhash import index

__all__ = [
    "DECISIONS",
    "DOCUMENTS",
    "EXACT",
    "NEAR",
    "OK",
    "Batch",
    "DocumentPartition",
    "DuplicateIdError",
    "to_pandas",
]

OK, EXACT, NEAR = "ok", "exact_duplicate", "near_duplicate"

DOCUMENTS = pa.schema(
    [
        ("doc_id", pa.string()),  # unique within a batch, never null
        (
            "priority",
            pa.float64(),
        ),  # of near-duplicates the highest is kept; null comes last, NaN is not allowed
        ("url", pa.string()),  # breaks ties of priority, and is reported as `keeper_url`; may be null
        ("text_hash", pa.binary()),  # 16 bytes: `dedup.words.text_hash`
        ("signature", pa.binary()),  # 4 * num_perm bytes: `dedup.minhash.signatures.to_bytes`
        ("n_shingles", pa.int64()),  # 0 for a text without words, which is kept and never compared
    ]
)

DECISIONS = pa.schema(
    [
        ("doc_id", pa.string()),
        ("keeper", pa.string()),  # doc_id of the document kept in its place; its own if it is kept
        ("keeper_batch", pa.int64()),  # position in `earlier`, len(earlier) for the new batch
        ("keeper_url", pa.string()),
        (
            "similarity",
            pa.float32(),
        ),  # estimated Jaccard similarity with the keeper; null for a kept document
        ("reason", pa.string()),  # OK, EXACT or NEAR
    ]
)


class DuplicateIdError(ValueError):
    """Two documents of a batch have the same doc_id. first, second: their (partition, row), from 0."""

    def __init__(self, doc_id: str, first: tuple[int, int], second: tuple[int, int]) -> None:
        super().__init__(doc_id, first, second)
        self.doc_id, self.first, self.second = doc_id, first, second

    def __str__(self) -> str:
        (partition, row), (other_partition, other_row) = self.first, self.second
        return (
            f"doc_id {self.doc_id!r} is not unique: row {row} of partition {partition} "
            f"and row {other_row} of partition {other_partition} have it"
        )


class DocumentPartition(Protocol):
    """A partition of documents on storage. Pickled into tasks, so it should hold a path and not the data."""

    def read(self, columns: Sequence[str], rows: NDArray[np.int64] | None = None) -> pa.Table:
        """Columns of DOCUMENTS: of all rows, or of those at the positions `rows`, in that order.

        With `verify="exact"` also asked for `shingles`: `dedup.minhash.signatures.shingle_sets` of the texts.
        """
        ...


@dataclass(frozen=True)
class Batch:
    """An earlier batch: all its documents, and the index of those that were kept."""

    documents: Sequence[DocumentPartition]
    index: Sequence[index.File]


def to_pandas(table: pa.Table) -> pd.DataFrame:
    """An Arrow table as pandas with Arrow's own dtypes, which Dask's shuffle does not convert."""
    frame: pd.DataFrame = table.to_pandas(types_mapper=pd.ArrowDtype)
    return frame
