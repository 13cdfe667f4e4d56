"""From texts to shards: tokenized Parquet, one row a document, byte-identical for the same documents.

A shard holds a contiguous range of the space of document ids (which are hashes), so a document's shard
follows from its id and the number of shards alone: no global order, no prefix sums, shards of about equal
size.

On the way to its shard a document's ids are one binary value, the little-endian bytes of the ids: a buffer
that any shuffle can carry, and that becomes the list column of the file without a copy.
"""

import itertools
import math
import os
import re
from collections.abc import Iterator, Sequence
from typing import IO, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import xxhash

from shards import manifest
from shards.manifest import Header
from shards.tokenizer import IdArray, Tokenizer

Strings: TypeAlias = pa.Array | pa.ChunkedArray | Sequence[str]

_LARGEST_ROW_GROUP = 2**30  # a list column's offsets are 32 bits wide
_DOC_ID = re.compile("[0-9a-f]{32}")

# What `write` takes.
INPUT = pa.schema(
    [("doc_id", pa.string()), ("url", pa.string()), ("batch", pa.string()), ("tokens", pa.large_binary())]
)


class ShardInfo(NamedTuple):
    """What was written; tokens include the end tokens."""

    documents: int
    tokens: int


def schema(tokenizer: Tokenizer) -> pa.Schema:
    """The columns of a shard."""
    ids = pa.list_(pa.field("element", pa.from_numpy_dtype(tokenizer.dtype), nullable=False))
    columns = INPUT.set(3, pa.field("tokens", ids)).append(pa.field("n_tokens", pa.int32()))
    return pa.schema([column.with_nullable(False) for column in columns])


def tokenize(texts: pa.Array | pa.ChunkedArray, tokenizer: Tokenizer) -> pa.LargeBinaryArray:
    """The ids of each text with the end token behind them, as little-endian bytes of `tokenizer.dtype`.

    Raises ValueError for a null.
    """
    if texts.null_count:
        raise ValueError(f"{texts.null_count} of {len(texts)} texts to tokenize are null")
    ids, offsets = tokenizer.encode_documents(texts.to_pylist())
    buffers = [None, pa.py_buffer(offsets * tokenizer.dtype.itemsize), pa.py_buffer(ids)]
    return pa.Array.from_buffers(pa.large_binary(), len(texts), buffers)


def shard_count(total_tokens: int, tokens_per_shard: int) -> int:
    """The number of shards; one for no tokens, so that an empty split still has a file and its schema."""
    return max(1, math.ceil(total_tokens / tokens_per_shard))


def document_id(key: str) -> str:
    """The doc_id for a key: the key itself if it has the form of one, else its hash.

    A doc_id is 32 lower-case hexadecimal digits, evenly distributed; the hash is XXH3 of 128 bits over UTF-8.
    """
    return key if _DOC_ID.fullmatch(key) else xxhash.xxh3_128_hexdigest(key.encode())


def shard_of(doc_ids: Strings, n_shards: int) -> npt.NDArray[np.int64]:
    """The shard of each document: floor(h * n_shards / 2**64), h the first 16 hexadecimal digits of its id.

    Returns shape (documents,), values in [0, n_shards). n_shards is below 2**32. Raises ValueError for an id
    of another form.
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

    A cluster's id is the document id of its keeper: as the whole cluster goes to one side, no near-copy
    crosses the split, in this batch or (as a later copy keeps its keeper) in any other. Returns shape
    (clusters,).
    """
    limit = round(fraction * 2**64)
    ids = _array(cluster_ids).to_pylist()
    return np.fromiter((xxhash.xxh64_intdigest(i.encode()) < limit for i in ids), np.bool_, len(ids))


def file_name(split: str, shard: int, n_shards: int) -> str:
    """The file name of a shard, as in `train-00000-of-00042.parquet`."""
    return f"{split}-{shard:05d}-of-{n_shards:05d}.parquet"


def write_shard(
    table: pa.Table,
    file: str | os.PathLike[str] | IO[bytes],
    *,
    tokenizer: Tokenizer,
    split: str,
    tokens_per_row_group: int,
) -> ShardInfo:
    """Writes one shard to a local path or an open binary file: `schema`, sorted by doc_id.

    table: the documents of the shard in any order; columns as in INPUT, tokens as `tokenize` makes them.
    A row group starts with the document in which the next `tokens_per_row_group` tokens start: groups have
    about that many, and no document is split. The bytes depend on the documents, the arguments and the
    version of pyarrow only. Holds the table and a sorted copy of it.

    Raises ValueError, before anything is written, for a missing column, a null, a document id twice, or
    tokens that are not whole documents of this tokenizer, or a row group size out of range.
    """
    if not 1 <= tokens_per_row_group <= _LARGEST_ROW_GROUP:
        raise ValueError(f"{tokens_per_row_group} tokens per row group: expected 1 to {_LARGEST_ROW_GROUP}")
    documents = _sorted(table)
    ids, offsets = _ids(documents, tokenizer)
    n_tokens = np.diff(offsets)
    header = Header(
        tokenizer=tokenizer.name,
        vocabulary=tokenizer.checksum,
        dtype=tokenizer.dtype.name,
        end_of_text=tokenizer.end_of_text,
        split=split,
        documents=len(n_tokens),
        tokens=len(ids),
    )
    columns = schema(tokenizer).with_metadata(header.encode())
    lists = columns.field("tokens").type
    with pq.ParquetWriter(
        file,
        columns,
        compression="zstd",
        compression_level=1,
        use_dictionary=["batch"],
        # Low and high bytes of ids apart are 6 % smaller at level 1 than plain ids at level 3, and written in
        # half the time.
        column_encoding={manifest.TOKENS: "BYTE_STREAM_SPLIT"},
        write_statistics=["doc_id", "batch", "n_tokens"],
        sorting_columns=[pq.SortingColumn(0)],
        write_page_index=True,
        write_page_checksum=True,
    ) as writer:
        for start, stop in _row_groups(n_tokens, tokens_per_row_group):
            group = documents.slice(start, stop - start)
            first, last = offsets[start], offsets[stop]
            buffers = [None, pa.py_buffer((offsets[start : stop + 1] - first).astype(np.int32))]
            tokens = pa.Array.from_buffers(lists, len(group), buffers, children=[pa.array(ids[first:last])])
            arrays = [
                group["doc_id"],
                group["url"],
                group["batch"],
                tokens,
                n_tokens[start:stop].astype(np.int32),
            ]
            writer.write_table(pa.table(arrays, schema=columns), row_group_size=len(group))
    return ShardInfo(header.documents, header.tokens)


def _sorted(table: pa.Table) -> pa.Table:
    """The columns of INPUT, sorted by doc_id, each in one chunk."""
    if missing := [field.name for field in INPUT if field.name not in table.column_names]:
        raise ValueError(f"no column {', '.join(missing)} in the documents of a shard")
    try:
        documents = table.select(INPUT.names).cast(INPUT)
    except pa.ArrowException as error:
        raise ValueError(f"the documents of a shard have wrong types: {error}") from error
    if nulls := [field.name for field in INPUT if documents[field.name].null_count]:
        raise ValueError(f"nulls in column {', '.join(nulls)} of the documents of a shard")
    documents = documents.sort_by("doc_id").combine_chunks()
    ids = documents["doc_id"]
    repeated = ids[1:].filter(pc.equal(ids[1:], ids[:-1]))
    if len(repeated):
        raise ValueError(f"document {repeated[0].as_py()} is more than once in a shard")
    return documents


def _ids(documents: pa.Table, tokenizer: Tokenizer) -> tuple[IdArray, npt.NDArray[np.int64]]:
    """All ids of the documents, and where each document starts and the last one ends: views, not copies.

    Raises ValueError unless each document is ids of the vocabulary with the end token once, at its end.
    """
    binary = documents["tokens"].combine_chunks()
    itemsize = tokenizer.dtype.itemsize
    lengths = pc.binary_length(binary).to_numpy(zero_copy_only=False)
    if (broken := lengths % itemsize != 0).any():
        document = documents["doc_id"][int(broken.argmax())]
        raise ValueError(f"document {document} is not whole {tokenizer.dtype.name} ids")
    if not len(binary):
        return np.empty(0, tokenizer.dtype), np.zeros(1, np.int64)
    _, starts, data = binary.buffers()
    in_bytes = np.frombuffer(starts, np.int64)[binary.offset :][: len(binary) + 1]
    offsets = (in_bytes - in_bytes[0]) // itemsize
    ids = np.frombuffer(data, tokenizer.dtype, offsets[-1], in_bytes[0])
    if fault := find_fault(ids, offsets, tokenizer):
        document, why = fault
        raise ValueError(f"document {documents['doc_id'][document]} {why}")
    return ids, offsets


def find_fault(ids: IdArray, offsets: npt.NDArray[np.int64], tokenizer: Tokenizer) -> tuple[int, str] | None:
    """A document that is not ids of the vocabulary with the end token once, at its end; and what it has.

    ids: of all documents, shape (tokens,). offsets: shape (documents + 1,).
    """
    if (empty := np.diff(offsets) == 0).any():
        return int(empty.argmax()), "has no tokens, not even an end token"
    if not len(ids):
        return None
    starts = offsets[:-1]
    ends = ids == tokenizer.end_of_text
    for wrong, why in (
        (np.maximum.reduceat(ids, starts) >= tokenizer.n_vocab, "has an id beyond the vocabulary"),
        (~ends[offsets[1:] - 1], "does not end with the end token"),
        (np.add.reduceat(ends, starts, dtype=np.int64) > 1, "has an end token inside"),
    ):
        if wrong.any():
            return int(wrong.argmax()), why
    return None


def _row_groups(n_tokens: npt.NDArray[np.int64], size: int) -> Iterator[tuple[int, int]]:
    """(start, stop) of each row group: the documents whose first tokens lie in the same `size` tokens."""
    section = (np.cumsum(n_tokens) - n_tokens) // size
    bounds = [0, *(np.flatnonzero(np.diff(section)) + 1).tolist(), len(n_tokens)]
    return ((start, stop) for start, stop in itertools.pairwise(bounds) if start < stop)


def _array(strings: Strings) -> pa.Array | pa.ChunkedArray:
    return strings if isinstance(strings, pa.Array | pa.ChunkedArray) else pa.array(strings, pa.string())
