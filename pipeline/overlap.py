"""The stage `overlap`: which documents have n-grams of benchmarks, and the report on the benchmarks.

The index of the benchmarks is stored in the corpus, every worker reads it from there. A partition's task
scans its documents and leaves, beside its rows, what the report needs of it: the n-grams seen, a sketch of
the distinct n-grams of its training documents, and the strongest evidence.
"""

import hashlib
from dataclasses import dataclass
from functools import lru_cache, partial

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from dedup import benchmarks
from dedup.benchmarks import Benchmark
from dedup.distinct import DistinctCounter
from dedup.evidence import passages
from dedup.matches import matches
from dedup.ngrams import Grams, NGrams
from dedup.overlap import BenchmarkIndex, Scan, Share
from pipeline import filters, policy
from pipeline.corpus import Corpus
from pipeline.documents import kept
from pipeline.errors import UserError
from pipeline.partitions import Seal
from pipeline.report import contamination as report
from pipeline.report import findings
from pipeline.settings import Overlap
from pipeline.stage import Output, Partition, Run, map_partitions
from pipeline.tables import OK, OVERLAP
from shards import tokenizer, writer

STAGE = "overlap"
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


def ngrams(settings: Overlap) -> NGrams:
    """The n-grams of the settings. Raises UserError if the tokenizer cannot be had."""
    if settings.unit == "words":
        return NGrams("words", settings.n)
    try:
        encoder = tokenizer.load()
    except (ValueError, OSError) as error:
        raise UserError(f"overlap.unit: {error}") from error
    return NGrams("tokens", settings.n, encoder.encode_batch, encoder.checksum)


def read(settings: Overlap) -> list[Benchmark]:
    """The configured benchmarks. Raises UserError for what is wrong with them."""
    try:
        return [
            benchmarks.read(b.path, name=b.name, fields=b.fields, stream=b.stream)
            for b in settings.benchmarks
        ]
    except (ValueError, OSError, ImportError) as error:
        raise UserError(f"overlap.benchmarks: {error}") from error


def build(settings: Overlap) -> BenchmarkIndex:
    """The index of the configured benchmarks. Raises UserError for what is wrong with them."""
    try:
        return BenchmarkIndex.build(read(settings), ngrams(settings))
    except (ValueError, OSError, ImportError) as error:
        raise UserError(f"overlap.benchmarks: {error}") from error


def check(settings: Overlap) -> None:
    """Raises UserError if a benchmark or its training split cannot be read."""
    train_splits(build(settings), settings)


def train_splits(index: BenchmarkIndex, settings: Overlap) -> list[Benchmark | None]:
    """The benchmarks' own training splits where they are named, read as the benchmarks themselves are.

    Raises UserError if one cannot be read.
    """
    try:
        return [
            benchmarks.read(b.train, fields=entry.fields, stream=entry.stream) if b.train else None
            for b, entry in zip(settings.benchmarks, index.entries, strict=True)
        ]
    except (ValueError, OSError, ImportError) as error:
        raise UserError(f"overlap.benchmarks: train: {error}") from error


def run(run: Run) -> None:
    """Makes `overlap`, the Bloom filter of the training documents, and reports/<batch>/contamination.*."""
    settings, heldout = run.settings.overlap, run.settings.shards.heldout
    index = build(settings)
    with run.corpus.writing(_index_name(run.batch)) as path:
        index.save(str(path))
        checksum = hashlib.blake2b(path.read_bytes(), digest_size=16).hexdigest()
    inputs = [
        [documents.checksum, duplicates.checksum]
        for documents, duplicates in zip(
            run.sealed("documents").parts, run.sealed("duplicates").parts, strict=True
        )
    ]
    seal = map_partitions(
        run,
        STAGE,
        partial(work, ngrams=index.ngrams, heldout=heldout, checksum=checksum, settings=settings),
        into="overlap",
        inputs=inputs,
        settings=[settings.unit, settings.n, heldout, checksum, policy.described(settings)],
    )
    seen = np.zeros(len(index.hashes), np.bool_)
    counter = DistinctCounter()
    evidence = [EVIDENCE.empty_table()]
    for number in range(len(seal.parts)):
        with run.corpus.fs.open(run.corpus.path(_found_name(run.batch, number)), "rb") as file:
            found = np.load(file)
            seen |= np.unpackbits(found["seen"], count=len(seen)).astype(np.bool_)
            counter |= DistinctCounter(found["registers"])
        with run.corpus.fs.open(run.corpus.path(_evidence_name(run.batch, number)), "rb") as file:
            evidence.append(pq.read_table(file))
    texts = inputs if settings.policy == "report" else [part.checksum for part in seal.parts]
    made = filters.build(run, index.ngrams, texts, counter.count(), counter.bound())
    own = findings.own_train(index, train_splits(index, settings))
    documents = Share(*(sum(part.facts[key] for part in seal.parts) for key in ("hits", "total")))
    result = findings.assemble(
        index,
        subject=f"batch {run.batch} of corpus {run.corpus.id}",
        training_set=f"the documents of batch {run.batch} that are not held out ({heldout:.0%} are)",
        own_train=own,
        seen=seen,
        evidence=strongest(pa.concat_tables(evidence)),
        documents=documents,
        filters=[(filters.name(run.batch), made)],
        policy=f"{policy.described(settings)} ({_removed(seal)})",
    )
    run.corpus.write_json(f"reports/{run.batch}/contamination.json", report.to_json(result))
    run.corpus.write_text(f"reports/{run.batch}/contamination.html", report.to_html(result))
    run.corpus.write_text(f"reports/{run.batch}/contamination.md", report.to_markdown(result))


def work(partition: Partition, ngrams: NGrams, heldout: float, checksum: str, settings: Overlap) -> Output:
    """Scans the documents of a partition that are kept so far, and applies the policy.

    The table tells of the documents as they came; what the report and the filter are made of, as they leave.
    """
    index = _index(partition.corpus, partition.batch, checksum, ngrams)
    rows = kept(partition, COLUMNS, after="duplicates")
    found = came = look(rows, index, heldout)
    verdict = policy.judge(rows["text"], came.grams, came.scan, index, settings)
    if settings.policy != "report":
        found = look(verdict.left(rows), index, heldout)
    counter = DistinctCounter()
    counter.add(found.grams.hashes[np.repeat(found.training, found.grams.counts)])
    local = {
        _found_name(partition.batch, partition.number): partition.scratch / "found.npz",
        _evidence_name(partition.batch, partition.number): partition.scratch / "evidence.parquet",
    }
    arrays, evidence = local.values()
    np.savez(arrays, seen=np.packbits(found.scan.seen), registers=counter.registers)
    pq.write_table(found.evidence, evidence, compression="zstd")
    columns = {
        "doc_id": rows["doc_id"],
        "n_grams": came.scan.n_grams,
        "hits": came.scan.hits,
        "longest_run": came.scan.longest_run,
        "benchmarks": pa.array(came.scan.benchmarks, pa.list_(pa.string())),
        "cut_text": verdict.cut_texts,
        "reason": verdict.reasons,
    }
    facts = {
        "hits": found.documents.hits,
        "total": found.documents.total,
        "policy": policy.described(settings),
        "cut": len(rows) - verdict.cut_texts.null_count,
    }
    return Output(pa.table(columns, schema=OVERLAP), {STAGE: verdict.counts or {OK: 0}}, local, facts)


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


def _removed(seal: Seal) -> str:
    dropped = seal.counts.get(STAGE, {}).get(policy.CONTAMINATED, 0)
    return f"{dropped:,} documents dropped, {sum(part.facts['cut'] for part in seal.parts):,} cut"


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


@lru_cache(maxsize=1)
def _load(path: str, checksum: str, ngrams: NGrams) -> BenchmarkIndex:
    return BenchmarkIndex.load(path, ngrams)


def _index(corpus: Corpus, batch: str, checksum: str, ngrams: NGrams) -> BenchmarkIndex:
    return _load(corpus.fs.unstrip_protocol(corpus.path(_index_name(batch))), checksum, ngrams)


def _index_name(batch: str) -> str:
    return f"filters/{batch}/benchmarks.parquet"


def _found_name(batch: str, number: int) -> str:
    return f"overlap/{batch}/_found/{number:05d}.npz"


def _evidence_name(batch: str, number: int) -> str:
    return f"overlap/{batch}/_evidence/{number:05d}.parquet"
