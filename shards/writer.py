"""Writing one shard: a Parquet file with a row per document, byte-identical for the same documents.

Until they are written, the token ids of a document are one binary value: their little-endian bytes. Any
shuffle can carry it, and it becomes the list column of the file without a copy.
"""

import itertools
import os
from collections.abc import Iterator
from typing import IO, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from shards import manifest
from shards.manifest import Header
from shards.tokenizer import IdArray, Tokenizer

__all__ = [
    "INPUT",
    "ShardInfo",
    "find_fault",
    "schema",
    "tokenize",
    "write_shard",
]

_LARGEST_ROW_GROUP = 2**30  # a list column's offsets are 32 bits wide

# The columns that `write_shard` takes.
INPUT = pa.schema(
    [("doc_id", pa.string()), ("url", pa.string()), ("batch", pa.string()), ("tokens", pa.large_binary())]
)


class ShardInfo(NamedTuple):
    """What a shard holds; tokens include the end tokens."""

    documents: int
    tokens: int


def schema(tokenizer: Tokenizer) -> pa.Schema:
    """The columns of a shard with ids of this tokenizer."""
    ids = pa.list_(pa.field("element", pa.from_numpy_dtype(tokenizer.dtype), nullable=False))
    columns = INPUT.set(3, pa.field("tokens", ids)).append(pa.field("n_tokens", pa.int32()))
    return pa.schema([column.with_nullable(False) for column in columns])


def tokenize(texts: pa.Array | pa.ChunkedArray, tokenizer: Tokenizer) -> pa.LargeBinaryArray:
    """The ids of each text followed by the end token, as little-endian bytes of `tokenizer.dtype`.

    texts: strings. Returns one binary value per text. Raises ValueError for a null.
    """
    if texts.null_count:
        raise ValueError(f"{texts.null_count} of {len(texts)} texts to tokenize are null")
    ids, offsets = tokenizer.encode_documents(texts.to_pylist())
    buffers = [None, pa.py_buffer(offsets * tokenizer.dtype.itemsize), pa.py_buffer(ids)]
    return pa.Array.from_buffers(pa.large_binary(), len(texts), buffers)


def write_shard(
    table: pa.Table,
    file: str | os.PathLike[str] | IO[bytes],
    *,
    tokenizer: Tokenizer,
    split: str,
    tokens_per_row_group: int,
) -> ShardInfo:
    """Writes one shard, sorted by doc_id, to a local path or an open binary file.

    table: the documents of the shard in any order; columns as in INPUT, tokens as `tokenize` makes them.
    tokens_per_row_group: about how many tokens a row group has; no document is split.

    The bytes depend only on the documents, the arguments and the version of pyarrow. Memory holds the table
    and a sorted copy of it.

    Raises ValueError, before anything is written, for a missing column, a null, a doc_id that occurs twice,
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
    """All ids, and the offsets of the documents in them, shape (documents + 1,): views, not copies.

    Raises ValueError unless each document is ids of the vocabulary with one end token, at its end.
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
    """The first document that is not ids of the vocabulary with one end token, at its end; and what is wrong.

    ids: of all documents, shape (tokens,). offsets: shape (documents + 1,). Returns None if all are right.
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
