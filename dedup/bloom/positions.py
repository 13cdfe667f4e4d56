"""Which bits of a Bloom filter an item has, in numpy: what `dedup.bloom.kernel` must agree with."""

import numpy as np
from numpy.typing import NDArray

from dedup.bloom.sizing import BITS, BLOCK
from dedup.hashes import GOLDEN_GAMMA, Hashes, splitmix64

__all__ = ["positions", "scaled"]

_MASK = 0xFFFFFFFFFFFFFFFF


def positions(hashes: Hashes, i: int, n_blocks: int) -> list[tuple[NDArray[np.int64], Hashes]]:
    """The seven bits of each item in its block number i, of n_blocks in the filter.

    Seven pairs (index of a word, that word with only the bit set), each of shape (items,).
    """
    first = splitmix64(hashes + np.uint64(2 * i * GOLDEN_GAMMA & _MASK))
    second = splitmix64(hashes + np.uint64((2 * i + 1) * GOLDEN_GAMMA & _MASK))
    block = scaled(first, n_blocks)
    result = []
    for j in range(BITS):
        bit = second >> np.uint64(9 * j) & np.uint64(BLOCK - 1)
        word = block * np.uint64(8) + (bit >> np.uint64(6))
        result.append((word.astype(np.int64), np.uint64(1) << (bit & np.uint64(63))))
    return result


def scaled(values: Hashes, size: int) -> Hashes:
    """The upper 64 bits of value * size: uniform values below 2**64 become uniform ones below size.

    Lemire, "Fast random integer generation in an interval" (2019).
    """
    low, half = np.uint64(0xFFFFFFFF), np.uint64(32)
    size_low, size_high = np.uint64(size & 0xFFFFFFFF), np.uint64(size >> 32)
    middle = (values >> half) * size_low + ((values & low) * size_low >> half)
    other = (values & low) * size_high + (middle & low)
    return np.asarray((values >> half) * size_high + (middle >> half) + (other >> half), dtype=np.uint64)
