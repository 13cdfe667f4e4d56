"""Compiled loops (numba) from words to shingles to MinHash signatures. Conventions: `dedup.words_kernel`."""

import numpy as np
from numpy.typing import NDArray

from dedup.jit import compiled
from dedup.words_kernel import hash_words

__all__ = ["hash_shingles", "shingles", "signatures_and_counts"]

_U = np.uint64
_ONE = _U(1)


@compiled
def _mix32(value: np.uint32) -> np.uint32:
    """datasketch's first step: MurmurHash3's 32-bit finaliser."""
    value = np.uint32((value ^ (value >> np.uint32(16))) * np.uint32(0x85EBCA6B))
    value = np.uint32((value ^ (value >> np.uint32(13))) * np.uint32(0xC2B2AE35))
    return np.uint32(value ^ (value >> np.uint32(16)))


@compiled
def hash_shingles(
    words: NDArray[np.uint64], count: np.uint64, size: int, multiplier: np.uint64, out: NDArray[np.uint32]
) -> np.uint64:
    """Writes `signatures.shingle_hashes` of the first `count` words to `out`; returns their number."""
    if count == 0:
        return _U(0)
    width = min(count, _U(size))
    power, value, gone = _ONE, _U(0), _U(0)
    for _ in range(width):
        power *= multiplier
    for i in range(width - _ONE):
        value = value * multiplier + words[_U(i)]
    shingles = count - width + _ONE
    for i in range(shingles):
        value = value * multiplier + words[_U(i) + width - _ONE] - gone
        gone = power * words[_U(i)]
        mixed = (value ^ (value >> _U(33))) * _U(0xFF51AFD7ED558CCD)
        mixed = (mixed ^ (mixed >> _U(33))) * _U(0xC4CEB9FE1A85EC53)
        out[_U(i)] = np.uint32((mixed ^ (mixed >> _U(33))) >> _U(32))
    return shingles


@compiled
def shingles(
    data: NDArray[np.uint8], table: NDArray[np.uint32], shingle: int, multiplier: np.uint64
) -> NDArray[np.uint32]:
    """The hashes of the shingles of one text, in order."""
    words = np.empty(len(data) // 2 + 2, np.uint64)
    hashes = np.empty(len(data) // 2 + 2, np.uint32)
    ends = np.empty(len(words), np.int64)
    found = hash_words(data, 0, len(data), table, words, ends)
    return hashes[: hash_shingles(words, found, shingle, multiplier, hashes)]


@compiled
def _minima(
    hashes: NDArray[np.uint32],
    count: np.uint64,
    a: NDArray[np.uint32],
    b: NDArray[np.uint32],
    out: NDArray[np.uint32],
) -> None:
    """out[k] = min over hashes of a[k] · mix32(hash) + b[k]; eight hashes for each load of a, b and out.

    Overwrites `hashes`.
    """
    permutations = _U(len(a))
    for j in range(count):
        hashes[_U(j)] = _mix32(hashes[_U(j)])
    for j in range(permutations):
        out[_U(j)] = np.uint32(0xFFFFFFFF)
    i = _U(0)
    while i + _U(8) <= count:
        h0, h1, h2, h3 = hashes[i], hashes[i + _ONE], hashes[i + _U(2)], hashes[i + _U(3)]
        h4, h5, h6, h7 = hashes[i + _U(4)], hashes[i + _U(5)], hashes[i + _U(6)], hashes[i + _U(7)]
        for j in range(permutations):
            k = _U(j)
            x, y = a[k], b[k]
            low = min(np.uint32(x * h0 + y), np.uint32(x * h1 + y))
            low = min(low, min(np.uint32(x * h2 + y), np.uint32(x * h3 + y)))
            high = min(np.uint32(x * h4 + y), np.uint32(x * h5 + y))
            high = min(high, min(np.uint32(x * h6 + y), np.uint32(x * h7 + y)))
            out[k] = min(out[k], min(low, high))
        i += _U(8)
    while i < count:
        for j in range(permutations):
            k = _U(j)
            out[k] = min(out[k], np.uint32(a[k] * hashes[i] + b[k]))
        i += _ONE


@compiled
def signatures_and_counts(
    offsets: NDArray[np.int64],
    data: NDArray[np.uint8],
    table: NDArray[np.uint32],
    shingle: int,
    multiplier: np.uint64,
    permutations: NDArray[np.uint32],
) -> tuple[NDArray[np.uint32], NDArray[np.int64]]:
    """Signatures, shape (texts, num_perm), uint32, and the number of shingles per text, int64.

    permutations: shape (2, num_perm), datasketch's a and b.
    """
    texts = len(offsets) - 1
    longest = np.int64(0)
    for text in range(texts):
        longest = max(longest, offsets[text + 1] - offsets[text])
    words = np.empty(longest // 2 + 2, np.uint64)
    ends = np.empty(longest // 2 + 2, np.int64)
    hashes = np.empty(longest // 2 + 2, np.uint32)
    rows = np.empty((texts, permutations.shape[1]), np.uint32)
    counts = np.empty(texts, np.int64)
    for text in range(texts):
        found = hash_words(data, offsets[text], offsets[text + 1], table, words, ends)
        shingles = hash_shingles(words, found, shingle, multiplier, hashes)
        _minima(hashes, shingles, permutations[0], permutations[1], rows[text])
        counts[text] = np.int64(shingles)
    return rows, counts
