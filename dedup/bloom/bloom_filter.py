"""A Bloom filter over 64-bit hashes, as a file that says what it is.

Bloom, "Space/time trade-offs in hash coding with allowable errors" (1970); the GPT-2 paper (section 4) builds
such filters over the 8-grams of a training set, for a false positive rate of at most 1e-8.

This one is blocked (Putze, Sanders, Singler, "Cache-, hash- and space-efficient Bloom filters", 2007): its
bits lie in blocks of 512, a cache line each, and an item has seven bits in each of a few blocks: four of them
for 1e-8. So it takes four accesses to memory to put an item in, and mostly one to find that another is
absent, in place of 27 and two. For that, some blocks get more items than others, and the filter is 4 % larger
than the classical one; `dedup.bloom.sizing` takes it into account exactly.

The blocks and the bits are outputs of SplitMix64 seeded with the item's hash, not combinations of two values
(Kirsch, Mitzenmacher 2006): with these, two items that agree in both share all positions, which adds about
n / m**2 to the rate of n items, 7e-7 for a thousand items in a filter made for 1e-8.

What is left is that the item hashes have 64 bits themselves: an absent item has the hash of one of n present
ones with probability n / 2**64 (5e-10 for ten billion items). `BloomFilter.sized` takes this off the rate.
"""

import json
import math
import struct
from collections.abc import Iterator, Mapping
from typing import Any, Self

import fsspec
import fsspec.core
import fsspec.implementations.local
import numpy as np
from numpy.typing import NDArray

from dedup.bloom.sizing import BITS, BLOCK, blocks
from dedup.jit import has_numba
from dedup.ngrams.hashing import GOLDEN, Hashes, mix

MAGIC = b"BLOOM64\n"
VERSION = 3
_CHUNK = 1 << 16  # items at a time: the working memory stays in the cache
_MASK = 0xFFFFFFFFFFFFFFFF
_ALIGNMENT = 4096  # of the bits in a file, for memory maps


class BloomFilterError(ValueError):
    """A filter that cannot be made, read, or used together with another one."""


class BloomFilter:
    """A set of 64-bit hashes that may hold more than was put in, never less.

    n_blocks: of 512 bits. blocks_per_item: in how many of them an item has seven bits. about: what the hashes
    are of, ready for JSON: only filters with equal parameters and equal `about` can be joined. words: shape
    (n_blocks * 8,), uint64: bit b of block i is bit b % 64, counted from the least significant, of word
    8 * i + b // 64.
    """

    def __init__(
        self,
        n_blocks: int,
        blocks_per_item: int,
        about: Mapping[str, Any] | None = None,
        words: NDArray[np.uint64] | None = None,
    ) -> None:
        if n_blocks < 1 or blocks_per_item < 1:
            raise BloomFilterError(
                f"a filter of {n_blocks} blocks, {blocks_per_item} for an item: both must be positive"
            )
        self.n_blocks = n_blocks
        self.blocks_per_item = blocks_per_item
        self.about = dict(about or {})
        self.words = np.zeros(n_blocks * BLOCK // 64, np.uint64) if words is None else words

    @classmethod
    def sized(cls, items: int, rate: float, about: Mapping[str, Any] | None = None) -> Self:
        """The smallest empty filter that has at most this false positive rate with this many distinct items.

        Raises BloomFilterError for a rate that is not in (0, 1), or not to be had with 64-bit hashes.
        """
        if not 0 < rate < 1:
            raise BloomFilterError(f"a false positive rate of {rate}: it must lie between 0 and 1")
        own_rate = rate - items / 2**64
        if own_rate <= 0:
            raise BloomFilterError(f"{items} items of 64 bits cannot have a false positive rate of {rate}")
        ideal = -math.log2(own_rate) / BITS  # with half of the bits set
        choices = {max(1, math.floor(ideal)), math.ceil(ideal)}
        n_blocks, blocks_per_item = min((blocks(items, n, own_rate), n) for n in choices)
        return cls(n_blocks, blocks_per_item, about)

    @property
    def n_bits(self) -> int:
        """The classical m."""
        return self.n_blocks * BLOCK

    @property
    def n_hashes(self) -> int:
        """The classical k: how many bits an item has."""
        return self.blocks_per_item * BITS

    @property
    def parameters(self) -> dict[str, Any]:
        """What two filters must have in common to be joined."""
        return {"n_blocks": self.n_blocks, "blocks_per_item": self.blocks_per_item, "about": self.about}

    def add(self, hashes: Hashes) -> None:
        """Puts items in. hashes: shape (items,), uint64."""
        for start in range(0, len(hashes), _CHUNK):
            chunk = hashes[start : start + _CHUNK]
            if has_numba():
                from dedup.bloom import kernel as bloom_kernel

                bloom_kernel.add(chunk, self.blocks_per_item, self.n_blocks, self.words)
                continue
            for i in range(self.blocks_per_item):
                for word, bit in self._positions(chunk, i):
                    np.bitwise_or.at(self.words, word, bit)

    def contains(self, hashes: Hashes) -> NDArray[np.bool_]:
        """Whether each item is in the filter: shape (items,), bool. Never False for one that was put in."""
        found = np.zeros(len(hashes), np.bool_)
        for start in range(0, len(hashes), _CHUNK):
            chunk = hashes[start : start + _CHUNK]
            left = np.arange(len(chunk))
            if has_numba():
                from dedup.bloom import kernel as bloom_kernel

                count = bloom_kernel.contains(chunk, self.blocks_per_item, self.n_blocks, self.words, left)
                left = left[:count]
            else:
                for i in range(self.blocks_per_item):
                    bits = [self.words[word] & bit != 0 for word, bit in self._positions(chunk[left], i)]
                    left = left[np.logical_and.reduce(bits)]
            found[start + left] = True
        return found

    def _positions(self, hashes: Hashes, i: int) -> list[tuple[NDArray[np.int64], NDArray[np.uint64]]]:
        """The words and the bits in them that items have in their i-th block."""
        first = mix(hashes + np.uint64(2 * i * GOLDEN & _MASK))
        second = mix(hashes + np.uint64((2 * i + 1) * GOLDEN & _MASK))
        block = _scaled(first, self.n_blocks)
        result = []
        for j in range(BITS):
            bit = second >> np.uint64(9 * j) & np.uint64(BLOCK - 1)
            word = block * np.uint64(8) + (bit >> np.uint64(6))
            result.append((word.astype(np.int64), np.uint64(1) << (bit & np.uint64(63))))
        return result

    def __ior__(self, other: "BloomFilter") -> Self:
        """Takes in all that another filter holds. Raises BloomFilterError if it is of another kind."""
        if self.parameters != other.parameters:
            raise BloomFilterError(
                f"filters of different kinds: {_difference(self.parameters, other.parameters)}"
            )
        np.bitwise_or(self.words, other.words, out=self.words)
        return self

    @property
    def fill(self) -> float:
        """The share of bits that are set."""
        return sum(int(ones.sum()) for ones in self._ones()) / self.n_bits

    def false_positive_rate(self, items: int = 0) -> float:
        """The rate that the set bits give an absent item, and the chance that its hash is one of `items`."""
        in_a_block = sum(float(((ones / BLOCK) ** BITS).sum()) for ones in self._ones()) / self.n_blocks
        return in_a_block**self.blocks_per_item + items / 2**64

    def _ones(self) -> Iterator[NDArray[np.int64]]:
        """The number of set bits of each block, some blocks at a time."""
        for start in range(0, len(self.words), 1 << 21):
            bits = np.bitwise_count(self.words[start : start + (1 << 21)])
            yield bits.reshape(-1, 8).sum(axis=1, dtype=np.int64)

    def save(self, url: str) -> None:
        """Writes the filter to an fsspec path: equal filters give equal bytes.

        The file: the magic `BLOOM64\\n`, the length of the header (uint32, little-endian), the header (JSON:
        version, n_blocks, blocks_per_item, about), zeros up to a multiple of 4096, the words (little-endian).
        """
        header = json.dumps({"version": VERSION, **self.parameters}, sort_keys=True).encode()
        start = MAGIC + struct.pack("<I", len(header)) + header
        with fsspec.open(url, "wb") as file:
            file.write(start + bytes(-len(start) % _ALIGNMENT))
            for chunk in range(0, len(self.words), 1 << 21):
                file.write(self.words[chunk : chunk + (1 << 21)].astype("<u8", copy=False).tobytes())

    @classmethod
    def load(cls, url: str, about: Mapping[str, Any] | None = None) -> Self:
        """Reads a filter: a local one is mapped to memory (read-only), another one read whole.

        about: what the filter must be of. Raises OSError if there is no file, BloomFilterError if it is not a
        whole filter, or one of something else.
        """
        with fsspec.open(url, "rb") as file:
            prefix = file.read(len(MAGIC) + 4)
            if prefix[: len(MAGIC)] != MAGIC or len(prefix) < len(MAGIC) + 4:
                raise BloomFilterError(f"{url}: not a Bloom filter of this program")
            (length,) = struct.unpack("<I", prefix[len(MAGIC) :])
            try:
                header = json.loads(file.read(length))
                version = header.pop("version")
                if version == VERSION:
                    empty = cls(1, header["blocks_per_item"], header["about"])
                    n_blocks = int(header["n_blocks"])
            except (ValueError, TypeError, KeyError, AttributeError) as error:
                raise BloomFilterError(f"{url}: the header of the Bloom filter is damaged") from error
            if version != VERSION:
                raise BloomFilterError(f"{url}: a Bloom filter of version {version}, expected {VERSION}")
            if about is not None and header["about"] != dict(about):
                difference = _difference(dict(about), header["about"])
                raise BloomFilterError(f"{url}: a Bloom filter of something else: {difference}")
            start = -(-(len(prefix) + length) // _ALIGNMENT) * _ALIGNMENT
            size = n_blocks * BLOCK // 8
            fs, path = fsspec.core.url_to_fs(url)
            if fs.size(path) != start + size:
                raise BloomFilterError(f"{url}: {fs.size(path)} bytes, expected {start + size}: not whole")
            words: NDArray[np.uint64]
            if isinstance(fs, fsspec.implementations.local.LocalFileSystem):
                words = np.memmap(path, "<u8", "r", offset=start, shape=(size // 8,))
            else:
                file.seek(start)
                words = np.frombuffer(file.read(size), "<u8")
        return cls(n_blocks, empty.blocks_per_item, empty.about, words)


def _scaled(values: NDArray[np.uint64], size: int) -> NDArray[np.uint64]:
    """The upper 64 bits of value · size (Lemire, "Fast random integer generation in an interval", 2019)."""
    low, half = np.uint64(0xFFFFFFFF), np.uint64(32)
    size_low, size_high = np.uint64(size & 0xFFFFFFFF), np.uint64(size >> 32)
    middle = (values >> half) * size_low + ((values & low) * size_low >> half)
    other = (values & low) * size_high + (middle & low)
    return np.asarray((values >> half) * size_high + (middle >> half) + (other >> half), dtype=np.uint64)


def _difference(expected: Mapping[str, Any], found: Mapping[str, Any]) -> str:
    names = sorted(name for name in {*expected, *found} if expected.get(name) != found.get(name))
    return ", ".join(f"{name} {found.get(name)!r}, expected {expected.get(name)!r}" for name in names)
