"""Imported once, by the process that local workers are forked from (`pipeline.batch.cluster`).

Loads what every worker would load later: the imports of all stages, langdetect's tables, GPT-2's vocabulary,
and the compiled loops, which a first small text brings from their cache. Workers share that memory.
"""

import contextlib

import pyarrow as pa

from dedup.bloom.bloom_filter import BloomFilter
from dedup.bloom.distinct_counter import DistinctCounter
from dedup.minhash.signatures import signatures_and_counts
from dedup.words import text_hashes
from pipeline.contamination import index
from pipeline.language import detect
from pipeline.settings import Settings
from pipeline.stages import chain

__all__ = ["chain"]

TEXT = "A sentence that is long enough for one n-gram of each size that the stages use."


def _load() -> None:
    texts = pa.array([TEXT], pa.large_string())
    detect.detect_langs(texts, seed=Settings().language.seed)
    signatures_and_counts(texts)
    text_hashes(texts)
    hashes = index.ngrams(Settings().overlap).hash(texts).hashes
    DistinctCounter().add(hashes)
    bloom = BloomFilter.sized(1, 1e-3, {})
    bloom.add(hashes)
    bloom.contains(hashes)


with contextlib.suppress(Exception):  # the stage that needs what could not be loaded will say so
    _load()
