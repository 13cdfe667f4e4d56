"""Whole documents, for training that does its own packing, padding or filtering."""

from typing import NamedTuple

import pyarrow as pa

from shards.reader import list_values
from shards.stream.base import Reader
from shards.stream.prefetching import Loaded
from shards.stream.sampling import Ints
from shards.tokenizer import IdArray

__all__ = ["Document", "DocumentReader"]


class Document(NamedTuple):
    """One document. tokens: ids of the tokenizer's dtype, shape (tokens,), the last one the end token."""

    doc_id: str
    url: str
    tokens: IdArray


class DocumentReader(Reader[list[Document], list[Document]]):
    """Whole documents of any length: yields lists of `batch_size` documents, fewer at the end of an epoch.

    paths, options: see `Reader`.
    """

    columns = ("doc_id", "url", "tokens")
    length = 1

    @property
    def _sizes(self) -> Ints:
        return self.row_groups.documents

    def _load(self, table: pa.Table, order: Ints | None) -> list[Document]:
        ids, bounds = list_values(table["tokens"])
        offsets = bounds.tolist()
        doc_ids, urls = table["doc_id"].to_pylist(), table["url"].to_pylist()
        rows = range(len(table)) if order is None else order.tolist()
        return [Document(doc_ids[row], urls[row], ids[offsets[row] : offsets[row + 1]]) for row in rows]

    def _batch(self, step: Loaded[list[Document]]) -> list[Document]:
        return [step.groups[group][row] for [(group, row, _)] in step.plan.items]
