"""An exact set of 64-bit hashes that says where each is, made to be asked for many that it does not hold.

The hashes are sorted. A Bloom filter of one memory access (four bits in one word of 64, Putze, Sanders,
Singler 2007) turns away about 99 of 100 absent hashes; a directory over their upper bits leads the others to
the few places where they could be. Both together take about 2.5 bytes for each hash.
"""

import numpy as np
from numpy.typing import NDArray

from dedup.jit import has_numba

_FRONT_BITS = 12  # of the filter, for each hash
_PER_PREFIX = 4  # hashes that share a place in the directory, up to twice as many


class Lookup:
    """hashes: shape (any,), uint64, sorted, distinct, well mixed, fewer than 2**32."""

    def __init__(self, hashes: NDArray[np.uint64]) -> None:
        self.hashes = hashes
        if not has_numba():
            return
        from dedup.ngrams import kernel

        bits = min(max(len(hashes) // _PER_PREFIX, 2).bit_length() - 1, 28)
        self._shift = 64 - bits
        self._directory = np.empty((1 << bits) + 1, np.uint32)
        kernel.fill_directory(hashes, self._shift, self._directory)
        self._front = np.zeros(len(hashes) * _FRONT_BITS // 64 + 1, np.uint64)
        kernel.fill_front(hashes, self._front)

    def find(self, wanted: NDArray[np.uint64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Which of the wanted hashes are there (their indices, rising), and where in `hashes`."""
        if not has_numba():
            at = np.searchsorted(self.hashes, wanted)
            at[at == len(self.hashes)] = 0
            positions = np.flatnonzero(self.hashes[at] == wanted) if len(self.hashes) else at[:0]
            return positions, at[positions]
        from dedup.ngrams import kernel

        positions, found = np.empty(len(wanted), np.int64), np.empty(len(wanted), np.int64)
        count = kernel.find(wanted, self._front, self.hashes, self._shift, self._directory, positions, found)
        return positions[:count].copy(), found[:count].copy()


def group(keys: NDArray[np.int32], n_keys: int) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Where each key is: `first`, shape (n_keys + 1,), and `places`; key k: places[first[k] : first[k + 1]].

    keys: shape (fewer than 2**31,), from 0 to n_keys - 1. The places of a key are in order.
    """
    if not has_numba():
        places = np.argsort(keys, kind="stable").astype(np.int32)
        return np.searchsorted(keys[places], np.arange(n_keys + 1)).astype(np.int32), places
    from dedup.ngrams import kernel

    first, places = np.zeros(n_keys + 1, np.int32), np.empty(len(keys), np.int32)
    kernel.group(keys, first, places)
    return first, places
