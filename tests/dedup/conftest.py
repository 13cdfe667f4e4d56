"""The compiled loops are ready before any test that Hypothesis holds to a deadline."""

import numpy as np
import pytest

from dedup import words
from dedup.bloom.bloom_filter import BloomFilter
from dedup.minhash import signatures
from dedup.ngrams.hashing import NGramHasher


@pytest.fixture(scope="session", autouse=True)
def _compiled() -> None:
    signatures.signatures_and_counts(["warm up"])
    words.text_hashes(["warm up"])
    NGramHasher("words", 3).hash(["warm up"])
    filter_ = BloomFilter(100, 2)
    filter_.add(np.zeros(1, np.uint64))
    filter_.contains(np.zeros(1, np.uint64))
