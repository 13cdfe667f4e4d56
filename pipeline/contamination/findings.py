"""From what a scan, or a Bloom filter, found of benchmarks to the data of the contamination report."""

from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from dedup.bloom.false_positives import Trial
from dedup.ngrams.benchmarks import Benchmark
from dedup.ngrams.evidence import Passage, passages
from dedup.ngrams.overlap import BenchmarkIndex
from dedup.ngrams.shares import Overlap, Share
from pipeline.contamination.results import (
    BenchmarkResult,
    Evidence,
    FilterResult,
    Report,
    Text,
    cumulative,
    histogram,
)

WORST = 10  # examples of a benchmark that are shown
RUNS = 3  # passages of an example that are shown where it is not known what document they are in
VERSIONS = ("webtext-pipeline", "tiktoken", "numpy", "datasketch")


def own_train(index: BenchmarkIndex, splits: Sequence[Benchmark | None]) -> list[Overlap | None]:
    """The overlap of each benchmark of an index with its own training split, where it has one."""
    return [
        index.shares(index.scan(index.ngrams.grams(split.texts)).seen)[number] if split else None
        for number, split in enumerate(splits)
    ]


def assemble(
    index: BenchmarkIndex,
    *,
    subject: str,
    training_set: str,
    own_train: Sequence[Overlap | None],
    seen: NDArray[np.bool_],
    evidence: pa.Table | None = None,
    documents: Share | None = None,
    filters: Sequence[tuple[str, Mapping[str, Any]]] = (),
    policy: str = "",
    samples: int = 0,
) -> Report:
    """The report. seen: the n-grams of the index that are in the training set.

    training_set, policy: what that is, in words. evidence: columns as `scan.EVIDENCE`, the
    strongest first; without it passages are marked in the examples only. samples: how many entries of the
    index, the last ones, are texts of a model or the held-out split. filters: path and record of each
    (`pipeline.contamination.bloom_filter`).
    """
    hits = index.example_hits(seen)
    totals = np.diff(index.offsets)
    benchmark_of = index.examples["benchmark"].to_numpy()
    by_example: dict[int, list[dict[str, Any]]] = {}
    for row in evidence.to_pylist() if evidence is not None else []:
        by_example.setdefault(row["example"], []).append(row)
    results: list[BenchmarkResult] = []
    for number, (entry, overlap, own) in enumerate(
        zip(index.entries, index.shares(seen), own_train, strict=True)
    ):
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
    return FilterResult(path, **facts, real_words=Trial(**trial) if trial else None)


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
        "n-grams": f"{ngrams.n} {unit} in a row; none reaches over the end of a document or an example",
        "Equality": "of 64-bit hashes; two different n-grams have the same one with probability 2**-64",
        "Versions": ", ".join(f"{name} {version(name)}" for name in VERSIONS),
    }
    if ngrams.unit == "tokens":
        method["Tokens"] = (
            f"every word is encoded with a space before it (vocabulary {ngrams.tokenizer}), so that a "
            "passage has the same n-grams wherever it stands"
        )
    return method
