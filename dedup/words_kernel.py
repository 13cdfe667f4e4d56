"""Compiled loops (numba) over UTF-8 bytes: word hashes and the normal form of `dedup.words`.

Texts are laid out as in Arrow: `data`, uint8, and `offsets`, int64; text i is data[offsets[i]:offsets[i+1]].
The bytes must be valid UTF-8. `table` is `dedup.words.table()`. No loop allocates per word, shingle or text,
and all release the GIL. Indices are unsigned throughout: numba adds a wrap-around check to signed ones, which
costs a third of the speed.
"""

import numpy as np
from numpy.typing import NDArray

from dedup.fnv import OFFSET, PRIME
from dedup.jit import compiled

__all__ = ["hash_words", "normalize", "normalize_all"]

_U = np.uint64
_OFFSET, _PRIME = _U(OFFSET), _U(PRIME)
_SPACE = np.uint32(ord(" "))
_ONE = _U(1)


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
