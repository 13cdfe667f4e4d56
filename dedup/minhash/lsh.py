"""Locality-sensitive hashing (Indyk and Motwani 1998) of MinHash signatures: documents to candidate pairs.

A signature is cut into `bands` of `rows` values; documents that agree on a whole band share a bucket. Two
documents of Jaccard similarity s share at least one with probability 1-(1-sʳ)ᵇ. Exact copies also share the
bucket of their text's hash. Documents are numbered (`node`); a pair of nodes is an `edge`.
"""

from functools import lru_cache

import numpy as np
import pandas as pd
import pyarrow as pa
from datasketch import MinHashLSH
from numpy.typing import NDArray

from dedup.minhash.signatures import from_bytes, mix

__all__ = [
    "HUBS",
    "bucket_rows",
    "candidate_pairs",
    "candidate_probability",
    "jaccard",
    "optimal_banding",
    "similarity",
    "text_keys",
]

HUBS = 16  # distinct texts of a bucket that all its others are compared with


@lru_cache(maxsize=16)  # the optimiser integrates numerically: 60 ms
def optimal_banding(threshold: float, num_perm: int = 128) -> tuple[int, int]:
    """Bands and rows by datasketch's optimiser, which weighs false positives and negatives the same.

    (14, 9) for a threshold of 0.7 and 128 permutations. Raises ValueError if that leaves fewer than two
    bands.
    """
    try:
        lsh = MinHashLSH(threshold=threshold, num_perm=num_perm)
    except ValueError as error:
        raise ValueError(
            f"no banding of {num_perm} permutations for a threshold of {threshold}: "
            "lower the threshold or raise the number of permutations"
        ) from error
    return lsh.b, lsh.r


def candidate_probability(similarity: float, bands: int, rows: int) -> float:
    """The S-curve: the probability that two documents of this Jaccard similarity become a candidate pair."""
    return 1.0 - (1.0 - similarity**rows) ** bands


def bucket_rows(
    nodes: NDArray[np.int64],
    signatures: NDArray[np.uint32],
    text_keys: NDArray[np.int64],
    bands: int,
    rows: int,
) -> pd.DataFrame:
    """Buckets of documents: columns `bucket`, `node`, `text_key` (int64), bands + 1 rows per document.

    nodes, text_keys: shape (documents,); text_keys: 64 bits of the hash of the normalised text, which is also
    the bucket of exact copies. signatures: shape (documents, at least bands · rows), of documents with words
    only: texts without words have one signature in common. 24 bytes a row.
    """
    values = signatures[:, : bands * rows].reshape(-1, bands, rows).astype(np.uint64)
    buckets = np.broadcast_to(np.arange(1, bands + 1, dtype=np.uint64), values.shape[:2])
    for column in range(rows):
        buckets = mix(buckets ^ values[:, :, column])
    return pd.DataFrame(
        {
            "bucket": np.concatenate([text_keys[:, None], buckets.view(np.int64)], axis=1).ravel(),
            "node": np.repeat(nodes, bands + 1),
            "text_key": np.repeat(text_keys, bands + 1),
        }
    )


def text_keys(text_hashes: pa.Array | pa.ChunkedArray) -> NDArray[np.int64]:
    """The first 64 bits of hashes of normalised texts (`dedup.words.text_hashes`): shape (documents,)."""
    column = text_hashes.combine_chunks() if isinstance(text_hashes, pa.ChunkedArray) else text_hashes
    return np.ascontiguousarray(from_bytes(column, 4)[:, :2]).view("<i8")[:, 0]


def candidate_pairs(buckets: pd.DataFrame, first_new: int = 0) -> pd.DataFrame:
    """Distinct candidate pairs `low` < `high` (int64 nodes) from whole buckets, in linear time and space.

    buckets: rows of `bucket_rows`; all rows of a bucket must be in the frame. first_new: pairs of two nodes
    below it are left out (documents that an earlier batch has compared already).

    Copies of a text are linked to the one of the lowest node, which stands for them all. In a bucket of more
    than HUBS + 1 distinct texts, each is compared with HUBS of them, the same for all (the lowest by hash): a
    template's 100,000 pages cost 1.6 M comparisons and not 5 G. Which pairs come out depends on the texts
    alone, not on the numbering.
    """
    bucket, node, key = (buckets[name].to_numpy() for name in ("bucket", "node", "text_key"))
    order = np.lexsort((node, key, bucket))
    bucket, node, key = bucket[order], node[order], key[order]
    distinct = _starts(bucket, key)
    copies = (bucket == key) & ~distinct
    pairs = [(node[distinct][np.cumsum(distinct)[copies] - 1], node[copies])]

    bucket, node = bucket[distinct], node[distinct]
    first = np.flatnonzero(_starts(bucket))
    size = np.diff(first, append=len(bucket))
    first, size = np.repeat(first, size), np.repeat(size, size)
    position = np.arange(len(bucket)) - first
    for hub in range(min(HUBS, int(size.max(initial=0)))):
        others = np.flatnonzero(position > hub)
        pairs.append((node[first[others] + hub], node[others]))
    left, right = (np.concatenate(side) for side in zip(*pairs, strict=True))
    edges = pd.DataFrame({"low": np.minimum(left, right), "high": np.maximum(left, right)})
    return edges[edges["high"] >= first_new].drop_duplicates(ignore_index=True)


def similarity(left: NDArray[np.uint32], right: NDArray[np.uint32]) -> NDArray[np.float32]:
    """Jaccard similarity estimated from signatures row by row: shape (rows,), float32."""
    return np.asarray((left == right).mean(axis=1), np.float32)


def jaccard(left: pa.ChunkedArray, right: pa.ChunkedArray) -> NDArray[np.float32]:
    """Exact Jaccard similarity row by row of sets as `signatures.shingle_sets` has them: shape (rows,)."""
    sets = ([np.frombuffer(value.as_buffer(), "<u4") for value in side] for side in (left, right))
    common = [
        (len(np.intersect1d(a, b, assume_unique=True)), len(a) + len(b)) for a, b in zip(*sets, strict=True)
    ]
    return np.array([both / max(1, total - both) for both, total in common], np.float32)


def _starts(*columns: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Where a new group begins in sorted columns."""
    starts = np.ones(len(columns[0]), np.bool_)
    if len(starts):
        starts[1:] = np.any([column[1:] != column[:-1] for column in columns], axis=0)
    return starts
