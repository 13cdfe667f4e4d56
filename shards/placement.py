"""Where a document belongs: which split, which shard, and the names of the files.

A doc_id is 32 lower-case hexadecimal digits, evenly distributed, as hashes are. A shard holds a contiguous
range of doc_ids, so a document's shard follows from its doc_id and the number of shards alone. Shards have
about the same size.
"""

import math
import re
from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import xxhash

__all__ = ["document_id", "file_name", "is_heldout", "shard_count", "shard_of"]

Strings: TypeAlias = pa.Array | pa.ChunkedArray | Sequence[str]

_DOC_ID = re.compile("[0-9a-f]{32}")


def shard_count(total_tokens: int, tokens_per_shard: int) -> int:
    """The number of shards of a split: at least one, so that an empty split has a file with the schema."""
    return max(1, math.ceil(total_tokens / tokens_per_shard))


def document_id(key: str) -> str:
    """The doc_id for any string: the string itself if it has the form of a doc_id, else its hash.

    A doc_id is 32 lower-case hexadecimal digits, evenly distributed. The hash is XXH3-128 over UTF-8.
    """
    return key if _DOC_ID.fullmatch(key) else xxhash.xxh3_128_hexdigest(key.encode())


def shard_of(doc_ids: Strings, n_shards: int) -> npt.NDArray[np.int64]:
    """The shard of each document: floor(h * n_shards / 2**64), where h is the first 16 digits of its doc_id.

    n_shards: less than 2**32. Returns shape (documents,), values in [0, n_shards). Raises ValueError for an
    id that is not 32 lower-case hexadecimal digits.
    """
    ids = _array(doc_ids).to_pylist()
    for doc_id in ids:
        if not _DOC_ID.fullmatch(doc_id):
            raise ValueError(f"document id {doc_id!r}: expected 32 lower-case hexadecimal digits")
    words = np.frombuffer(bytes.fromhex("".join(ids)), ">u4").reshape(-1, 4).astype(np.uint64)
    n, bits = np.uint64(n_shards), np.uint64(32)  # 64 x 32 bits in halves: exact, and within 64 bits
    return ((words[:, 0] * n + (words[:, 1] * n >> bits)) >> bits).astype(np.int64)


def is_heldout(cluster_ids: Strings, fraction: float) -> npt.NDArray[np.bool_]:
    """Whether each cluster of near-duplicates is in the held-out split: xxh64(id) / 2**64 < fraction.

    A cluster's id is the doc_id of the document kept from it. The whole cluster is on one side, so no
    near-copy crosses the split, in this batch or in a later one. fraction: in [0, 1]. Returns shape
    (clusters,).
    """
    limit = round(fraction * 2**64)
    ids = _array(cluster_ids).to_pylist()
    return np.fromiter((xxhash.xxh64_intdigest(i.encode()) < limit for i in ids), np.bool_, len(ids))


def file_name(split: str, shard: int, n_shards: int) -> str:
    """The file name of a shard, as in `train-00000-of-00042.parquet`."""
    return f"{split}-{shard:05d}-of-{n_shards:05d}.parquet"


def _array(strings: Strings) -> pa.Array | pa.ChunkedArray:
    return strings if isinstance(strings, pa.Array | pa.ChunkedArray) else pa.array(strings, pa.string())
