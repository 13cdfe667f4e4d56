"""The compiled inner loops of the Bloom filter and of the distinct counter (numba), without the GIL.

No loop branches on what it reads. A filter is larger than the caches, and without branches to predict the
processor has many cache misses under way at once.

Nothing is checked here: wrong dtypes or sizes read and write beyond the arrays. `BloomFilter` and
`DistinctCounter` check.
"""

import numpy as np
from numpy.typing import NDArray

from dedup.hashes import GOLDEN_GAMMA, splitmix64
from dedup.jit import compiled

__all__ = ["add", "contains", "raise_registers"]

_U = np.uint64
_ONE = _U(1)
_GOLDEN = _U(GOLDEN_GAMMA)
_LOW = _U(0xFFFFFFFF)
_HALF = _U(32)
_BITS = 7  # `dedup.bloom.sizing.BITS`
_splitmix64 = compiled(splitmix64)


@compiled
def _scaled(value: np.uint64, size: np.uint64) -> np.uint64:
    """`dedup.bloom.positions.scaled` of one value."""
    low, high = value & _LOW, value >> _HALF
    size_low, size_high = size & _LOW, size >> _HALF
    middle = high * size_low + (low * size_low >> _HALF)
    other = low * size_high + (middle & _LOW)
    return np.uint64(high * size_high + (middle >> _HALF) + (other >> _HALF))


@compiled
def add(hashes: NDArray[np.uint64], blocks_per_item: int, n_blocks: int, words: NDArray[np.uint64]) -> None:
    """Sets the bits of items in `words`, as `dedup.bloom.positions.positions` says."""
    size = _U(n_blocks)
    for item in range(len(hashes)):
        state = hashes[_U(item)]
        for _ in range(blocks_per_item):
            word = _scaled(_splitmix64(state), size) << _U(3)
            bits = _splitmix64(state + _GOLDEN)
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
    candidates: NDArray[np.int64],
) -> int:
    """Moves the indices of items that are in the filter to the front of `candidates`; returns how many."""
    size = _U(n_blocks)
    count = _U(len(candidates))
    state = _U(0)
    for _ in range(blocks_per_item):
        kept = _U(0)
        for i in range(count):
            item = candidates[_U(i)]
            value = hashes[_U(item)] + state
            word = _scaled(_splitmix64(value), size) << _U(3)
            bits = _splitmix64(value + _GOLDEN)
            present = _ONE
            for _ in range(_BITS):
                present &= words[word + (bits >> _U(6) & _U(7))] >> (bits & _U(63))
                bits >>= _U(9)
            candidates[kept] = item
            kept += present
        count = kept
        state += _GOLDEN << _ONE
    return int(count)


@compiled
def raise_registers(hashes: NDArray[np.uint64], precision: int, registers: NDArray[np.int8]) -> None:
    """Raises the HyperLogLog registers of hashes: 2**precision of them, shape (2**precision,)."""
    mask = _U((1 << precision) - 1)
    for i in range(len(hashes)):
        rest = hashes[_U(i)] >> _U(precision)
        rank = 1
        for _ in range(64 - precision):  # finds the leading zeros, in two steps on average
            if rest >> _U(64 - precision - rank):
                break
            rank += 1
        register = hashes[_U(i)] & mask
        registers[register] = max(registers[register], np.int8(rank))
