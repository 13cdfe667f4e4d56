"""The stage `overlap`: which documents have n-grams of benchmarks, and the report on the benchmarks.

Reads `documents` and `duplicates`; writes `overlap`. All but the wiring is in `pipeline.contamination`. The
index of the benchmarks is stored in the corpus, from where every worker reads it. The task of a partition
scans its documents and stores, beside its rows, what the report needs to know of it. Then the Bloom filter of
the training documents is filled, and the report written.
"""

from collections.abc import Sequence
from functools import partial, reduce
from typing import Any

import pyarrow as pa
from distributed import KilledWorker

from dedup.bloom.distinct_counter import DistinctCounter
from dedup.bloom.file_format import VERSION
from dedup.ngrams.hashing import NGramHasher
from pipeline.batch.kept import kept_documents
from pipeline.batch.stage import Output, Partition, Run, map_partitions
from pipeline.contamination import bloom_filter, index, render, stored, test_sets
from pipeline.contamination.assemble import assemble, own_train
from pipeline.contamination.bloom_filter import Filling
from pipeline.contamination.decontamination import CONTAMINATED, decontaminate, describe
from pipeline.contamination.scan import COLUMNS, scan_documents
from pipeline.corpus.partitions import Seal
from pipeline.corpus.schemas import OK, OVERLAP
from pipeline.errors import UserError
from pipeline.settings import Overlap, fingerprint

__all__ = ["check", "run"]

STAGE = "overlap"


def check(settings: Overlap) -> None:
    """Raises UserError if a benchmark or its training split cannot be read."""
    test_sets.train_splits(index.build(settings), settings)


def run(run: Run) -> None:
    """Makes `overlap`, the Bloom filter of the training documents, and reports/<batch>/contamination.*."""
    settings, heldout = run.settings.overlap, run.settings.shards.heldout
    benchmarks = index.build(settings)
    checksum = stored.store_index(benchmarks, run.corpus, run.batch)
    inputs = run.checksums("documents", "duplicates")
    seal = map_partitions(
        run,
        STAGE,
        partial(work, ngrams=benchmarks.ngrams, heldout=heldout, checksum=checksum, settings=settings),
        into="overlap",
        inputs=inputs,
        settings=[settings.unit, settings.n, heldout, checksum, describe(settings)],
    )
    totals, counter = stored.load_findings(run.corpus, run.batch, seal, benchmarks)
    texts = inputs if settings.policy == "report" else [part.checksum for part in seal.parts]
    record = _fill_filter(run, benchmarks.ngrams, texts, counter)
    splits = test_sets.train_splits(benchmarks, settings)
    report = assemble(
        benchmarks,
        subject=f"batch {run.batch} of corpus {run.corpus.id}",
        training_set=f"the documents of batch {run.batch} that are not held out ({heldout:.0%} are)",
        own_train=own_train(benchmarks, splits),
        seen=totals.seen,
        evidence=totals.evidence,
        documents=totals.documents,
        filters=[(bloom_filter.name(run.batch), record)],
        policy=f"{describe(settings)} ({_removed(seal)})",
    )
    for ending, text in render.files(report).items():
        run.corpus.write_text(f"reports/{run.batch}/contamination.{ending}", text)


def work(
    partition: Partition, ngrams: NGramHasher, heldout: float, checksum: str, settings: Overlap
) -> Output:
    """Scans the documents of a partition that are kept so far, and applies the policy.

    The table describes the documents before the policy is applied; report and filter describe what it leaves.
    """
    benchmarks = stored.load_index(partition.corpus, partition.batch, checksum, ngrams)
    rows = kept_documents(partition, COLUMNS, after="duplicates")
    before = after = scan_documents(rows, benchmarks, heldout)
    verdict = decontaminate(rows["text"], before.grams, before.scan, benchmarks, settings)
    if settings.policy != "report":
        after = scan_documents(verdict.kept(rows), benchmarks, heldout)
    columns = {
        "doc_id": rows["doc_id"],
        "n_grams": before.scan.n_grams,
        "hits": before.scan.hits,
        "longest_run": before.scan.longest_run,
        "benchmarks": pa.array(before.scan.benchmarks, pa.list_(pa.string())),
        "cut_text": verdict.cut_texts,
        "reason": verdict.reasons,
    }
    return Output(
        pa.table(columns, schema=OVERLAP),
        {STAGE: verdict.counts or {OK: 0}},
        stored.save_findings(partition, after),
        {
            **stored.facts(after),
            "policy": describe(settings),
            "cut": len(rows) - verdict.cut_texts.null_count,
        },
    )


def _fill_filter(
    run: Run, ngrams: NGramHasher, inputs: Sequence[Any], counter: DistinctCounter
) -> dict[str, Any]:
    """Makes the filter of the batch, or finds it made from the same inputs. Returns its record.

    inputs: what identifies the documents of each partition. counter: has seen their n-grams. Each worker
    fills a filter with its partitions, and these are joined: a worker holds up to three filters, of 5 bytes
    for each distinct n-gram at a false positive rate of 1e-8.
    """
    rate, heldout = run.settings.overlap.false_positive_rate, run.settings.shards.heldout
    key = fingerprint(
        ["filter", VERSION, ngrams.identity, list(inputs), rate, heldout, counter.upper_bound()]
    )
    record = run.corpus.read_json(bloom_filter.name(run.batch, "json"))
    if record and record["key"] == key and run.corpus.exists(bloom_filter.name(run.batch)):
        return record
    filling = Filling(
        run.corpus, run.batch, ngrams, *bloom_filter.size(counter.upper_bound(), rate, ngrams), heldout
    )
    about = {"key": key, "distinct": counter.count(), "rate_asked": rate}
    with run.progress.stage("filter", total=len(inputs)) as progress:
        record = _on_workers(run, filling, len(inputs), about)
        for _ in inputs:
            progress.advance({})
    run.corpus.write_json(bloom_filter.name(run.batch, "json"), record)
    return record


def _on_workers(run: Run, filling: Filling, partitions: int, about: dict[str, Any]) -> dict[str, Any]:
    tasks = min(max(1, partitions), max(1, len(run.client.scheduler_info()["workers"])))
    shares = [range(i, partitions, tasks) for i in range(tasks)]
    parts = run.client.map(bloom_filter.fill, shares, filling=filling, pure=False, retries=1)
    whole = reduce(lambda one, other: run.client.submit(bloom_filter.join, one, other, pure=False), parts)
    result = run.client.submit(bloom_filter.store, whole, filling, about, pure=False)
    del parts, whole
    try:
        record: dict[str, Any] = result.result()
    except KilledWorker as error:
        raise UserError(
            "the Bloom filter of the training set: several workers died while making it; give them more "
            "memory, or raise overlap.false_positive_rate"
        ) from error
    return record


def _removed(seal: Seal) -> str:
    dropped = seal.counts.get(STAGE, {}).get(CONTAMINATED, 0)
    return f"{dropped:,} documents dropped, {sum(part.facts['cut'] for part in seal.parts):,} cut"
