"""Documents and batches as the steps of de-duplication see them: partitions somewhere on storage."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from dedup.minhash import index

OK, EXACT, NEAR = "ok", "exact_duplicate", "near_duplicate"

DOCUMENTS = pa.schema(
    [
        ("doc_id", pa.string()),
        ("karma", pa.int64()),  # or null
        ("url", pa.string()),  # canonical
        ("text_hash", pa.binary()),  # `dedup.words.text_hash`
        ("signature", pa.binary()),  # `dedup.minhash.signatures.to_bytes`
        ("n_shingles", pa.int64()),
    ]
)

DECISIONS = pa.schema(
    [
        ("doc_id", pa.string()),
        ("keeper", pa.string()),  # doc_id of the cluster's keeper, its own for a document that is kept
        ("keeper_batch", pa.int64()),  # place in `earlier`, len(earlier) for the new batch
        ("keeper_url", pa.string()),
        (
            "similarity",
            pa.float32(),
        ),  # estimated Jaccard similarity with the keeper, null for a kept document
        ("reason", pa.string()),  # OK, EXACT or NEAR
    ]
)


class Documents(Protocol):
    """A partition of documents on storage; cheap to pickle."""

    def read(self, columns: Sequence[str], rows: NDArray[np.int64] | None = None) -> pa.Table:
        """Columns of DOCUMENTS, of all rows or of some, in their order.

        For `verify="exact"` also `shingles`: `dedup.minhash.signatures.shingle_sets` of the texts.
        """
        ...


@dataclass(frozen=True)
class Batch:
    """An earlier batch: all its documents, and the index of those that it has kept."""

    documents: Sequence[Documents]
    index: Sequence[index.File]


def frame(table: pa.Table) -> pd.DataFrame:
    """An Arrow table as pandas with Arrow's own types, the form that Dask's shuffle keeps as it is."""
    result: pd.DataFrame = table.to_pandas(types_mapper=pd.ArrowDtype)
    return result
