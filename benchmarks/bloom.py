"""The Bloom filter: insertions and queries a second on one core, and false positives on two kinds of n-grams.

    python -m benchmarks.bloom [--gib 1] [--words FILE]

CPU seconds of this process (`time.process_time`). False positives: a filter made for 1e-8 is filled to
what it is made for, then asked for 10 million random 8-grams of units that no text has, and, with --words (a
text file), for 10 million random 8-grams of the words of that file, none of which it holds.
"""

import argparse
import time
from collections.abc import Callable

import numpy as np

from dedup.bloom.bloom_filter import BloomFilter
from dedup.bloom.sizing import BLOCK
from dedup.files import rows_of
from dedup.hashes import Hashes, splitmix64
from dedup.ngrams.hashing import NGramHasher, hash_units
from dedup.words import word_hashes

ITEMS = 2_000_000
TRIALS = 10_000_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--gib", type=float, default=1.0)
    parser.add_argument("--words")
    arguments = parser.parse_args()
    filter_ = BloomFilter(int(arguments.gib * 2**33) // BLOCK, 4)
    pattern = np.random.default_rng(0).integers(0, 2**64, 1 << 17, dtype=np.uint64)
    for start in range(0, len(filter_.words), len(pattern)):  # half of its bits set, as when full
        filter_.words[start : start + len(pattern)] = pattern[: len(filter_.words) - start]
    present, absent = (
        splitmix64(np.arange(ITEMS, dtype=np.uint64)),
        splitmix64(np.arange(ITEMS, dtype=np.uint64) + 2**40),
    )
    filter_.add(present[:10])
    filter_.contains(present[:10])
    print(f"filter of {filter_.n_bits / 2**33:.2f} GiB, {filter_.n_hashes} hashes")
    for what, work, items in (
        ("insert", filter_.add, present),
        ("query, present", filter_.contains, present),
        ("query, absent", filter_.contains, absent),
    ):
        print(f"{what}: {ITEMS / min(seconds(work, items) for _ in range(3)) / 1e6:.2f} M/s")
    full = BloomFilter.sized(ITEMS, 1e-8)
    full.add(present)
    ngrams = NGramHasher("words", 8)
    print(f"by its bits: {full.false_positive_rate(ITEMS):.3g}")
    print(f"random units: {full.contains(ngrams.random_absent(TRIALS, 1)).sum()} of {TRIALS:,} found")
    if arguments.words:
        with rows_of(arguments.words) as rows:
            words = np.unique(np.concatenate([word_hashes(str(row)) for row in rows]))
        drawn = np.random.default_rng(1).choice(words, TRIALS + 7)
        found = full.contains(hash_units([drawn], 8).hashes).sum()
        print(f"random 8-grams of {len(words):,} real words: {found} of {TRIALS:,} found")


def seconds(work: Callable[[Hashes], object], items: Hashes) -> float:
    start = time.process_time()
    work(items)
    return time.process_time() - start


if __name__ == "__main__":
    main()
