"""Reading for training: packed windows or whole documents, shuffled, split over a job, resumable exactly.

    reader = PackedReader("corpus/shards/train", length=1025, batch_size=8, seed=0)
    for epoch in range(2):
        for windows in reader:  # uint16, shape (8, 1025)
            inputs, targets = windows[:, :-1], windows[:, 1:]

Row groups are read in an order drawn for the epoch, and documents are shuffled within their row group
(`shards.stream.sampling` says how). Threads read ahead of the iteration. Memory holds about `interleave` row
groups and a few more, whatever the size of the corpus.
"""

from shards.stream.documents import Document, DocumentReader
from shards.stream.packed import PackedReader

__all__ = ["Document", "DocumentReader", "PackedReader"]
