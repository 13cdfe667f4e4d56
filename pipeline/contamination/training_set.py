"""Which n-grams of an index a training set has: asked of files, of Bloom filters, or of documents."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from distributed import Client, KilledWorker, as_completed
from numpy.typing import NDArray

from dedup.ngrams import benchmarks
from dedup.ngrams.benchmark_index import BenchmarkIndex
from dedup.ngrams.benchmarks import Benchmark
from dedup.ngrams.results import Share
from pipeline.batch.kept import kept_documents
from pipeline.batch.stage import Partition
from pipeline.contamination import bloom_filter
from pipeline.contamination.scan import COLUMNS, Totals, scan_documents
from pipeline.corpus.files import Corpus
from pipeline.corpus.partitions import Table
from pipeline.errors import UserError, as_user_error
from shards import placement

__all__ = ["heldout_texts", "in_documents", "in_files", "in_filters"]

HELDOUT_TEXTS = 10_000  # of the held-out split, to compare samples of a model with


def in_files(index: BenchmarkIndex, paths: Sequence[str]) -> NDArray[np.bool_]:
    """Which n-grams of the index are in files: bool, shape (distinct n-grams of the index,).

    Reads a few megabytes at a time. Raises UserError for a file that cannot be read.
    """
    seen = np.zeros(len(index.hashes), np.bool_)
    with as_user_error("--train"):
        for path in paths:
            for texts in benchmarks.read_batches(path, index.ngrams.n):
                seen |= index.scan(index.ngrams.hash(texts)).seen
    return seen


def in_filters(
    index: BenchmarkIndex, corpus: Corpus, batches: Sequence[str]
) -> tuple[NDArray[np.bool_], list[tuple[str, Mapping[str, Any]]]]:
    """Which n-grams of the index are in the Bloom filters of batches, and each filter's name and record.

    The former is bool, shape (distinct n-grams of the index,). Raises UserError as `bloom_filter.load`.
    """
    seen = np.zeros(len(index.hashes), np.bool_)
    records: list[tuple[str, Mapping[str, Any]]] = []
    for batch in batches:
        found, record = bloom_filter.load(corpus, batch, index.ngrams)
        seen |= found.contains(index.hashes)
        records.append((bloom_filter.name(batch), record))
    return seen, records


def in_documents(index: BenchmarkIndex, corpus: Corpus, batches: Sequence[str], client: Client) -> Totals:
    """Scans the training documents of committed batches for n-grams of the index, a partition per task.

    A worker holds the index and a partition. Raises UserError if the table `overlap` of a batch is missing,
    or if several workers die.
    """
    shared = client.scatter(index, broadcast=True)
    tasks = [
        client.submit(_scan, partition, shared, heldout, retries=1, pure=False)
        for partition, heldout in _partitions(corpus, batches)
    ]
    totals = Totals(index)
    try:
        for task in as_completed(tasks):
            totals.add(*task.result())
            task.release()
    except KilledWorker as error:
        raise UserError("several workers died scanning the documents; give them more memory") from error
    return totals


def heldout_texts(corpus: Corpus, batches: Sequence[str]) -> Benchmark | None:
    """The first HELDOUT_TEXTS held-out documents of batches as a test set; None if there is none."""
    texts: list[str] = []
    for partition, share in _partitions(corpus, batches):
        rows = kept_documents(partition, ["doc_id", "text"])
        texts += rows["text"].filter(placement.is_heldout(rows["doc_id"], share)).to_pylist()
        if len(texts) >= HELDOUT_TEXTS:
            break
    texts = texts[:HELDOUT_TEXTS]
    ids = [str(number) for number in range(len(texts))]
    return Benchmark("held-out split", "the corpus", ids, texts) if texts else None


def _partitions(corpus: Corpus, batches: Sequence[str]) -> Iterator[tuple[Partition, float]]:
    """The partitions of committed batches, and the share of each batch that is held out.

    Raises UserError if the stage `overlap` of a batch is not complete.
    """
    records = corpus.batches()
    for batch in batches:
        share = float(records[batch]["settings"]["shards"]["heldout"])
        for number in range(len(Table(corpus, "overlap", batch).complete().parts)):
            yield Partition(corpus, batch, number), share


def _scan(
    partition: Partition, index: BenchmarkIndex, heldout: float
) -> tuple[NDArray[np.bool_], pa.Table, Share]:
    found = scan_documents(kept_documents(partition, COLUMNS), index, heldout)
    return found.scan.seen, found.evidence, found.documents
