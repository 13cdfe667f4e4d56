"""The compiled inner loops of n-gram overlap (numba): words to units to hashed n-grams, and look-ups.

Each loop does one thing to a buffer that stays in the cache. The address that a look-up reads depends on its
hash alone, so the processor has many cache misses under way at once. The GIL is released. Indices are
unsigned (see `dedup.words_kernel`). Nothing is checked here: the callers check.
"""

import numpy as np
from numpy.typing import NDArray

from dedup.hashes import GOLDEN_GAMMA, splitmix64
from dedup.jit import compiled
from dedup.words_kernel import hash_words

__all__ = [
    "count_units",
    "fill_directory",
    "fill_prefilter",
    "find",
    "gather_units",
    "group_positions",
    "insert_words",
    "look_up_words",
    "rolling_hashes",
    "splitmix64_all",
    "words_of_texts",
]

_U = np.uint64
_ONE = _U(1)
_GOLDEN = _U(GOLDEN_GAMMA)
_MULTIPLIER = _U(0x5851F42D4C957F2D)  # `dedup.ngrams.hashing.MULTIPLIER`
_LOW = _U(0xFFFFFFFF)
_PREFETCH = 512  # words of the prefilter of `find` that are read ahead


_splitmix64 = compiled(splitmix64)


@compiled
def words_of_texts(
    offsets: NDArray[np.int64],
    data: NDArray[np.uint8],
    table: NDArray[np.uint32],
    words: NDArray[np.uint64],
    ends: NDArray[np.int64],
    counts: NDArray[np.int64],
) -> int:
    """`hash_words` of all texts, one after the other; returns the number of words.

    counts: shape (texts,), becomes the number of words of each text. words, ends: as `hash_words` has them.
    """
    total = 0
    for text in range(len(offsets) - 1):
        found = hash_words(data, offsets[text], offsets[text + 1], table, words[total:], ends[total:])
        counts[text] = np.int64(found)
        total += int(found)
    return total


@compiled
def look_up_words(
    words: NDArray[np.uint64],
    slots: NDArray[np.uint64],
    locations: NDArray[np.uint64],
    missing: NDArray[np.int64],
) -> int:
    """Writes the location of each word, 0 for a word that is not in the table; returns how many are not.

    slots: the table of (word, location), shape (a power of two, 2), probed linearly; a location of 0 marks an
    empty slot. missing: becomes the indices of words that are not in the table.
    """
    mask = _U(len(slots) - 1)
    count = 0
    for i in range(len(words)):
        word = words[_U(i)]
        slot = (word * _GOLDEN >> _U(32)) & mask
        while slots[slot, 0] != word and slots[slot, 1]:
            slot = (slot + _ONE) & mask
        location = slots[slot, 1]
        locations[_U(i)] = location
        missing[count] = i
        count += location == _U(0)
    return count


@compiled
def insert_words(words: NDArray[np.uint64], locations: NDArray[np.uint64], slots: NDArray[np.uint64]) -> None:
    """Inserts new words into the table of `look_up_words`. Words with a location of 0 are left out."""
    mask = _U(len(slots) - 1)
    for i in range(len(words)):
        if locations[_U(i)]:
            slot = (words[_U(i)] * _GOLDEN >> _U(32)) & mask
            while slots[slot, 1]:
                slot = (slot + _ONE) & mask
            slots[slot, 0] = words[_U(i)]
            slots[slot, 1] = locations[_U(i)]


@compiled
def count_units(locations: NDArray[np.uint64], counts: NDArray[np.int64], units: NDArray[np.int64]) -> None:
    """Writes the number of units of each text. counts: words of each text."""
    word = _U(0)
    for text in range(len(counts)):
        total = _U(0)
        for _ in range(counts[text]):
            total += locations[word] & _LOW
            word += _ONE
        units[text] = np.int64(total)


@compiled
def gather_units(locations: NDArray[np.uint64], pool: NDArray[np.uint64], out: NDArray[np.uint64]) -> None:
    """Writes the units of words, one word after the other.

    A word's location is start << 32 | length: its units are pool[start : start + length].
    """
    at = _U(0)
    for word in range(len(locations)):
        location = locations[_U(word)]
        first, count = location >> _U(32), location & _LOW
        out[at] = pool[first]
        at += _ONE
        for unit in range(_ONE, count):
            out[at] = pool[first + _U(unit)]
            at += _ONE


@compiled
def splitmix64_all(values: NDArray[np.uint64]) -> None:
    """Replaces each value by `dedup.hashes.splitmix64` of it."""
    for i in range(len(values)):
        values[_U(i)] = _splitmix64(values[_U(i)])


@compiled
def rolling_hashes(
    units: NDArray[np.uint64], counts: NDArray[np.int64], n: int, out: NDArray[np.uint64]
) -> int:
    """Writes the hashes of the n-grams of texts, as `dedup.ngrams.hashing.hash_units`; returns how many.

    units: of one text after the other, each already through `splitmix64`. counts: units of each text.
    """
    power = _ONE
    for _ in range(n):
        power *= _MULTIPLIER
    at, first = _U(0), _U(0)
    for text in range(len(counts)):
        count = _U(counts[text])
        if count == _U(0):
            continue
        width = min(count, _U(n))
        value = _U(0)
        for i in range(width - _ONE):
            value = value * _MULTIPLIER + units[first + _U(i)]
        length = width * _GOLDEN
        oldest = _U(0)
        for i in range(count - width + _ONE):
            begin = first + _U(i)
            value = value * _MULTIPLIER + (units[begin + width - _ONE] - oldest)
            oldest = power * units[begin]
            out[at] = _splitmix64(value + length)
            at += _ONE
        first += count
    return int(at)


@compiled
def fill_prefilter(hashes: NDArray[np.uint64], prefilter: NDArray[np.uint64]) -> None:
    """Inserts hashes into the prefilter of `find`: each sets four bits of one word."""
    words = _U(len(prefilter))
    for i in range(len(hashes)):
        value = hashes[_U(i)]
        prefilter[(value >> _U(32)) * words >> _U(32)] |= _pattern(value)


@compiled
def _pattern(value: np.uint64) -> np.uint64:
    one = _ONE << (value & _U(63)) | _ONE << (value >> _U(6) & _U(63))
    return np.uint64(one | _ONE << (value >> _U(12) & _U(63)) | _ONE << (value >> _U(18) & _U(63)))


@compiled
def fill_directory(hashes: NDArray[np.uint64], shift: int, directory: NDArray[np.uint32]) -> None:
    """directory[p]: how many of the sorted hashes have upper bits (hash >> shift) below p."""
    at = _U(0)
    for prefix in range(len(directory)):
        while at < _U(len(hashes)) and hashes[at] >> _U(shift) < _U(prefix):
            at += _ONE
        directory[prefix] = at


@compiled
def find(
    wanted: NDArray[np.uint64],
    prefilter: NDArray[np.uint64],
    hashes: NDArray[np.uint64],
    shift: int,
    directory: NDArray[np.uint32],
    positions: NDArray[np.int64],
    found: NDArray[np.int64],
) -> int:
    """Looks up hashes among sorted ones; returns how many are there.

    positions, found: become the indices into `wanted` of those that are there, and their indices into
    `hashes`. prefilter: rejects most absent hashes with one memory access; `directory` narrows the search for
    the others.
    """
    words = _U(len(prefilter))
    prefetched = np.empty(_PREFETCH, np.uint64)
    candidates = _U(0)
    for begin in range(_U(0), _U(len(wanted)), _U(_PREFETCH)):
        count = min(_U(_PREFETCH), _U(len(wanted)) - _U(begin))
        for i in range(count):  # nothing but this access, so that the cache misses overlap
            prefetched[_U(i)] = prefilter[(wanted[_U(begin) + _U(i)] >> _U(32)) * words >> _U(32)]
        for i in range(count):
            pattern = _pattern(wanted[_U(begin) + _U(i)])
            positions[candidates] = np.int64(_U(begin) + _U(i))
            candidates += _U(prefetched[_U(i)] & pattern == pattern)
    hits = _U(0)
    for candidate in range(candidates):
        position = positions[_U(candidate)]
        value = wanted[_U(position)]
        prefix = value >> _U(shift)
        at, end = _U(directory[prefix]), _U(directory[prefix + _ONE])
        while at < end and hashes[at] < value:
            at += _ONE
        if at < end and hashes[at] == value:
            positions[hits] = position
            found[hits] = np.int64(at)
            hits += _ONE
    return int(hits)


@compiled
def group_positions(keys: NDArray[np.int32], first: NDArray[np.int32], positions: NDArray[np.int32]) -> None:
    """positions[first[k] : first[k + 1]] become the indices of key k. first: shape (keys + 1,), zeros."""
    for i in range(len(keys)):
        first[keys[i]] += 1
    total = 0
    for key in range(len(first)):
        count = first[key]
        first[key] = total
        total += count
    for i in range(len(keys)):
        positions[first[keys[i]]] = i
        first[keys[i]] += 1
    for key in range(len(first) - 1, 0, -1):
        first[key] = first[key - 1]
    first[0] = 0
