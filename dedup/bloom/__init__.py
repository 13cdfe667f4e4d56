"""A Bloom filter over 64-bit hashes, its size for a false positive rate, and a counter of distinct hashes.

    filter_ = BloomFilter.sized(items, 1e-8)
    filter_.add(hashes)
    filter_.contains(others)

`DistinctCounter` estimates how many items there are. How often a filter errs is measured with n-grams by
`dedup.bloom.false_positives`.
"""

from dedup.bloom.bloom_filter import BloomFilter
from dedup.bloom.distinct_counter import DistinctCounter
from dedup.bloom.errors import BloomFilterError

__all__ = ["BloomFilter", "BloomFilterError", "DistinctCounter"]
