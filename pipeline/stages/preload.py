"""What local workers find done: imported once, by the process that they are forked from (`cluster`).

Besides the imports this is what each of them would have in memory later: langdetect's tables, GPT-2's
vocabulary, and the compiled loops, loaded from their cache by a first small text. Workers share it.
"""

import contextlib

import pyarrow as pa

from dedup.bloom.bloom_filter import BloomFilter
from dedup.minhash.signatures import sketch
from dedup.ngrams.distinct import DistinctCounter
from dedup.words import text_hashes
from pipeline.contamination import index
from pipeline.language import detect
from pipeline.settings import Settings
from pipeline.stages import chain

__all__ = ["chain"]

TEXT = "A sentence of a few words, enough for every n-gram that anybody asks for."


def warm() -> None:
    """Runs what is compiled and fills what is cached. Raises what that raises."""
    texts = pa.array([TEXT], pa.large_string())
    detect.detect_langs(texts, seed=Settings().language.seed)
    sketch(texts)
    text_hashes(texts)
    hashes = index.ngrams(Settings().overlap).grams(texts).hashes
    DistinctCounter().add(hashes)
    bloom = BloomFilter.sized(1, 1e-3, {})
    bloom.add(hashes)
    bloom.contains(hashes)


with contextlib.suppress(Exception):  # whatever it is, a stage that needs it says it
    warm()
