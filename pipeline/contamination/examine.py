"""A contamination report on any test sets and any training set, at any time."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa

from dedup.ngrams.results import BenchmarkOverlap, Share
from pipeline import command
from pipeline.batch.cluster import connect
from pipeline.contamination import index, test_sets, training_set
from pipeline.contamination.assemble import assemble
from pipeline.contamination.report import Report
from pipeline.corpus.files import Corpus
from pipeline.settings import Settings

__all__ = ["examine"]


def examine(
    corpus: Corpus | None,
    batches: Sequence[str],
    settings: Settings,
    train: Sequence[str],
    samples: Sequence[str],
    evidence: bool,
) -> Report:
    """The report on the benchmarks of `settings.overlap`.

    corpus, batches: the training set, or None. train: files of a training set, reported as `own_train`.
    samples: files with texts that a model has made. evidence: scan the documents of the corpus, on Dask,
    rather than ask its Bloom filters. Raises UserError.
    """
    others = test_sets.samples(samples)
    if corpus and others and (heldout := training_set.heldout_texts(corpus, batches)):
        others.append(heldout)
    tests = index.build(settings.overlap, others, "--benchmark, --samples" if others else "--benchmark")
    own: Sequence[BenchmarkOverlap | None] = [None] * len(tests.entries)
    seen = np.zeros(len(tests.hashes), np.bool_)
    if train:
        seen = training_set.in_files(tests, train)
        own = tests.overlaps(seen)
    if corpus is None:
        report = assemble(
            tests,
            subject=f"training set {command.named(train)}",
            training_set=f"own training split: {', '.join(train)}",
            own_train=own,
            seen=seen,
            samples=len(others),
        )
        without = [[replace(b, corpus=None) for b in sets] for sets in (report.benchmarks, report.samples)]
        return replace(report, benchmarks=without[0], samples=without[1])
    quotes: pa.Table | None = None
    documents: Share | None = None
    filters: Sequence[tuple[str, Mapping[str, Any]]] = ()
    if evidence:
        with connect(settings.cluster) as client:
            totals = training_set.in_documents(tests, corpus, batches, client)
        seen, quotes, documents = totals.seen, totals.evidence, totals.documents
    else:
        seen, filters = training_set.in_filters(tests, corpus, batches)
    named = f"{'batches' if len(batches) > 1 else 'batch'} {', '.join(batches)}"
    return assemble(
        tests,
        subject=f"corpus {corpus.id}, {named}",
        training_set=f"the documents of {named} that are not held out"
        + (f"; own training split: {', '.join(train)}" if train else ""),
        own_train=own,
        seen=seen,
        evidence=quotes,
        documents=documents,
        filters=filters,
        samples=len(others),
    )
