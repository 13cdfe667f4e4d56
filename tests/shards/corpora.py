"""Small corpora of shards to read back."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from shards import writer
from shards.split import write_split
from shards.tokenizer import Tokenizer, load
from tests.shards.test_writer import doc_id


def make_batch(
    directory: Path,
    lengths: Sequence[Sequence[int]],
    *,
    split: str = "train",
    first: int = 0,
    row_group: int = 50,
    tokenizer: Tokenizer | None = None,
) -> list[list[int]]:
    """Writes one shard for each of `lengths` (tokens of its documents, the end token included), a manifest.

    The ids count up from `first` (the end token is left out), so that every token is known by its id. Returns
    the documents.
    """
    tokenizer = tokenizer or load()
    documents: list[list[int]] = []
    tables = []
    for of_shard in lengths:
        rows = []
        for length in of_shard:
            ids = [*range(first, first + length - 1), tokenizer.end_of_text]
            first += length - 1
            number = len(documents)
            rows.append({"doc_id": doc_id(number), "url": f"http://example.com/{number}", "batch": "b"})
            rows[-1]["tokens"] = np.array(ids, tokenizer.dtype).tobytes()
            documents.append(ids)
        tables.append(pa.Table.from_pylist(rows, writer.INPUT))
    write_split(
        tables,
        str(directory),
        n_shards=len(tables),
        split=split,
        batch="b",
        tokenizer=tokenizer,
        tokens_per_row_group=row_group,
    )
    return documents
