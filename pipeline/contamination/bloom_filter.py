"""The Bloom filter of the n-grams of a batch's training documents, kept with the corpus.

    filters/<batch>/train.bloom     the filter (`dedup.bloom.bloom_filter` describes the file)
    filters/<batch>/train.json      its record: what it was made from, and how often it errs

It is filled in several tasks (`fill`), joined by OR (`join`), and stored (`store`). Held-out documents are
not in it. Its false positive rate is measured when it is stored: with random n-grams that no text has, as in
the GPT-2 paper, and with random n-grams of words that are units by themselves, from a sample of the
documents.
"""

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dedup.bloom import false_positives
from dedup.bloom.bloom_filter import BloomFilter
from dedup.ngrams.hashing import NGramHasher
from pipeline.batch.kept import kept_documents
from pipeline.batch.stage import Partition
from pipeline.corpus.files import Corpus
from pipeline.errors import UserError
from shards import placement

__all__ = ["Filled", "Filling", "fill", "join", "load", "name", "size", "store"]

RANDOM_QUERIES = 1_000_000  # n-grams that no text has, as many as in the paper, to measure the error rate
WORD_QUERIES = 10_000_000  # random n-grams of real words, for the same
SAMPLE = 500  # documents whose words these are: those with the lowest ids, whatever the partitions
CHARACTERS = 10_000  # of each of these documents
SEED = 2019
SAMPLED = pa.schema([("doc_id", pa.string()), ("text", pa.large_string())])

Filled: TypeAlias = tuple[BloomFilter, pa.Table]  # of some partitions, with a sample of schema SAMPLED


@dataclass(frozen=True)
class Filling:
    """How the filter of a batch is filled: sent to every task.

    n_blocks, blocks_per_item: the size of the filter (`BloomFilter`). heldout: the share of documents that
    are left out, from 0 to 1.
    """

    corpus: Corpus
    batch: str
    ngrams: NGramHasher
    n_blocks: int
    blocks_per_item: int
    heldout: float


def name(batch: str, ending: str = "bloom") -> str:
    """The name in the corpus of a batch's filter, or with the ending `json` of its record."""
    return f"filters/{batch}/train.{ending}"


def size(bound: int, rate: float, ngrams: NGramHasher) -> tuple[int, int]:
    """Blocks, and blocks for each n-gram, of a filter for `bound` n-grams with false positive rate `rate`.

    Raises UserError for a rate that no filter can have.
    """
    try:
        empty = BloomFilter.sized(bound, rate, ngrams.identity)
    except ValueError as error:
        raise UserError(f"overlap.false_positive_rate: {error}") from error
    return empty.n_blocks, empty.blocks_per_item


def fill(numbers: Sequence[int], filling: Filling) -> Filled:
    """The filter of some partitions, and the sample of their documents (5 million characters at most)."""
    result = BloomFilter(filling.n_blocks, filling.blocks_per_item, filling.ngrams.identity)
    sample = SAMPLED.empty_table()
    for number in numbers:
        rows = kept_documents(
            Partition(filling.corpus, filling.batch, number), ["doc_id", "text"], after="overlap"
        )
        rows = rows.filter(pa.array(~placement.is_heldout(rows["doc_id"], filling.heldout)))
        result.add(filling.ngrams.hash(rows["text"]).hashes)
        sample = _lowest(sample, rows)
    return result, sample


def _lowest(sample: pa.Table, rows: pa.Table) -> pa.Table:
    """The sample of a sample and further documents together."""
    rows = pa.concat_tables([sample, rows.select(SAMPLED.names).cast(SAMPLED)])
    rows = rows.take(pc.sort_indices(rows["doc_id"])[:SAMPLE])
    starts = pc.utf8_slice_codeunits(rows["text"], 0, CHARACTERS)
    return rows.set_column(1, SAMPLED.field("text"), starts)


def join(one: Filled, other: Filled) -> Filled:
    """The filter of the partitions of both, and the sample of their documents."""
    first, second = one[0], other[0]
    result = BloomFilter(first.n_blocks, first.blocks_per_item, first.about, np.array(first.words))
    result |= second
    return result, _lowest(one[1], other[1])


def store(made: Filled, filling: Filling, about: Mapping[str, Any]) -> dict[str, Any]:
    """Writes the filter of all partitions to the corpus. Returns its record: `about`, size, and error rates.

    about: has, among others, the estimated number of `distinct` n-grams.
    """
    whole, sample = made
    with filling.corpus.writing(name(filling.batch)) as path:
        whole.save(str(path))
    return {
        **about,
        "n_bits": whole.n_bits,
        "n_hashes": whole.n_hashes,
        "fill": whole.fill,
        "rate_expected": whole.false_positive_rate(about["distinct"]),
        "tried": RANDOM_QUERIES,
        "found": int(whole.contains(filling.ngrams.random_absent(RANDOM_QUERIES, SEED)).sum()),
        "real_words": asdict(
            false_positives.count_false_positives(
                whole, filling.ngrams, sample["text"].to_pylist(), WORD_QUERIES, about["distinct"], SEED
            )
        ),
    }


def load(corpus: Corpus, batch: str, ngrams: NGramHasher) -> tuple[BloomFilter, dict[str, Any]]:
    """The filter of a batch, mapped into memory if the corpus is local, and its record.

    Raises UserError if it is missing, damaged, or made of other n-grams.
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
