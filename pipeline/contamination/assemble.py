"""From the n-grams found and the evidence to the data of the contamination report."""

from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from dedup.bloom.false_positives import FalsePositives
from dedup.ngrams.benchmark_index import BenchmarkIndex
from dedup.ngrams.benchmarks import Benchmark
from dedup.ngrams.passages import Passage, passages
from dedup.ngrams.results import BenchmarkOverlap, Share
from pipeline.contamination.report import (
    BenchmarkResult,
    Evidence,
    FilterResult,
    Report,
    Text,
    cumulative,
    histogram,
)

__all__ = ["assemble", "own_train"]

WORST = 10  # examples of a benchmark that are shown
RUNS = 3  # passages of an example that are shown where the document they are in is not known
VERSIONS = ("webtext-pipeline", "tiktoken", "numpy", "datasketch")


def own_train(index: BenchmarkIndex, splits: Sequence[Benchmark | None]) -> list[BenchmarkOverlap | None]:
    """The overlap of each benchmark of an index with its own training split; None for those without.

    splits: of each benchmark, as `test_sets.train_splits` reads them.
    """
    return [
        index.overlaps(index.scan(index.ngrams.hash(split.texts)).seen)[number] if split else None
        for number, split in enumerate(splits)
    ]


def assemble(
    index: BenchmarkIndex,
    *,
    subject: str,
    training_set: str,
    own_train: Sequence[BenchmarkOverlap | None],
    seen: NDArray[np.bool_],
    evidence: pa.Table | None = None,
    documents: Share | None = None,
    filters: Sequence[tuple[str, Mapping[str, Any]]] = (),
    policy: str = "",
    samples: int = 0,
) -> Report:
    """The report on all test sets of an index: the shares of their n-grams that are in a training set.

    subject: what the report is about, for its title. training_set: what the training set is, in words.
    own_train: for each entry of the index its overlap with its own training split, or None.
    seen: bool, shape (distinct n-grams of the index,): whether an n-gram is in the training set.
    evidence: table of schema `scan.EVIDENCE`, longest runs first, from which the WORST examples of a
    benchmark are quoted beside the documents. None: their passages are marked in the examples only.
    documents: how many training documents have any n-gram of a benchmark, if that is known. filters: name in
    the corpus and record of each Bloom filter (`bloom_filter.load`). policy: what was done with contaminated
    documents, in words; empty if that does not apply. samples: how many entries, the last of the index, are
    no benchmarks but texts of a model or the held-out split; they are reported apart.

    Raises ValueError unless own_train has one item for each entry.
    """
    hits = index.example_hits(seen)
    totals = np.diff(index.offsets)
    benchmark_of = index.examples["benchmark"].to_numpy()
    by_example: dict[int, list[dict[str, Any]]] = {}
    for row in evidence.to_pylist() if evidence is not None else []:
        by_example.setdefault(row["example"], []).append(row)
    results: list[BenchmarkResult] = []
    entries = zip(index.entries, index.overlaps(seen), own_train, strict=True)
    for number, (entry, overlap, own) in enumerate(entries):
        examples = np.flatnonzero(benchmark_of == number)
        share = hits[examples] / np.maximum(totals[examples], 1)
        order = np.lexsort([examples, -hits[examples], -share])
        worst = [i for i in examples[order][:WORST].tolist() if hits[i]]
        results.append(
            BenchmarkResult(
                name=entry.name,
                source=entry.source,
                stream=entry.stream,
                fields=entry.fields,
                unit=index.ngrams.unit,
                n=index.ngrams.n,
                own_train=own,
                corpus=overlap,
                histogram=histogram(hits[examples].tolist(), totals[examples].tolist()),
                cdf=cumulative(hits[examples].tolist(), totals[examples].tolist()),
                worst=[
                    Text(
                        index.examples["id"][i].as_py(),
                        Share(int(hits[i]), int(totals[i])),
                        _evidence(index, i, seen, by_example.get(i) if evidence is not None else None),
                    )
                    for i in worst
                ],
            )
        )
    records = [_filter(path, record) for path, record in filters]
    asked = len(results) - samples
    return Report(
        subject,
        results[:asked],
        documents,
        records,
        results[asked:],
        _method(index, training_set, policy),
    )


def _filter(path: str, record: Mapping[str, Any]) -> FilterResult:
    facts = {key: value for key, value in record.items() if key not in ("key", "real_words")}
    trial = record.get("real_words")
    return FilterResult(path, **facts, real_words=FalsePositives(**trial) if trial else None)


def _evidence(
    index: BenchmarkIndex, example: int, seen: NDArray[np.bool_], rows: Sequence[Mapping[str, Any]] | None
) -> list[Evidence]:
    text = index.examples["text"][example].as_py()
    if rows is None:
        runs = index.runs(example, seen)[:RUNS]
        return [
            Evidence(n_grams, passage)
            for (_, n_grams), passage in zip(runs, passages(text, runs, index.ngrams), strict=True)
        ]
    quoted = passages(text, [(row["example_position"], row["n_grams"]) for row in rows], index.ngrams)
    return [
        Evidence(
            row["n_grams"],
            passage,
            Passage(row["before"], row["text"], row["after"]),
            row["doc_id"],
            row["url"],
        )
        for row, passage in zip(rows, quoted, strict=True)
    ]


def _method(index: BenchmarkIndex, training_set: str, policy: str) -> dict[str, str]:
    ngrams = index.ngrams
    unit = "words" if ngrams.unit == "words" else "GPT-2 tokens"
    method = {
        "Training set": training_set,
        **({"Policy": policy} if policy else {}),
        "Normal form": "runs of Unicode alphanumerics, lower-cased, joined by single spaces",
        "n-grams": f"{ngrams.n} {unit} in a row; none crosses the end of a document or an example",
        "Equality": "of 64-bit hashes; two different n-grams have the same hash with probability 2**-64",
        "Versions": ", ".join(f"{name} {version(name)}" for name in VERSIONS),
    }
    if ngrams.unit == "tokens":
        method["Tokens"] = (
            f"every word is encoded with a space before it (vocabulary {ngrams.tokenizer}), so that a "
            "passage has the same n-grams wherever it stands"
        )
    return method
