"""A Bloom filter over 64-bit hashes, as a file that says what it is.

Bloom, "Space/time trade-offs in hash coding with allowable errors" (1970); the GPT-2 paper (section 4) builds
such filters over the 8-grams of a training set, for a false positive rate of at most 1e-8.

The k positions of an item are the first k outputs of SplitMix64 seeded with its hash, scaled to the size: the
upper 64 bits of output · size (Lemire, "Fast random integer generation in an interval", 2019). Double
hashing (Kirsch, Mitzenmacher 2006) would do with two of them, but its rate is the classical one only in the
limit: two items whose pair of values agrees modulo m share all positions, which adds about n / m**2 for n
items, or 7e-7 to a filter of a thousand items made for 1e-8. Independent positions have no such floor.

What is left is that the item hashes have 64 bits themselves: an absent item has the hash of one of n present
ones with probability n / 2**64 (5e-10 for ten billion items). `BloomFilter.sized` takes this off the rate.
"""

import json
import math
import struct
from collections.abc import Mapping
from typing import Any, Self

import fsspec
import fsspec.core
import fsspec.implementations.local
import numpy as np
from numpy.typing import NDArray

from dedup.ngrams import GOLDEN, Hashes, mix
from dedup.words import compiled

MAGIC = b"BLOOM64\n"
VERSION = 2
MIN_BITS = (
    1 << 16
)  # of a filter made for a rate: below, the classical formula is too hopeful (Bose et al. 2008)
_CHUNK = 1 << 16  # items at a time: the working memory stays in the cache
_ALIGNMENT = 4096  # of the bits in a file, for memory maps


class BloomFilterError(ValueError):
    """A filter that cannot be made, read, or used together with another one."""


class BloomFilter:
    """A set of 64-bit hashes that may hold more than was put in, never less.

    n_bits, n_hashes: the classical m and k. about: what the hashes are of, ready for JSON: only filters with
    equal parameters and equal `about` can be joined. bits: shape (ceil(n_bits / 8),), uint8: position p is
    bit p % 8, counted from the least significant, of byte p // 8.
    """

    def __init__(
        self,
        n_bits: int,
        n_hashes: int,
        about: Mapping[str, Any] | None = None,
        bits: NDArray[np.uint8] | None = None,
    ) -> None:
        if n_bits < 1 or n_hashes < 1:
            raise BloomFilterError(f"a filter of {n_bits} bits and {n_hashes} hashes: both must be positive")
        self.n_bits = n_bits
        self.n_hashes = n_hashes
        self.about = dict(about or {})
        self.bits = np.zeros(-(-n_bits // 8), np.uint8) if bits is None else bits

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
        sizes = []
        for n_hashes in {max(1, math.floor(-math.log2(own_rate))), math.ceil(-math.log2(own_rate))}:
            share_per_hash = own_rate ** (1 / n_hashes)  # of bits set when full
            sizes.append((math.ceil(-n_hashes * max(items, 1) / math.log1p(-share_per_hash)), n_hashes))
        n_bits, n_hashes = min(sizes)
        return cls(max(MIN_BITS, -(-n_bits // 64) * 64), n_hashes, about)

    @property
    def parameters(self) -> dict[str, Any]:
        """What two filters must have in common to be joined."""
        return {"n_bits": self.n_bits, "n_hashes": self.n_hashes, "about": self.about}

    def add(self, hashes: Hashes) -> None:
        """Puts items in. hashes: shape (items,), uint64."""
        if compiled() is not None:
            from dedup import bloom_kernel

            bloom_kernel.add(hashes, self.n_hashes, self.n_bits, self.bits)
            return
        for start in range(0, len(hashes), _CHUNK):
            chunk = hashes[start : start + _CHUNK]
            for i in range(self.n_hashes):
                byte, bit = self._position(chunk, i)
                while len(byte):  # of several bits of one byte, an assignment keeps one
                    self.bits[byte] |= bit
                    lost = (self.bits[byte] & bit) == 0
                    byte, bit = byte[lost], bit[lost]

    def contains(self, hashes: Hashes) -> NDArray[np.bool_]:
        """Whether each item is in the filter: shape (items,), bool. Never False for one that was put in."""
        found = np.zeros(len(hashes), np.bool_)
        if compiled() is not None:
            from dedup import bloom_kernel

            left = np.empty(min(_CHUNK, len(hashes)), np.int64)
            for start in range(0, len(hashes), _CHUNK):
                chunk = hashes[start : start + _CHUNK]
                count = bloom_kernel.contains(chunk, self.n_hashes, self.n_bits, self.bits, left)
                found[start + left[:count]] = True
            return found
        for start in range(0, len(hashes), _CHUNK):
            left = np.arange(start, min(start + _CHUNK, len(hashes)))
            for i in range(self.n_hashes):
                byte, bit = self._position(hashes[left], i)
                left = left[(self.bits[byte] & bit) != 0]
            found[left] = True
        return found

    def _position(self, hashes: Hashes, i: int) -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
        output = mix(hashes + np.uint64(i * GOLDEN & 0xFFFFFFFFFFFFFFFF))
        low, half = np.uint64(0xFFFFFFFF), np.uint64(32)
        size_low, size_high = np.uint64(self.n_bits & 0xFFFFFFFF), np.uint64(self.n_bits >> 32)
        middle = (output >> half) * size_low + ((output & low) * size_low >> half)
        other = (output & low) * size_high + (middle & low)
        position = (output >> half) * size_high + (middle >> half) + (other >> half)
        bit = np.uint8(1) << (position & np.uint64(7)).astype(np.uint8)
        return (position >> np.uint64(3)).astype(np.int64), bit

    def __ior__(self, other: "BloomFilter") -> Self:
        """Takes in all that another filter holds. Raises BloomFilterError if it is of another kind."""
        if self.parameters != other.parameters:
            raise BloomFilterError(
                f"filters of different kinds: {_difference(self.parameters, other.parameters)}"
            )
        np.bitwise_or(self.bits, other.bits, out=self.bits)
        return self

    @property
    def fill(self) -> float:
        """The share of bits that are set."""
        chunks = range(0, len(self.bits), 1 << 24)
        ones = sum(int(np.bitwise_count(self.bits[start : start + (1 << 24)]).sum()) for start in chunks)
        return ones / self.n_bits

    def false_positive_rate(self, items: int = 0) -> float:
        """The rate that the set bits give an absent item, and the chance that its hash is one of `items`."""
        return float(self.fill**self.n_hashes + items / 2**64)

    def save(self, url: str) -> None:
        """Writes the filter to an fsspec path: equal filters give equal bytes.

        The file: the magic `BLOOM64\\n`, the length of the header (uint32, little-endian), the header (JSON:
        version, n_bits, n_hashes, about), zeros up to a multiple of 4096, the bits.
        """
        header = json.dumps({"version": VERSION, **self.parameters}, sort_keys=True).encode()
        start = MAGIC + struct.pack("<I", len(header)) + header
        with fsspec.open(url, "wb") as file:
            file.write(start + bytes(-len(start) % _ALIGNMENT))
            for chunk in range(0, len(self.bits), 1 << 24):
                file.write(self.bits[chunk : chunk + (1 << 24)].tobytes())

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
                empty = cls(1, header["n_hashes"], header["about"])
                n_bits = int(header["n_bits"])
            except (ValueError, TypeError, KeyError, AttributeError) as error:
                raise BloomFilterError(f"{url}: the header of the Bloom filter is damaged") from error
            if version != VERSION:
                raise BloomFilterError(f"{url}: a Bloom filter of version {version}, expected {VERSION}")
            if about is not None and header["about"] != dict(about):
                difference = _difference(dict(about), header["about"])
                raise BloomFilterError(f"{url}: a Bloom filter of something else: {difference}")
            start = -(-(len(prefix) + length) // _ALIGNMENT) * _ALIGNMENT
            size = -(-n_bits // 8)
            fs, path = fsspec.core.url_to_fs(url)
            if fs.size(path) != start + size:
                raise BloomFilterError(f"{url}: {fs.size(path)} bytes, expected {start + size}: not whole")
            bits: NDArray[np.uint8]
            if isinstance(fs, fsspec.implementations.local.LocalFileSystem):
                bits = np.memmap(path, np.uint8, "r", offset=start, shape=(size,))
            else:
                file.seek(start)
                bits = np.frombuffer(file.read(size), np.uint8)
        return cls(n_bits, empty.n_hashes, empty.about, bits)


def _difference(expected: Mapping[str, Any], found: Mapping[str, Any]) -> str:
    names = sorted(name for name in {*expected, *found} if expected.get(name) != found.get(name))
    return ", ".join(f"{name} {found.get(name)!r}, expected {expected.get(name)!r}" for name in names)
