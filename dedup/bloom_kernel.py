"""The compiled inner loops of the Bloom filter and of the distinct counter (numba), without the GIL.

Each loop is free of branches on what it reads: a filter is larger than the caches, and so many of its misses
are under way at once.
"""

import numpy as np
from numpy.typing import NDArray

from dedup.kernel import compiled
from dedup.ngram_kernel import mix

_U = np.uint64
_ONE = _U(1)
_GOLDEN = _U(0x9E3779B97F4A7C15)
_LOW = _U(0xFFFFFFFF)
_HALF = _U(32)


@compiled
def scaled(value: np.uint64, size: np.uint64) -> np.uint64:
    """The upper 64 bits of value · size: uniform values below 2**64 become uniform ones below size."""
    low, high = value & _LOW, value >> _HALF
    size_low, size_high = size & _LOW, size >> _HALF
    middle = high * size_low + (low * size_low >> _HALF)
    other = low * size_high + (middle & _LOW)
    return np.uint64(high * size_high + (middle >> _HALF) + (other >> _HALF))


@compiled
def add(hashes: NDArray[np.uint64], n_hashes: int, n_bits: int, bits: NDArray[np.uint8]) -> None:
    """`dedup.bloom.BloomFilter.add`."""
    size = _U(n_bits)
    for item in range(len(hashes)):
        state = hashes[_U(item)]
        for _ in range(n_hashes):
            position = scaled(mix(state), size)
            state += _GOLDEN
            bits[position >> _U(3)] |= np.uint8(_ONE << (position & _U(7)))


@compiled
def contains(
    hashes: NDArray[np.uint64],
    n_hashes: int,
    n_bits: int,
    bits: NDArray[np.uint8],
    left: NDArray[np.int64],
) -> int:
    """Writes the indices of the items that are in the filter to `left`; returns how many."""
    size = _U(n_bits)
    count = _U(len(hashes))
    for item in range(count):
        left[_U(item)] = np.int64(item)
    state = _U(0)
    for _ in range(n_hashes):
        stay = _U(0)
        for i in range(count):
            item = left[_U(i)]
            position = scaled(mix(hashes[_U(item)] + state), size)
            left[stay] = item
            stay += _U(bits[position >> _U(3)] >> np.uint8(position & _U(7))) & _ONE
        count = stay
        state += _GOLDEN
    return int(count)


@compiled
def raise_registers(hashes: NDArray[np.uint64], precision: int, registers: NDArray[np.int8]) -> None:
    """`dedup.distinct.DistinctCounter.add`."""
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
