"""The Bloom filter over the n-grams of a batch's training documents: made on Dask, kept with the corpus.

    filters/<batch>/train.bloom     the filter (`dedup.bloom.bloom_filter` describes the file)
    filters/<batch>/train.json      what it was made from, and how often it errs

It is sized from the number of distinct n-grams, which the stage `overlap` has estimated. Held-out documents
are not in it. How often it errs is measured when it is made: with random n-grams that no text has, as in the
GPT-2 paper, and with random n-grams of words that are units by themselves, from a sample of the documents.
"""

import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from functools import partial, reduce
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from distributed import Client, KilledWorker

from dedup.bloom import false_positives
from dedup.bloom.bloom_filter import VERSION, BloomFilter
from dedup.ngrams.hashing import NGrams
from pipeline.batch.kept import kept
from pipeline.batch.stage import Partition, Run
from pipeline.corpus.files import Corpus
from pipeline.errors import UserError
from pipeline.settings import fingerprint
from shards import writer

TRIALS = 1_000_000  # n-grams that no text has, to measure the false positive rate with: as many as the paper
WORD_TRIALS = 10_000_000  # n-grams of real words
SAMPLE = 500  # documents whose words these are: those with the lowest ids, in any partitions the same
CHARACTERS = 10_000  # of each of them
SEED = 2019
SAMPLED = pa.schema([("doc_id", pa.string()), ("text", pa.large_string())])


def name(batch: str, ending: str = "bloom") -> str:
    """The name of a batch's filter in the corpus."""
    return f"filters/{batch}/train.{ending}"


def build(run: Run, ngrams: NGrams, inputs: Sequence[Any], distinct: int, bound: int) -> dict[str, Any]:
    """Makes the filter of the batch, or finds it made from the same inputs. Returns its record.

    distinct, bound: the estimated number of distinct n-grams, and an upper bound for it. Each worker fills a
    filter with its partitions, and these are joined by OR: a worker holds up to three filters (5 bytes for
    each distinct n-gram and filter at a rate of 1e-8).
    """
    settings, heldout = run.settings.overlap, run.settings.shards.heldout
    rate = settings.false_positive_rate
    key = fingerprint(["filter", VERSION, ngrams.identity, list(inputs), rate, heldout, bound])
    record = run.corpus.read_json(name(run.batch, "json"))
    if record and record["key"] == key and run.corpus.exists(name(run.batch)):
        return record
    try:
        empty = BloomFilter.sized(bound, rate, ngrams.identity)
    except ValueError as error:
        raise UserError(f"overlap.false_positive_rate: {error}") from error
    about = {"key": key, "distinct": distinct, "rate_asked": rate}
    with run.progress.stage("filter", total=len(inputs)) as progress:
        record = _on_dask(
            run.client, run, ngrams, len(inputs), (empty.n_blocks, empty.blocks_per_item), heldout, about
        )
        for _ in inputs:
            progress.advance({})
    run.corpus.write_json(name(run.batch, "json"), record)
    return record


def _on_dask(
    client: Client,
    run: Run,
    ngrams: NGrams,
    partitions: int,
    size: tuple[int, int],
    heldout: float,
    about: dict[str, Any],
) -> dict[str, Any]:
    tasks = min(max(1, partitions), max(1, len(client.scheduler_info()["workers"])))
    fill = partial(_fill, corpus=run.corpus, batch=run.batch, ngrams=ngrams, size=size, heldout=heldout)
    parts = client.map(fill, [range(i, partitions, tasks) for i in range(tasks)], pure=False, retries=1)
    whole = reduce(lambda one, other: client.submit(_join, one, other, pure=False), parts)
    stored = client.submit(_store, whole, ngrams, run.corpus, run.batch, about, pure=False)
    del parts, whole
    try:
        record: dict[str, Any] = stored.result()
    except KilledWorker as error:
        raise UserError(
            "the Bloom filter of the training set: several workers died in making it; give them more memory, "
            "or raise overlap.false_positive_rate"
        ) from error
    return record


def _fill(
    numbers: Sequence[int], corpus: Corpus, batch: str, ngrams: NGrams, size: tuple[int, int], heldout: float
) -> tuple[BloomFilter, pa.Table]:
    """The filter of some partitions, and the sample of their documents (5 million characters at most)."""
    result = BloomFilter(*size, ngrams.identity)
    sample = SAMPLED.empty_table()
    for number in numbers:
        partition = Partition(corpus, batch, number)
        rows = kept(partition, ["doc_id", "text"], after="overlap")
        rows = rows.filter(pa.array(~writer.is_heldout(rows["doc_id"], heldout)))
        result.add(ngrams.grams(rows["text"]).hashes)
        sample = _lowest(sample, rows)
    return result, sample


def _lowest(sample: pa.Table, rows: pa.Table) -> pa.Table:
    """The sample of both together."""
    rows = pa.concat_tables([sample, rows.select(SAMPLED.names).cast(SAMPLED)])
    rows = rows.take(pc.sort_indices(rows["doc_id"])[:SAMPLE])
    starts = pc.utf8_slice_codeunits(rows["text"], 0, CHARACTERS)
    return rows.set_column(1, SAMPLED.field("text"), starts)


def _join(
    one: tuple[BloomFilter, pa.Table], other: tuple[BloomFilter, pa.Table]
) -> tuple[BloomFilter, pa.Table]:
    first, second = one[0], other[0]
    result = BloomFilter(first.n_blocks, first.blocks_per_item, first.about, np.array(first.words))
    result |= second
    return result, _lowest(one[1], other[1])


def _store(
    made: tuple[BloomFilter, pa.Table], ngrams: NGrams, corpus: Corpus, batch: str, about: dict[str, Any]
) -> dict[str, Any]:
    whole, sample = made
    with corpus.writing(name(batch)) as path:
        whole.save(str(path))
    return {
        **about,
        "n_bits": whole.n_bits,
        "n_hashes": whole.n_hashes,
        "fill": whole.fill,
        "rate_expected": whole.false_positive_rate(about["distinct"]),
        "tried": TRIALS,
        "found": int(whole.contains(ngrams.absent(TRIALS, SEED)).sum()),
        "real_words": asdict(
            false_positives.real_words(
                whole, ngrams, sample["text"].to_pylist(), WORD_TRIALS, about["distinct"], SEED
            )
        ),
    }


def load(corpus: Corpus, batch: str, ngrams: NGrams) -> tuple[BloomFilter, dict[str, Any]]:
    """The filter of a batch, mapped to memory if it is local, and its record.

    Raises UserError if there is none, it is damaged, or of other n-grams.
    """
    place = f"{corpus.url}: the Bloom filter of batch '{batch}'"
    if not corpus.exists(name(batch)):
        raise UserError(f"{place} ({name(batch)}) is missing; --evidence looks into the documents instead")
    try:
        found, record = _read(corpus, batch), corpus.read_json(name(batch, "json")) or {}
        if "tried" not in record:
            raise ValueError(f"{name(batch, 'json')} is missing or damaged")
    except ValueError as error:
        raise UserError(f"{place}: {error}; --evidence looks into the documents instead") from error
    if found.about != ngrams.identity:
        theirs = f"{found.about.get('n')}-grams of {found.about.get('unit')}"
        raise UserError(
            f"{place} has {theirs}, asked for were {ngrams.n}-grams of {ngrams.unit}; set overlap.unit and "
            "overlap.n as the batch has them"
            if (found.about.get("n"), found.about.get("unit")) != (ngrams.n, ngrams.unit)
            else f"{place} has {theirs} of another vocabulary or version than this program's"
        )
    return found, record


def _read(corpus: Corpus, batch: str) -> BloomFilter:
    if corpus.is_local:
        return BloomFilter.load(corpus.path(name(batch)))
    with tempfile.TemporaryDirectory() as scratch:
        found = BloomFilter.load(str(corpus.fetch(name(batch), Path(scratch))))
        found.words = np.array(found.words)
        return found
