"""The compiled inner loops (numba): UTF-8 bytes to words, shingles and MinHash signatures.

Texts come as Arrow keeps them: `data`, uint8, and `offsets`, int64; text i is data[offsets[i]:offsets[i+1]].
The bytes must be valid UTF-8. `table` is `dedup.words.table()`. Nothing here allocates for a word, a shingle
or a text; the GIL is released. Compiled once a machine: the code is cached on disk beside this file, or in
the user's cache directory where that cannot be written. Indices are unsigned throughout: numba wraps signed
ones around, which costs a third of the speed.
"""

from collections.abc import Callable
from typing import Any, TypeVar

import numba
import numpy as np
from numpy.typing import NDArray

from dedup.words import FNV_OFFSET, FNV_PRIME

F = TypeVar("F", bound=Callable[..., object])
_U = np.uint64
_OFFSET, _PRIME = _U(FNV_OFFSET), _U(FNV_PRIME)
_SPACE = np.uint32(ord(" "))
_ONE = _U(1)


def compiled(function: F) -> F:
    """The function in machine code, without the GIL."""
    machine: Any
    try:
        machine = numba.njit(nogil=True, cache=True)(function)
    except RuntimeError:  # nowhere to write the cache
        machine = numba.njit(nogil=True)(function)
    result: F = machine
    return result


@compiled
def _decode(data: NDArray[np.uint8], i: np.uint64) -> tuple[np.uint32, np.uint64]:
    """The code point of two or more bytes at i, and where the next one begins."""
    first = np.uint32(data[i])
    second = np.uint32(data[i + _ONE]) & 0x3F
    if first < 0xE0:
        return np.uint32((first & 0x1F) << 6 | second), i + _U(2)
    third = np.uint32(data[i + _U(2)]) & 0x3F
    if first < 0xF0:
        return np.uint32((first & 0xF) << 12 | second << 6 | third), i + _U(3)
    fourth = np.uint32(data[i + _U(3)]) & 0x3F
    return np.uint32((first & 0x7) << 18 | second << 12 | third << 6 | fourth), i + _U(4)


@compiled
def hash_words(
    data: NDArray[np.uint8],
    start: int,
    stop: int,
    table: NDArray[np.uint32],
    out: NDArray[np.uint64],
    ends: NDArray[np.int64],
) -> np.uint64:
    """Writes `dedup.words.word_hash` of every word of one text to `out`; returns their number.

    ends: where each word ends, the character behind it included: between two ends there is one word, and what
    separates it. out, ends: room for (stop - start) // 2 + 2 words. For ASCII there is no branch that depends
    on a character: the ends of words cannot be predicted.
    """
    count, gap, value = _U(0), _ONE, _OFFSET
    i, end = _U(start), _U(stop)
    while i < end:
        if data[i] < 0x80:
            character = table[data[i]]
            i += _ONE
            space = _U(character == _SPACE)
            out[count] = value
            ends[count] = i
            count += space & (gap ^ _ONE)
            longer = (value ^ _U(character)) * _PRIME
            value = _OFFSET if space else longer
            gap = space
            continue
        point, i = _decode(data, i)
        character = table[point] if point < len(table) else _SPACE
        if character == _SPACE:
            out[count] = value
            ends[count] = i
            count += gap ^ _ONE
            gap, value = _ONE, _OFFSET
        else:
            gap = _U(0)
            while character:
                value = (value ^ _U(character & 0xFF)) * _PRIME
                character >>= np.uint32(8)
    out[count] = value
    ends[count] = stop
    return count + (gap ^ _ONE)


@compiled
def normalize(
    data: NDArray[np.uint8], start: int, stop: int, table: NDArray[np.uint32], out: NDArray[np.uint8]
) -> np.uint64:
    """Writes the UTF-8 bytes of `dedup.words.normalize` of one text to `out`; returns their number.

    out: room for 2 · (stop - start) + 1 bytes.
    """
    count, gap = _U(0), _ONE
    i, end = _U(start), _U(stop)
    while i < end:
        if data[i] < 0x80:
            character = table[data[i]]
            i += _ONE
            space = _U(character == _SPACE)
            out[count] = character
            count += _ONE - (space & gap)
            gap = space
            continue
        point, i = _decode(data, i)
        character = table[point] if point < len(table) else _SPACE
        if character == _SPACE:
            out[count] = _SPACE
            count += gap ^ _ONE
            gap = _ONE
        else:
            gap = _U(0)
            while character:
                out[count] = character & 0xFF
                count += _ONE
                character >>= np.uint32(8)
    return count - (gap if count else _U(0))


@compiled
def normalize_all(
    offsets: NDArray[np.int64], data: NDArray[np.uint8], table: NDArray[np.uint32]
) -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
    """`normalize` of all texts: their offsets and data."""
    texts = len(offsets) - 1
    out = np.empty(2 * (offsets[texts] - offsets[0]) + 1, np.uint8)
    ends = np.zeros(texts + 1, np.int64)
    for text in range(texts):
        length = normalize(data, offsets[text], offsets[text + 1], table, out[ends[text] :])
        ends[text + 1] = ends[text] + np.int64(length)
    return ends, out


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
def sketch(
    offsets: NDArray[np.int64],
    data: NDArray[np.uint8],
    table: NDArray[np.uint32],
    shingle: int,
    multiplier: np.uint64,
    permutations: NDArray[np.uint32],
) -> tuple[NDArray[np.uint32], NDArray[np.int64]]:
    """Signatures, shape (texts, permutations), and the number of shingles of each text.

    permutations: shape (2, permutations), datasketch's a and b.
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
