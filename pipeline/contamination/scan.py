"""Scanning documents for n-grams of benchmarks, and the matching passages as evidence."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from dedup.ngrams.benchmark_index import BenchmarkIndex
from dedup.ngrams.hashing import HashedNGrams
from dedup.ngrams.matches import matches
from dedup.ngrams.passages import passages
from dedup.ngrams.results import ScanResult, Share
from shards import placement

__all__ = ["COLUMNS", "EVIDENCE", "ScannedDocuments", "Totals", "longest_matches", "scan_documents"]

EVIDENCE = pa.schema(  # a run of n-grams that a document and an example have in common
    [
        ("benchmark", pa.int32()),  # index into BenchmarkIndex.entries
        ("example", pa.int64()),  # row of BenchmarkIndex.examples
        ("example_position", pa.int64()),  # the n-gram of the example that the run begins with
        ("n_grams", pa.int64()),  # length of the run
        ("doc_id", pa.string()),
        ("url", pa.string()),
        ("before", pa.string()),  # the document's text before the passage, the passage, and after it
        ("text", pa.string()),
        ("after", pa.string()),
    ]
)
COLUMNS = ["doc_id", "url", "text"]  # of documents that are scanned
MATCHES = 100  # runs of n-grams that are looked at in one document
PER_EXAMPLE, PER_BENCHMARK = 5, 500  # pieces of evidence that a partition, and the report, keep


@dataclass(frozen=True)
class ScannedDocuments:
    """What some documents have in common with benchmarks.

    training: bool, shape (documents,): which are not held out. grams: the n-grams of all documents. scan:
    what all of them have in common with benchmarks, but `scan.seen` counts training documents only. So do
    evidence, a table of schema EVIDENCE, and documents, how many of them have any n-gram of a benchmark.
    """

    training: NDArray[np.bool_]
    grams: HashedNGrams
    scan: ScanResult
    evidence: pa.Table
    documents: Share


class Totals:
    """What the training documents of several partitions have in common with benchmarks, in any order.

    seen: bool, shape (distinct n-grams of the index,): those that any of them has.
    """

    def __init__(self, index: BenchmarkIndex) -> None:
        self.seen: NDArray[np.bool_] = np.zeros(len(index.hashes), np.bool_)
        self._evidence = [EVIDENCE.empty_table()]
        self._hits = self._total = 0

    def add(self, seen: NDArray[np.bool_], evidence: pa.Table, documents: Share) -> None:
        """Adds a partition: the fields of its ScannedDocuments."""
        self.seen |= seen
        self._evidence.append(evidence)
        self._hits += documents.hits
        self._total += documents.total

    @property
    def evidence(self) -> pa.Table:
        """Table of schema EVIDENCE, `longest_matches` of all partitions."""
        return longest_matches(pa.concat_tables(self._evidence))

    @property
    def documents(self) -> Share:
        """How many of the training documents have any n-gram of a benchmark."""
        return Share(self._hits, self._total)


def scan_documents(rows: pa.Table, index: BenchmarkIndex, heldout: float) -> ScannedDocuments:
    """Looks for n-grams of benchmarks in documents.

    rows: a table with COLUMNS. heldout: the share of documents that is held out, from 0 to 1.
    """
    training = ~placement.is_heldout(rows["doc_id"], heldout)
    grams = index.ngrams.hash(rows["text"])
    scan = index.scan(grams, training)
    contaminated = np.flatnonzero(training & (scan.hits > 0))
    return ScannedDocuments(
        training,
        grams,
        scan,
        _evidence(index, rows, grams, contaminated),
        Share(len(contaminated), int(training.sum())),
    )


def longest_matches(evidence: pa.Table) -> pa.Table:
    """The longest runs of each example, PER_EXAMPLE of them, and of each benchmark, PER_BENCHMARK.

    evidence: of schema EVIDENCE, in any order. The result has the longest first, in a total order.
    """
    frame = evidence.to_pandas(types_mapper=pd.ArrowDtype)
    frame = frame.sort_values(
        ["n_grams", "doc_id", "example", "example_position", "before"],
        ascending=[False, True, True, True, True],
        kind="stable",
    )
    frame = frame.drop_duplicates(["example", "example_position", "doc_id"])
    frame = frame.groupby("example").head(PER_EXAMPLE).groupby("benchmark").head(PER_BENCHMARK)
    return pa.Table.from_pandas(frame, schema=EVIDENCE, preserve_index=False).replace_schema_metadata()


def _evidence(
    index: BenchmarkIndex, rows: pa.Table, grams: HashedNGrams, documents: NDArray[np.int64]
) -> pa.Table:
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
    return longest_matches(pa.Table.from_pylist(found, EVIDENCE))
