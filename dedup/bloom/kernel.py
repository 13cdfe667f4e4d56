"""The compiled inner loops of the Bloom filter and of the distinct counter (numba), without the GIL.

Each loop is free of branches on what it reads: a filter is larger than the caches, and so many of its misses
are under way at once.
"""

import numpy as np
from numpy.typing import NDArray

from dedup.jit import compiled
from dedup.ngrams.kernel import mix

_U = np.uint64
_ONE = _U(1)
_GOLDEN = _U(0x9E3779B97F4A7C15)
_LOW = _U(0xFFFFFFFF)
_HALF = _U(32)
_BITS = 7  # `dedup.bloom.sizing.BITS`


@compiled
def scaled(value: np.uint64, size: np.uint64) -> np.uint64:
    """The upper 64 bits of value · size: uniform values below 2**64 become uniform ones below size."""
    low, high = value & _LOW, value >> _HALF
    size_low, size_high = size & _LOW, size >> _HALF
    middle = high * size_low + (low * size_low >> _HALF)
    other = low * size_high + (middle & _LOW)
    return np.uint64(high * size_high + (middle >> _HALF) + (other >> _HALF))


@compiled
def add(hashes: NDArray[np.uint64], blocks_per_item: int, n_blocks: int, words: NDArray[np.uint64]) -> None:
    """`dedup.bloom.bloom_filter.BloomFilter.add`."""
    size = _U(n_blocks)
    for item in range(len(hashes)):
        state = hashes[_U(item)]
        for _ in range(blocks_per_item):
            word = scaled(mix(state), size) << _U(3)
            bits = mix(state + _GOLDEN)
            state += _GOLDEN << _ONE
            for _ in range(_BITS):
                words[word + (bits >> _U(6) & _U(7))] |= _ONE << (bits & _U(63))
                bits >>= _U(9)


@compiled
def contains(
    hashes: NDArray[np.uint64],
    blocks_per_item: int,
    n_blocks: int,
    words: NDArray[np.uint64],
    left: NDArray[np.int64],
) -> int:
    """Moves those of the items `left` (indices) that are in the filter to its front; returns how many."""
    size = _U(n_blocks)
    count = _U(len(left))
    state = _U(0)
    for _ in range(blocks_per_item):
        stay = _U(0)
        for i in range(count):
            item = left[_U(i)]
            value = hashes[_U(item)] + state
            word = scaled(mix(value), size) << _U(3)
            bits = mix(value + _GOLDEN)
            there = _ONE
            for _ in range(_BITS):
                there &= words[word + (bits >> _U(6) & _U(7))] >> (bits & _U(63))
                bits >>= _U(9)
            left[stay] = item
            stay += there
        count = stay
        state += _GOLDEN << _ONE
    return int(count)


@compiled
def raise_registers(hashes: NDArray[np.uint64], precision: int, registers: NDArray[np.int8]) -> None:
    """`dedup.ngrams.distinct.DistinctCounter.add`."""
    mask = _U((1 << precision) - 1)
    for i in range(len(hashes)):
        rest = hashes[_U(i)] >> _U(precision)
        rank = 1
        for _ in range(64 - precision):  # leading zeros: two steps on average
            if rest >> _U(64 - precision - rank):
                break
            rank += 1
        register = hashes[_U(i)] & mask
        registers[register] = max(registers[register], np.int8(rank))
