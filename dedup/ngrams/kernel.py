"""The compiled inner loops of n-gram overlap (numba): words to units to hashes of n-grams, and look-ups.

Each loop does one thing to a buffer that stays in the cache. What a look-up reads depends on its hash alone,
so the processor has many cache misses under way at once. The GIL is released. Indices are unsigned (see
`dedup.words_kernel`).
"""

import numpy as np
from numpy.typing import NDArray

from dedup.jit import compiled
from dedup.words_kernel import hash_words

_U = np.uint64
_ONE = _U(1)
_GOLDEN = _U(0x9E3779B97F4A7C15)
_MULTIPLIER = _U(0x5851F42D4C957F2D)
_LOW = _U(0xFFFFFFFF)
_GATHERED = 512  # words of the filter of `find` that are fetched ahead


@compiled
def mix(value: np.uint64) -> np.uint64:
    """`dedup.ngrams.hashing.mix` of one value."""
    z = value + _GOLDEN
    z = (z ^ (z >> _U(30))) * _U(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> _U(27))) * _U(0x94D049BB133111EB)
    return np.uint64(z ^ (z >> _U(31)))


@compiled
def words_of(
    offsets: NDArray[np.int64],
    data: NDArray[np.uint8],
    table: NDArray[np.uint32],
    words: NDArray[np.uint64],
    ends: NDArray[np.int64],
    counts: NDArray[np.int64],
) -> int:
    """`hash_words` of texts, one after the other; counts: of each text. Returns how many there are."""
    total = 0
    for text in range(len(offsets) - 1):
        found = hash_words(data, offsets[text], offsets[text + 1], table, words[total:], ends[total:])
        counts[text] = np.int64(found)
        total += int(found)
    return total


@compiled
def find_words(
    words: NDArray[np.uint64],
    slots: NDArray[np.uint64],
    spans: NDArray[np.uint64],
    missing: NDArray[np.int64],
) -> int:
    """The span of each word in a table of (word, span), 0 where there is none; returns how many have none.

    slots: shape (a power of two, 2), probed linearly; a span of 0 marks an empty slot. missing: indices of
    the words without a span.
    """
    mask = _U(len(slots) - 1)
    lost = 0
    for i in range(len(words)):
        word = words[_U(i)]
        slot = (word * _GOLDEN >> _U(32)) & mask
        while slots[slot, 0] != word and slots[slot, 1]:
            slot = (slot + _ONE) & mask
        span = slots[slot, 1]
        spans[_U(i)] = span
        missing[lost] = i
        lost += span == _U(0)
    return lost


@compiled
def put_words(words: NDArray[np.uint64], spans: NDArray[np.uint64], slots: NDArray[np.uint64]) -> None:
    """Puts words that are not there into the table of `find_words`; empty spans are left out."""
    mask = _U(len(slots) - 1)
    for i in range(len(words)):
        if spans[_U(i)]:
            slot = (words[_U(i)] * _GOLDEN >> _U(32)) & mask
            while slots[slot, 1]:
                slot = (slot + _ONE) & mask
            slots[slot, 0] = words[_U(i)]
            slots[slot, 1] = spans[_U(i)]


@compiled
def count_units(spans: NDArray[np.uint64], counts: NDArray[np.int64], units: NDArray[np.int64]) -> None:
    """Units of each text: the sums of the lengths of its words' spans."""
    word = _U(0)
    for text in range(len(counts)):
        total = _U(0)
        for _ in range(counts[text]):
            total += spans[word] & _LOW
            word += _ONE
        units[text] = np.int64(total)


@compiled
def spread(spans: NDArray[np.uint64], arena: NDArray[np.uint64], out: NDArray[np.uint64]) -> None:
    """The units of words one after the other. A span is where the units are in the arena << 32 | how many."""
    at = _U(0)
    for word in range(len(spans)):
        span = spans[_U(word)]
        first, count = span >> _U(32), span & _LOW
        out[at] = arena[first]
        at += _ONE
        for unit in range(_ONE, count):
            out[at] = arena[first + _U(unit)]
            at += _ONE


@compiled
def mix_all(values: NDArray[np.uint64]) -> None:
    """`mix` of all values, in place."""
    for i in range(len(values)):
        values[_U(i)] = mix(values[_U(i)])


@compiled
def roll(units: NDArray[np.uint64], counts: NDArray[np.int64], n: int, out: NDArray[np.uint64]) -> int:
    """Hashes of the n-grams of texts (`dedup.ngrams.hashing.hash_units`); returns how many.

    units: mixed, of one text after the other. counts: of the units of each text.
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
        gone = _U(0)
        for i in range(count - width + _ONE):
            begin = first + _U(i)
            value = value * _MULTIPLIER + (units[begin + width - _ONE] - gone)
            gone = power * units[begin]
            out[at] = mix(value + length)
            at += _ONE
        first += count
    return int(at)


@compiled
def fill_front(hashes: NDArray[np.uint64], front: NDArray[np.uint64]) -> None:
    """Puts hashes into the filter of `find`: four bits of one word of `front` each."""
    words = _U(len(front))
    for i in range(len(hashes)):
        value = hashes[_U(i)]
        front[(value >> _U(32)) * words >> _U(32)] |= _pattern(value)


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
    front: NDArray[np.uint64],
    hashes: NDArray[np.uint64],
    shift: int,
    directory: NDArray[np.uint32],
    positions: NDArray[np.int64],
    found: NDArray[np.int64],
) -> int:
    """Looks up hashes among sorted ones: which of the wanted are there, and where; returns how many.

    front: most that are not there are turned away by one access to this filter, the others by `directory`.
    """
    words = _U(len(front))
    gathered = np.empty(_GATHERED, np.uint64)
    candidates = _U(0)
    for begin in range(_U(0), _U(len(wanted)), _U(_GATHERED)):
        count = min(_U(_GATHERED), _U(len(wanted)) - _U(begin))
        for i in range(count):  # nothing but this access: as many misses under way as the processor can have
            gathered[_U(i)] = front[(wanted[_U(begin) + _U(i)] >> _U(32)) * words >> _U(32)]
        for i in range(count):
            pattern = _pattern(wanted[_U(begin) + _U(i)])
            positions[candidates] = np.int64(_U(begin) + _U(i))
            candidates += _U(gathered[_U(i)] & pattern == pattern)
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
def group(keys: NDArray[np.int32], first: NDArray[np.int32], places: NDArray[np.int32]) -> None:
    """places[first[k] : first[k + 1]]: where key k is, in order. first: shape (keys + 1,), zeros."""
    for i in range(len(keys)):
        first[keys[i]] += 1
    total = 0
    for key in range(len(first)):
        count = first[key]
        first[key] = total
        total += count
    for i in range(len(keys)):
        places[first[keys[i]]] = i
        first[keys[i]] += 1
    for key in range(len(first) - 1, 0, -1):
        first[key] = first[key - 1]
    first[0] = 0
