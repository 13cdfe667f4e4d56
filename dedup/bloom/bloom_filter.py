"""A Bloom filter over 64-bit hashes, stored in a file that says what the hashes are of.

Bloom, "Space/time trade-offs in hash coding with allowable errors" (1970). The GPT-2 paper (section 4) builds
such filters over the 8-grams of a training set, for a false positive rate of at most 1e-8.

This filter is blocked (Putze, Sanders, Singler, "Cache-, hash- and space-efficient Bloom filters", 2007). Its
bits lie in blocks of 512, one cache line each. An item has seven bits in each of a few blocks: in four of
them for a rate of 1e-8. So an insertion takes four memory accesses, and a query for an absent item mostly
one, where a classical filter takes 27 and two. In return some blocks are fuller than others, and the filter
is 4 % larger than a classical one; `dedup.bloom.sizing` computes this exactly.

Blocks and bits are outputs of SplitMix64 seeded with the item's hash. They are not combinations of two values
(Kirsch, Mitzenmacher, "Less hashing, same performance", 2006): there, two items that agree in both values
share all positions, which adds about n / m**2 to the rate of n items in m bits: 7e-7 for a thousand items in
a filter made for 1e-8.

What no filter can avoid: an absent item has the same 64-bit hash as one of n present ones with probability
n / 2**64 (5e-10 for ten billion items). `BloomFilter.sized` subtracts this from the rate.
"""

import json
import math
from collections.abc import Iterator, Mapping
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from dedup.bloom import file_format
from dedup.bloom.errors import BloomFilterError
from dedup.bloom.positions import positions
from dedup.bloom.sizing import BITS, BLOCK, blocks_needed
from dedup.hashes import Hashes, check_hashes
from dedup.jit import has_numba

__all__ = ["BloomFilter", "BloomFilterError"]

_CHUNK = 1 << 16  # items at a time: the working memory stays in the cache
_MAX_BLOCKS_PER_ITEM = 64  # ten give the lowest rate that 64-bit hashes allow


class BloomFilter:
    """A set of 64-bit hashes: it may find items that were never put in, and finds all that were.

    n_blocks: how many blocks of 512 bits. blocks_per_item: in how many of them an item has seven bits each,
    1 to 64. about: what the hashes are of, any JSON object: only filters with equal parameters and equal
    `about` can be joined. words: the bits, shape (n_blocks * 8,), uint64; bit b of block i is bit b % 64,
    counted from the least significant, of words[8 * i + b // 64]. They are not copied; zeros if left out.

    Raises BloomFilterError for parameters or words that are not such.
    """

    def __init__(
        self,
        n_blocks: int,
        blocks_per_item: int,
        about: Mapping[str, Any] | None = None,
        words: NDArray[np.uint64] | None = None,
    ) -> None:
        if type(n_blocks) is not int or n_blocks < 1:
            raise BloomFilterError(f"n_blocks must be a positive integer, found {n_blocks!r}")
        if type(blocks_per_item) is not int or not 1 <= blocks_per_item <= _MAX_BLOCKS_PER_ITEM:
            raise BloomFilterError(
                f"blocks_per_item must be an integer from 1 to {_MAX_BLOCKS_PER_ITEM}, "
                f"found {blocks_per_item!r}"
            )
        self._n_blocks = n_blocks
        self.blocks_per_item = blocks_per_item
        self.about = _as_json(about or {})
        self.words = np.zeros(n_blocks * BLOCK // 64, np.uint64) if words is None else words

    @property
    def n_blocks(self) -> int:
        """How many blocks of 512 bits."""
        return self._n_blocks

    @property
    def words(self) -> NDArray[np.uint64]:
        """The bits: shape (n_blocks * 8,), uint64. Others of that shape can be set."""
        return self._words

    @words.setter
    def words(self, words: NDArray[np.uint64]) -> None:
        shape = (self.n_blocks * BLOCK // 64,)
        if not isinstance(words, np.ndarray) or words.dtype != np.uint64 or words.shape != shape:
            found: object = type(words).__name__
            if isinstance(words, np.ndarray):
                found = f"shape {words.shape}, dtype {words.dtype.str}"
            raise BloomFilterError(
                f"the words of {self.n_blocks} blocks must be an array of shape {shape}, dtype uint64, "
                f"found {found}"
            )
        self._words = words

    @classmethod
    def sized(cls, items: int, rate: float, about: Mapping[str, Any] | None = None) -> Self:
        """The smallest empty filter whose false positive rate is at most `rate` with `items` distinct items.

        Raises BloomFilterError for a negative number of items, or a rate that is not in (0, 1) or cannot be
        had with 64-bit hashes.
        """
        if not 0 < rate < 1:
            raise BloomFilterError(f"a false positive rate of {rate}: it must lie between 0 and 1")
        if items < 0:
            raise BloomFilterError(f"{items} items: the number must not be negative")
        own_rate = rate - items / 2**64
        if own_rate <= 0:
            raise BloomFilterError(f"{items} items of 64 bits cannot have a false positive rate of {rate}")
        ideal = -math.log2(own_rate) / BITS  # with half of the bits set
        choices = {max(1, math.floor(ideal)), math.ceil(ideal)}
        n_blocks, blocks_per_item = min((blocks_needed(items, n, own_rate), n) for n in choices)
        return cls(n_blocks, blocks_per_item, about)

    @property
    def n_bits(self) -> int:
        """The size in bits: m in the literature."""
        return self.n_blocks * BLOCK

    @property
    def n_hashes(self) -> int:
        """How many bits an item has: k in the literature."""
        return self.blocks_per_item * BITS

    @property
    def parameters(self) -> dict[str, Any]:
        """What two filters must have in common to be joined."""
        return {"n_blocks": self.n_blocks, "blocks_per_item": self.blocks_per_item, "about": self.about}

    def add(self, hashes: Hashes) -> None:
        """Puts items in.

        hashes: shape (items,), uint64. Raises BloomFilterError for any other array, and for a filter that is
        read-only, as a local file that is mapped to memory.
        """
        self._check(hashes)
        self._check_writable()
        for start in range(0, len(hashes), _CHUNK):
            chunk = np.ascontiguousarray(hashes[start : start + _CHUNK])
            if has_numba():
                from dedup.bloom import kernel

                kernel.add(chunk, self.blocks_per_item, self.n_blocks, self.words)
                continue
            for i in range(self.blocks_per_item):
                for word, bit in positions(chunk, i, self.n_blocks):
                    np.bitwise_or.at(self.words, word, bit)

    def contains(self, hashes: Hashes) -> NDArray[np.bool_]:
        """Whether each item is in the filter: shape (items,), bool. Never False for one that was put in.

        hashes: shape (items,), uint64. Raises BloomFilterError for any other array.
        """
        self._check(hashes)
        found = np.zeros(len(hashes), np.bool_)
        for start in range(0, len(hashes), _CHUNK):
            chunk = np.ascontiguousarray(hashes[start : start + _CHUNK])
            candidates = np.arange(len(chunk))
            if has_numba():
                from dedup.bloom import kernel

                count = kernel.contains(chunk, self.blocks_per_item, self.n_blocks, self.words, candidates)
                candidates = candidates[:count]
            else:
                for i in range(self.blocks_per_item):
                    places = positions(chunk[candidates], i, self.n_blocks)
                    bits = [self.words[word] & bit != 0 for word, bit in places]
                    candidates = candidates[np.logical_and.reduce(bits)]
            found[start + candidates] = True
        return found

    def _check(self, hashes: object) -> None:
        try:
            check_hashes(hashes)
        except ValueError as error:
            raise BloomFilterError(str(error)) from None

    def _check_writable(self) -> None:
        if not self.words.flags.writeable:
            raise BloomFilterError(
                "this filter is read-only, as a file that is mapped to memory; to change a copy in memory, "
                "first do filter.words = filter.words.copy()"
            )

    def __ior__(self, other: "BloomFilter") -> Self:
        """Adds the items of another filter. Raises BloomFilterError if they cannot be joined."""
        if not isinstance(other, BloomFilter):
            return NotImplemented
        self._check_writable()
        if self.parameters != other.parameters:
            raise BloomFilterError(
                f"filters of different kinds: {_difference(self.parameters, other.parameters)}"
            )
        np.bitwise_or(self.words, other.words, out=self.words)
        return self

    @property
    def fill(self) -> float:
        """The share of bits that are set, from 0 to 1."""
        return sum(int(ones.sum()) for ones in self._ones()) / self.n_bits

    def false_positive_rate(self, items: int = 0) -> float:
        """The probability that an absent item is found, computed from the bits that are set.

        items: how many distinct items were put in; adds the probability that an absent item has the hash of
        one of them.
        """
        in_a_block = sum(float(((ones / BLOCK) ** BITS).sum()) for ones in self._ones()) / self.n_blocks
        return in_a_block**self.blocks_per_item + items / 2**64

    def _ones(self) -> Iterator[NDArray[np.int64]]:
        """The number of set bits in each block, some blocks at a time."""
        for start in range(0, len(self.words), 1 << 21):
            bits = np.bitwise_count(self.words[start : start + (1 << 21)])
            yield bits.reshape(-1, 8).sum(axis=1, dtype=np.int64)

    def save(self, url: str) -> None:
        """Writes the filter to an fsspec path (`dedup.bloom.file_format`): equal filters give equal bytes."""
        file_format.write(url, self.parameters, self.words)

    @classmethod
    def load(cls, url: str, about: Mapping[str, Any] | None = None) -> Self:
        """Reads a filter from an fsspec path. A local file is mapped to memory, read-only.

        about: what the filter must be of, if given. Raises OSError if there is no file, BloomFilterError if
        it is not a whole filter, or one of something else.
        """
        parameters, words = file_format.read(url)
        if about is not None and parameters["about"] != (expected := _as_json(about)):
            difference = _difference(expected, parameters["about"])
            raise BloomFilterError(f"{url}: a Bloom filter of something else: {difference}")
        try:
            return cls(**parameters, words=words)
        except (BloomFilterError, TypeError):
            raise BloomFilterError(f"{url}: the header of the Bloom filter is damaged") from None


def _as_json(about: Mapping[str, Any]) -> dict[str, Any]:
    """The object as it would be read back from a file: with lists in place of tuples."""
    try:
        value: dict[str, Any] = json.loads(json.dumps(dict(about)))
    except (TypeError, ValueError) as error:
        raise BloomFilterError(f"about must be a JSON object: {error}") from None
    return value


def _difference(expected: Mapping[str, Any], found: Mapping[str, Any]) -> str:
    names = sorted(name for name in {*expected, *found} if expected.get(name) != found.get(name))
    return ", ".join(f"{name} {found.get(name)!r}, expected {expected.get(name)!r}" for name in names)
