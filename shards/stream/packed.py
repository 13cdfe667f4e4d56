"""Windows of a fixed number of tokens, as language models are trained on (sequence packing)."""

from collections.abc import Iterable
from typing import Unpack

import numpy as np
import pyarrow as pa

from shards.reader import list_values
from shards.stream.base import Options, Reader
from shards.stream.prefetching import Loaded
from shards.stream.sampling import Ints
from shards.tokenizer import IdArray

__all__ = ["PackedReader"]


class PackedReader(Reader[IdArray, IdArray]):
    """Windows of `length` tokens, cut from the documents laid end to end; every token is in one window.

    paths, options: see `Reader`. Use length = context + 1 to train on windows[:, :-1] and windows[:, 1:].

    Yields ids of the tokenizer's dtype, shape (batch_size, length), a new array each time. At the end of an
    epoch come one step with the windows that are left, and one with a single shorter window. Where documents
    end inside the windows: `shards.document_masking`.
    """

    columns = ("tokens",)

    def __init__(self, paths: str | Iterable[str], length: int, **options: Unpack[Options]) -> None:
        self.length = length
        super().__init__(paths, **options)

    @property
    def _sizes(self) -> Ints:
        return self.row_groups.tokens

    def _load(self, table: pa.Table, order: Ints | None) -> IdArray:
        ids, bounds = list_values(table["tokens"])
        if order is None:
            return ids
        offsets = bounds.tolist()
        # Arrow's pool returns its memory; with blocks of this size, malloc's heap fragments
        shuffled = np.frombuffer(pa.allocate_buffer(ids.nbytes), ids.dtype)
        pieces = [ids[offsets[row] : offsets[row + 1]] for row in order.tolist()]
        return np.concatenate(pieces, out=shuffled)

    def _batch(self, step: Loaded[IdArray]) -> IdArray:
        items, groups = step.plan.items, step.groups
        n_tokens = sum(span.stop - span.start for span in items[0])
        windows = np.empty((len(items), n_tokens), self.format.dtype)
        for window, item in zip(windows, items, strict=True):
            if len(item) == 1:
                group, start, stop = item[0]
                window[:] = groups[group][start:stop]
            else:
                np.concatenate([groups[group][start:stop] for group, start, stop in item], out=window)
        return windows
