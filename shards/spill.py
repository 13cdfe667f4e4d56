"""Tokenized documents on local disk, between the texts and the shards.

How many shards a corpus gets is known only when everything is tokenized. Until then documents wait in files
of the Arrow IPC format, one per chunk and split, sorted by doc_id. A shard holds a range of doc_ids, so it is
a slice of every file, found by bisection and read through a memory map.
"""

from bisect import bisect_left
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import xxhash

from shards import placement, writer
from shards.tokenizer import Tokenizer

__all__ = ["SPLITS", "SpilledChunk", "Text", "read_shard", "spill"]

SPLITS = ("train", "heldout")
Text = str | tuple[str | None, str, str]  # a text, or (doc_id, url, text)

_SCHEMA = writer.INPUT.append(pa.field("hashed", pa.bool_()))  # whether the doc_id is the hash of the text


class SpilledChunk(NamedTuple):
    """A tokenized chunk: documents in all, tokens by split, and the file of each split that has documents."""

    documents: int
    tokens: Counter[str]
    files: dict[str, Path]


def spill(
    texts: Sequence[Text], directory: Path, number: int, *, tokenizer: Tokenizer, heldout: float, batch: str
) -> SpilledChunk:
    """Tokenizes a chunk and writes it to files of the directory. heldout: the share of that split."""
    rows = [(None, "", text) if isinstance(text, str) else text for text in texts]
    hashed = [doc_id is None for doc_id, _, _ in rows]
    doc_ids = [
        xxhash.xxh3_128_hexdigest(t.encode()) if i is None else placement.document_id(i) for i, _, t in rows
    ]
    columns = {
        "doc_id": pa.array(doc_ids, pa.string()),
        "url": pa.array([url for _, url, _ in rows], pa.string()),
        "batch": pa.repeat(pa.scalar(batch, pa.string()), len(rows)),
        "tokens": writer.tokenize(pa.array([text for _, _, text in rows], pa.large_string()), tokenizer),
        "hashed": pa.array(hashed),
    }
    table = pa.table(columns, schema=_SCHEMA)
    in_heldout = pa.array(placement.is_heldout(doc_ids, heldout))
    tokens: Counter[str] = Counter()
    files = {}
    for split, rows_of in zip(SPLITS, (pc.invert(in_heldout), in_heldout), strict=True):
        part = table.filter(rows_of).sort_by("doc_id")
        if len(part):
            tokens[split] = pc.sum(pc.binary_length(part["tokens"])).as_py() // tokenizer.dtype.itemsize
            files[split] = directory / f"{split}-{number:06d}.arrow"
            with pa.ipc.new_file(files[split], _SCHEMA) as file:
                file.write_table(part)
    return SpilledChunk(len(rows), tokens, files)


def read_shard(files: Sequence[Path], shard: int, n_shards: int) -> pa.Table:
    """The documents of a shard from the files of its split, as `shards.writer.write_shard` takes them."""
    parts = [_SCHEMA.empty_table()]
    for path in files:
        with pa.memory_map(str(path)) as source:
            table = pa.ipc.open_file(source).read_all()
        start, stop = (_rows_below(table["doc_id"], k, n_shards) for k in (shard, shard + 1))
        parts.append(table.slice(start, stop - start))
    return _number_copies(pa.concat_tables(parts)).drop_columns("hashed")


def _rows_below(doc_ids: pa.ChunkedArray, shard: int, n_shards: int) -> int:
    """How many of the sorted ids are in shards before this one (see `shards.placement.shard_of`)."""
    if shard == n_shards:
        return len(doc_ids)
    lowest = f"{-(-shard * 2**64 // n_shards):016x}"
    return bisect_left(doc_ids, lowest, key=pa.StringScalar.as_py)


def _number_copies(table: pa.Table) -> pa.Table:
    """Adds 0, 1, 2, … to the ids of texts that are equal, in the order of their urls.

    The number goes into the last 64 bits, which leaves the document in its shard. Raises ValueError for a
    doc_id that was given more than once.
    """
    if pc.count_distinct(table["doc_id"]).as_py() == len(table):
        return table
    table = table.sort_by([("doc_id", "ascending"), ("url", "ascending")])
    seen: Counter[str] = Counter()
    doc_ids = []
    for doc_id, hashed in zip(table["doc_id"].to_pylist(), table["hashed"].to_pylist(), strict=True):
        if seen[doc_id] and not hashed:
            raise ValueError(f"doc_id {doc_id} (an id of another form is hashed) occurs more than once")
        number = (int(doc_id[16:], 16) + seen[doc_id]) % 2**64
        seen[doc_id] += 1
        if hashed:
            doc_id = f"{doc_id[:16]}{number:016x}"
        doc_ids.append(doc_id)
    return table.set_column(0, "doc_id", pa.array(doc_ids, pa.string()))
