"""The stage `overlap`: which documents have n-grams of benchmarks, and the report on the benchmarks.

The index of the benchmarks is stored in the corpus, every worker reads it from there. A partition's task
scans its documents and leaves, beside its rows, what the report needs of it: the n-grams seen, a sketch of
the distinct n-grams of its training documents, and the strongest evidence.
"""

import hashlib
from functools import lru_cache, partial

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from dedup.ngrams.distinct import DistinctCounter
from dedup.ngrams.hashing import NGrams
from dedup.ngrams.overlap import BenchmarkIndex
from dedup.ngrams.shares import Share
from pipeline.batch.kept import kept
from pipeline.batch.stage import Output, Partition, Run, map_partitions
from pipeline.contamination import bloom_filter, findings, policy, scan, test_sets, views
from pipeline.corpus.files import Corpus
from pipeline.corpus.partitions import Seal
from pipeline.corpus.schemas import OK, OVERLAP
from pipeline.settings import Overlap

STAGE = "overlap"


def check(settings: Overlap) -> None:
    """Raises UserError if a benchmark or its training split cannot be read."""
    test_sets.train_splits(test_sets.index(settings), settings)


def run(run: Run) -> None:
    """Makes `overlap`, the Bloom filter of the training documents, and reports/<batch>/contamination.*."""
    settings, heldout = run.settings.overlap, run.settings.shards.heldout
    index = test_sets.index(settings)
    with run.corpus.writing(_index_name(run.batch)) as path:
        index.save(str(path))
        checksum = hashlib.blake2b(path.read_bytes(), digest_size=16).hexdigest()
    inputs = run.checksums("documents", "duplicates")
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
    evidence = [scan.EVIDENCE.empty_table()]
    for number in range(len(seal.parts)):
        with run.corpus.fs.open(run.corpus.path(_found_name(run.batch, number)), "rb") as file:
            found = np.load(file)
            seen |= np.unpackbits(found["seen"], count=len(seen)).astype(np.bool_)
            counter |= DistinctCounter(found["registers"])
        with run.corpus.fs.open(run.corpus.path(_evidence_name(run.batch, number)), "rb") as file:
            evidence.append(pq.read_table(file))
    texts = inputs if settings.policy == "report" else [part.checksum for part in seal.parts]
    made = bloom_filter.build(run, index.ngrams, texts, counter.count(), counter.bound())
    own = findings.own_train(index, test_sets.train_splits(index, settings))
    documents = Share(*(sum(part.facts[key] for part in seal.parts) for key in ("hits", "total")))
    result = findings.assemble(
        index,
        subject=f"batch {run.batch} of corpus {run.corpus.id}",
        training_set=f"the documents of batch {run.batch} that are not held out ({heldout:.0%} are)",
        own_train=own,
        seen=seen,
        evidence=scan.strongest(pa.concat_tables(evidence)),
        documents=documents,
        filters=[(bloom_filter.name(run.batch), made)],
        policy=f"{policy.described(settings)} ({_removed(seal)})",
    )
    for ending, text in views.files(result).items():
        run.corpus.write_text(f"reports/{run.batch}/contamination.{ending}", text)


def work(partition: Partition, ngrams: NGrams, heldout: float, checksum: str, settings: Overlap) -> Output:
    """Scans the documents of a partition that are kept so far, and applies the policy.

    The table tells of the documents as they came; what the report and the filter are made of, as they leave.
    """
    index = _index(partition.corpus, partition.batch, checksum, ngrams)
    rows = kept(partition, scan.COLUMNS, after="duplicates")
    found = came = scan.look(rows, index, heldout)
    verdict = policy.judge(rows["text"], came.grams, came.scan, index, settings)
    if settings.policy != "report":
        found = scan.look(verdict.left(rows), index, heldout)
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


def _removed(seal: Seal) -> str:
    dropped = seal.counts.get(STAGE, {}).get(policy.CONTAMINATED, 0)
    return f"{dropped:,} documents dropped, {sum(part.facts['cut'] for part in seal.parts):,} cut"


@lru_cache(maxsize=1)
def _load(path: str, checksum: str, ngrams: NGrams) -> BenchmarkIndex:
    return BenchmarkIndex.load(path, ngrams, texts=False)


def _index(corpus: Corpus, batch: str, checksum: str, ngrams: NGrams) -> BenchmarkIndex:
    return _load(corpus.fs.unstrip_protocol(corpus.path(_index_name(batch))), checksum, ngrams)


def _index_name(batch: str) -> str:
    return f"filters/{batch}/benchmarks.parquet"


def _found_name(batch: str, number: int) -> str:
    return f"overlap/{batch}/_found/{number:05d}.npz"


def _evidence_name(batch: str, number: int) -> str:
    return f"overlap/{batch}/_evidence/{number:05d}.parquet"
