"""N-gram overlap of files of training texts of any size with benchmarks, on Dask."""

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import reduce

import numpy as np
import pyarrow as pa
from distributed import Client, get_client
from numpy.typing import NDArray

from dedup.files import find_files
from dedup.ngrams.benchmark_index import BenchmarkIndex
from dedup.ngrams.results import BenchmarkOverlap, ScanResult, Share
from dedup.ngrams.training_files import SUFFIXES, Part, Writer, cut, writer
from dedup.output import output_directory
from dedup.tasks import Progress, results, wait_for

__all__ = ["TrainingOverlap", "measure"]


@dataclass(frozen=True)
class TrainingOverlap:
    """What training texts and benchmarks have in common.

    documents: those with at least one n-gram of a benchmark, of all. n_grams: how many of their n-grams are
    in a benchmark, of all. benchmarks: the overlap of each benchmark, in the order of the index.
    """

    documents: Share
    n_grams: Share
    benchmarks: Sequence[BenchmarkOverlap]


@dataclass(frozen=True)
class _Found:
    """The result of a part. seen: as in `ScanResult`, packed to bits."""

    documents: int
    contaminated: int
    n_grams: int
    hits: int
    seen: NDArray[np.uint8]

    def __add__(self, other: "_Found") -> "_Found":
        return _Found(
            self.documents + other.documents,
            self.contaminated + other.contaminated,
            self.n_grams + other.n_grams,
            self.hits + other.hits,
            self.seen | other.seen,
        )


def measure(
    inputs: Sequence[str],
    index: BenchmarkIndex,
    *,
    text: str = "text",
    annotate: str | None = None,
    client: Client | None = None,
    progress: Progress = wait_for,
) -> TrainingOverlap:
    """Scans training texts for the n-grams of benchmarks.

    inputs: fsspec URLs, globs or directories of Parquet, JSON Lines, JSON, CSV, TSV (also .gz, .bz2, .xz,
    .zst), or text files. text: the field with the text; a text file is one document. annotate: the URL of an
    empty directory for the rows with further columns: `overlap_n_grams`, `overlap_hits`,
    `overlap_longest_run` (integers) and `overlap_benchmarks` (names), as in `ScanResult`. It becomes
    part-00000.parquet or part-00000.jsonl.zst and so on, in the order of the inputs.

    client: of the Dask cluster to use, by default the current one. progress: is called for each step with its
    name and futures, and has to wait for them. Every worker holds the index and some megabytes of texts. The
    result does not depend on the workers.

    Raises OSError or `dedup.files.FileError` for what cannot be read or written.
    """
    client = client or get_client()
    files = [file for url in inputs for file in find_files(url, SUFFIXES)]
    with nullcontext() if annotate is None else output_directory(annotate) as target:
        cuts = client.map(cut, files, pure=False)
        parts = [part for found in results(client, progress, "reading", cuts) for part in found]
        bases = [None if target is None else f"{target}/part-{i:05}" for i in range(len(parts))]
        shared = client.scatter(index, broadcast=True)
        scans = client.map(_scan, parts, bases, index=shared, field=text, pure=False)
        empty = _Found(0, 0, 0, 0, np.packbits(np.zeros(len(index.hashes), np.bool_)))
        found = reduce(_Found.__add__, results(client, progress, "scanning", scans), empty)
    seen = np.unpackbits(found.seen, count=len(index.hashes)).astype(np.bool_)
    return TrainingOverlap(
        Share(found.contaminated, found.documents), Share(found.hits, found.n_grams), index.overlaps(seen)
    )


def _scan(part: Part, base: str | None, index: BenchmarkIndex, field: str) -> _Found:
    """Scans a part; writes it annotated if `base` is given."""
    if base is None:
        return _scan_into(part, None, index, field)
    with writer(part, base) as output:
        return _scan_into(part, output, index, field)


def _scan_into(part: Part, output: Writer | None, index: BenchmarkIndex, field: str) -> _Found:
    seen = np.zeros(len(index.hashes), np.bool_)
    documents = contaminated = n_grams = hits = 0
    hit_before = False  # in the document that a batch continues
    for batch in part.batches(field, index.ngrams.n, rows=output is not None):
        result = index.scan(index.ngrams.hash(batch.texts))
        seen |= result.seen
        n_grams += int(result.n_grams.sum())
        hits += int(result.hits.sum())
        hit = int(np.count_nonzero(result.hits))
        if batch.repeated:
            again = index.scan(index.ngrams.hash([batch.repeated]))
            n_grams -= int(again.n_grams[0])
            hits -= int(again.hits[0])
            contaminated += hit > 0 and not hit_before
            hit_before |= hit > 0
        else:
            documents += len(batch.texts)
            contaminated += hit
            hit_before = hit > 0
        if output is not None:
            output.write(batch, _columns(result))
    return _Found(documents, contaminated, n_grams, hits, np.packbits(seen))


def _columns(result: ScanResult) -> dict[str, pa.Array]:
    return {
        "overlap_n_grams": pa.array(result.n_grams),
        "overlap_hits": pa.array(result.hits),
        "overlap_longest_run": pa.array(result.longest_run),
        "overlap_benchmarks": pa.array(result.benchmarks, pa.list_(pa.string())),
    }
