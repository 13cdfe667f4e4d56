"""An exact set of 64-bit hashes that says where each is, fast for queries that are mostly absent.

The hashes are sorted. A small Bloom filter of one memory access, with four bits in one 64-bit word (Putze,
Sanders, Singler, "Cache-, hash- and space-efficient Bloom filters", 2007), rejects about 99 of 100 absent
hashes. A directory over the upper bits of the hashes leads the others to the few positions where they could
be. Both together take about 2.5 bytes for each hash.
"""

import numpy as np
from numpy.typing import NDArray

from dedup.hashes import Hashes, check_hashes
from dedup.jit import has_numba

__all__ = ["Lookup", "distinct", "group_positions"]

_PREFILTER_BITS = 12  # for each hash
_PER_PREFIX = 4  # hashes for each entry of the directory: from this to twice as many


class Lookup:
    """A set of hashes.

    hashes: shape (any,), uint64, rising, well mixed, fewer than 2**32. Raises ValueError for any others.
    """

    def __init__(self, hashes: NDArray[np.uint64]) -> None:
        check_hashes(hashes)
        if not np.all(hashes[1:] > hashes[:-1]):
            raise ValueError("the hashes of a look-up must rise: sort them, and leave duplicates out")
        self.hashes = np.ascontiguousarray(hashes)
        if not has_numba():
            return
        from dedup.ngrams import kernel

        bits = min(max(len(hashes) // _PER_PREFIX, 2).bit_length() - 1, 28)
        self._shift = 64 - bits
        self._directory = np.empty((1 << bits) + 1, np.uint32)
        kernel.fill_directory(self.hashes, self._shift, self._directory)
        self._prefilter = np.zeros(len(hashes) * _PREFILTER_BITS // 64 + 1, np.uint64)
        kernel.fill_prefilter(self.hashes, self._prefilter)

    def find(self, wanted: NDArray[np.uint64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Which of the wanted hashes are in the set, and where.

        wanted: shape (any,), uint64. Returns two arrays of shape (found,), int64: rising indices into
        `wanted`, and for each of them the index into `hashes`. Raises ValueError for any other array.
        """
        check_hashes(wanted)
        wanted = np.ascontiguousarray(wanted)
        if not has_numba():
            at = np.searchsorted(self.hashes, wanted)
            at[at == len(self.hashes)] = 0
            positions = np.flatnonzero(self.hashes[at] == wanted) if len(self.hashes) else at[:0]
            return positions, at[positions]
        from dedup.ngrams import kernel

        positions, found = np.empty(len(wanted), np.int64), np.empty(len(wanted), np.int64)
        count = kernel.find(
            wanted, self._prefilter, self.hashes, self._shift, self._directory, positions, found
        )
        return positions[:count].copy(), found[:count].copy()


def distinct(values: Hashes) -> Hashes:
    """`numpy.unique` in half of its memory."""
    values = np.sort(values)
    return values[np.append(True, values[1:] != values[:-1])] if len(values) else values


def group_positions(keys: NDArray[np.int32], n_keys: int) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """The positions of each key: positions[first[k] : first[k + 1]] are the indices of key k, rising.

    keys: shape (fewer than 2**31,), int32, from 0 to n_keys - 1. Returns `first`, shape (n_keys + 1,), and
    `positions`, shape (keys,), both int32.
    """
    if not has_numba():
        positions = np.argsort(keys, kind="stable").astype(np.int32)
        return np.searchsorted(keys[positions], np.arange(n_keys + 1)).astype(np.int32), positions
    from dedup.ngrams import kernel

    first, positions = np.zeros(n_keys + 1, np.int32), np.empty(len(keys), np.int32)
    kernel.group_positions(keys, first, positions)
    return first, positions
