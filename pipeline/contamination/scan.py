"""Scanning documents for n-grams of benchmarks: those of a partition, or of all partitions of a corpus."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow as pa
from distributed import Client, KilledWorker, as_completed
from numpy.typing import NDArray

from dedup.ngrams.evidence import passages
from dedup.ngrams.hashing import Grams
from dedup.ngrams.matches import matches
from dedup.ngrams.overlap import BenchmarkIndex
from dedup.ngrams.shares import Scan, Share
from pipeline.batch.kept import kept
from pipeline.batch.stage import Partition
from pipeline.corpus.files import Corpus
from pipeline.corpus.partitions import Table
from pipeline.errors import UserError
from shards import writer

EVIDENCE = pa.schema(
    [
        ("benchmark", pa.int32()),  # index into BenchmarkIndex.entries
        ("example", pa.int64()),  # row of BenchmarkIndex.examples
        ("example_position", pa.int64()),
        ("n_grams", pa.int64()),
        ("doc_id", pa.string()),
        ("url", pa.string()),
        ("before", pa.string()),
        ("text", pa.string()),
        ("after", pa.string()),
    ]
)
COLUMNS = ["doc_id", "url", "text"]
MATCHES = 100  # runs of n-grams of one document that are looked at
PER_EXAMPLE, PER_BENCHMARK = 5, 500  # pieces of evidence that a partition, and the report, keep


@dataclass(frozen=True)
class Found:
    """What the documents of a partition have in common with benchmarks.

    training: which of them are not held out: only these count in `scan.seen`, `evidence` (table of schema
    EVIDENCE) and `documents`.
    """

    training: NDArray[np.bool_]
    grams: Grams
    scan: Scan
    evidence: pa.Table
    documents: Share


def look(rows: pa.Table, index: BenchmarkIndex, heldout: float) -> Found:
    """Looks for n-grams of benchmarks in documents. rows: with COLUMNS."""
    training = ~writer.is_heldout(rows["doc_id"], heldout)
    grams = index.ngrams.grams(rows["text"])
    scan = index.scan(grams, training)
    contaminated = np.flatnonzero(training & (scan.hits > 0))
    return Found(
        training,
        grams,
        scan,
        _evidence(index, rows, grams, contaminated),
        Share(len(contaminated), int(training.sum())),
    )


def partitions(corpus: Corpus, batches: Sequence[str]) -> Iterator[tuple[Partition, float]]:
    """The partitions of committed batches, and which share of each batch is held out.

    Raises UserError if a batch has none.
    """
    records = corpus.batches()
    for batch in batches:
        share = float(records[batch]["settings"]["shards"]["heldout"])
        for number in range(len(Table(corpus, "overlap", batch).complete().parts)):
            yield Partition(corpus, batch, number), share


def look_through(
    client: Client, corpus: Corpus, batches: Sequence[str], index: BenchmarkIndex
) -> tuple[NDArray[np.bool_], pa.Table, Share]:
    """Scans the training documents of committed batches on Dask: a partition is a task.

    Returns the n-grams of the index that are in them, the evidence, and how many documents have any. A worker
    holds the index and a partition. Raises UserError.
    """
    shared = client.scatter(index, broadcast=True)
    tasks = [
        client.submit(_look, partition, shared, heldout, retries=1, pure=False)
        for partition, heldout in partitions(corpus, batches)
    ]
    seen = np.zeros(len(index.hashes), np.bool_)
    evidence, hits, total = [EVIDENCE.empty_table()], 0, 0
    try:
        for task in as_completed(tasks):
            in_part, quotes, documents = task.result()
            task.release()
            seen |= in_part
            evidence.append(quotes)
            hits += documents.hits
            total += documents.total
    except KilledWorker as error:
        raise UserError("several workers died scanning the documents; give them more memory") from error
    return seen, strongest(pa.concat_tables(evidence)), Share(hits, total)


def _look(
    partition: Partition, index: BenchmarkIndex, heldout: float
) -> tuple[NDArray[np.bool_], pa.Table, Share]:
    found = look(kept(partition, COLUMNS), index, heldout)
    return found.scan.seen, found.evidence, found.documents


def strongest(evidence: pa.Table) -> pa.Table:
    """The longest matches of each example and benchmark, in a total order."""
    frame = evidence.to_pandas(types_mapper=pd.ArrowDtype)
    frame = frame.sort_values(
        ["n_grams", "doc_id", "example", "example_position", "before"],
        ascending=[False, True, True, True, True],
        kind="stable",
    )
    frame = frame.drop_duplicates(["example", "example_position", "doc_id"])
    frame = frame.groupby("example").head(PER_EXAMPLE).groupby("benchmark").head(PER_BENCHMARK)
    return pa.Table.from_pandas(frame, schema=EVIDENCE, preserve_index=False).replace_schema_metadata()


def _evidence(index: BenchmarkIndex, rows: pa.Table, grams: Grams, documents: NDArray[np.int64]) -> pa.Table:
    found = []
    benchmark = index.examples["benchmark"].to_numpy()
    for i in documents.tolist():
        doc_id, url, text = (rows[name][i].as_py() for name in ("doc_id", "url", "text"))
        found_in = matches(index, grams.hashes[grams.offsets[i] : grams.offsets[i + 1]], MATCHES)
        quotes = passages(text, [(match.position, match.n_grams) for match in found_in], index.ngrams)
        found += [
            {
                "benchmark": int(benchmark[match.example]),
                "example": match.example,
                "example_position": match.example_position,
                "n_grams": match.n_grams,
                "doc_id": doc_id,
                "url": url,
                "before": quote.before,
                "text": quote.text,
                "after": quote.after,
            }
            for match, quote in zip(found_in, quotes, strict=True)
        ]
    return strongest(pa.Table.from_pylist(found, EVIDENCE))
