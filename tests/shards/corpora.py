"""Small corpora of shards to read back."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from shards import manifest, writer
from shards.manifest import Manifest
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
    directory.mkdir(parents=True)
    documents, files, number = [], [], 0
    for shard, of_shard in enumerate(lengths):
        rows = []
        for length in of_shard:
            ids = [*range(first, first + length - 1), tokenizer.end_of_text]
            first += length - 1
            rows.append({"doc_id": doc_id(number), "url": f"http://example.com/{number}", "batch": "b"})
            rows[-1]["tokens"] = np.array(ids, tokenizer.dtype).tobytes()
            number += 1
            documents.append(ids)
        path = directory / writer.file_name(split, shard, len(lengths))
        table = pa.Table.from_pylist(rows, writer.INPUT)
        writer.write_shard(table, path, tokenizer=tokenizer, split=split, tokens_per_row_group=row_group)
        files.append(manifest.describe(str(path)))
    made = Manifest.of(files[0][0], split=split, batch="b", files=[file for _, file in files])
    (directory / manifest.NAME).write_text(made.dumps())
    return documents
