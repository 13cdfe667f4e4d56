"""What the stage `overlap` keeps in the corpus beside its table: the index, and what each partition found.

filters/<batch>/benchmarks.parquet          the index of the benchmarks, which every worker reads
overlap/<batch>/_found/<number>.npz         the n-grams of the index seen; a sketch of the distinct n-grams
overlap/<batch>/_evidence/<number>.parquet  the matching passages, of schema `scan.EVIDENCE`
"""

import hashlib
from functools import lru_cache
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from dedup.bloom.distinct_counter import DistinctCounter
from dedup.ngrams.benchmark_index import BenchmarkIndex
from dedup.ngrams.hashing import NGramHasher
from dedup.ngrams.results import Share
from pipeline.batch.stage import Partition
from pipeline.contamination.scan import ScannedDocuments, Totals
from pipeline.corpus.files import Corpus
from pipeline.corpus.partitions import Seal

__all__ = ["facts", "load_findings", "load_index", "save_findings", "store_index"]


def store_index(index: BenchmarkIndex, corpus: Corpus, batch: str) -> str:
    """Writes the index of a batch. Returns its checksum: 32 hexadecimal digits of BLAKE2b."""
    with corpus.writing(_index_name(batch)) as path:
        index.save(str(path))
        return hashlib.blake2b(path.read_bytes(), digest_size=16).hexdigest()


def load_index(corpus: Corpus, batch: str, checksum: str, ngrams: NGramHasher) -> BenchmarkIndex:
    """The index of a batch without the texts of its examples, read once per process and checksum."""
    return _load(corpus.fs.unstrip_protocol(corpus.path(_index_name(batch))), checksum, ngrams)


@lru_cache(maxsize=1)
def _load(path: str, checksum: str, ngrams: NGramHasher) -> BenchmarkIndex:
    return BenchmarkIndex.load(path, ngrams, texts=False)


def save_findings(partition: Partition, found: ScannedDocuments) -> dict[str, Path]:
    """Writes what was found in a partition to local files. Returns them by their names in the corpus."""
    counter = DistinctCounter()
    counter.add(found.grams.hashes[np.repeat(found.training, found.grams.counts)])
    arrays, evidence = partition.scratch / "found.npz", partition.scratch / "evidence.parquet"
    np.savez(arrays, seen=np.packbits(found.scan.seen), registers=counter.registers)
    pq.write_table(found.evidence, evidence, compression="zstd")
    return {
        _found_name(partition.batch, partition.number): arrays,
        _evidence_name(partition.batch, partition.number): evidence,
    }


def facts(found: ScannedDocuments) -> dict[str, int]:
    """The documents counted, for the partition's manifest; `load_findings` reads them there."""
    return {"hits": found.documents.hits, "total": found.documents.total}


def load_findings(
    corpus: Corpus, batch: str, seal: Seal, index: BenchmarkIndex
) -> tuple[Totals, DistinctCounter]:
    """What all partitions found, and a sketch of the distinct n-grams of all training documents.

    Holds the evidence of all partitions, at most `scan.PER_BENCHMARK` rows of each benchmark and partition.
    """
    totals, counter = Totals(index), DistinctCounter()
    for number, part in enumerate(seal.parts):
        with corpus.fs.open(corpus.path(_evidence_name(batch, number)), "rb") as file:
            evidence = pq.read_table(file)
        with corpus.fs.open(corpus.path(_found_name(batch, number)), "rb") as file:
            arrays = np.load(file)
            seen = np.unpackbits(arrays["seen"], count=len(totals.seen)).astype(np.bool_)
            counter |= DistinctCounter(arrays["registers"])
        totals.add(seen, evidence, Share(part.facts["hits"], part.facts["total"]))
    return totals, counter


def _index_name(batch: str) -> str:
    return f"filters/{batch}/benchmarks.parquet"


def _found_name(batch: str, number: int) -> str:
    return f"overlap/{batch}/_found/{number:05d}.npz"


def _evidence_name(batch: str, number: int) -> str:
    return f"overlap/{batch}/_evidence/{number:05d}.parquet"
