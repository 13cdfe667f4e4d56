"""Texts to hashed n-grams, without a Python object for each n-gram, word or text.

N-grams are taken from the normalised text (`dedup.words`): of token ids, as in the GPT-2 paper (section 4),
or of words. Every word is encoded with a space before it, including the first. So a word's ids do not depend
on where it stands, and a passage has the same n-grams wherever it is quoted.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from dedup.hashes import GOLDEN_GAMMA, Hashes, check_hashes, splitmix64
from dedup.jit import has_numba
from dedup.ngrams.encoders import EncodeBatch
from dedup.words import Texts, normalize, table, utf8, word_hashes

__all__ = ["FORMAT", "MULTIPLIER", "HashedNGrams", "NGramHasher", "hash_sequence", "hash_units"]

FORMAT = 1  # goes up when normalisation or hashing changes
MULTIPLIER = 0x5851F42D4C957F2D  # of Knuth's generator MMIX (The Art of Computer Programming, 3.3.4)
_NO_TOKEN = 1 << 40  # above the ids of any vocabulary
_CHUNK_BYTES = 1 << 18  # of text: small enough for its words and hashes to stay in the cache


@dataclass(frozen=True)
class HashedNGrams:
    """The n-grams of some texts, one text after the other; no n-gram spans two texts.

    hashes: shape (n-grams,), uint64. offsets: shape (texts + 1,), int64; the n-grams of text i are
    hashes[offsets[i] : offsets[i + 1]]. short: shape (texts,), bool: texts of fewer than n units, which count
    as one n-gram of the units they have (a text without words has none).
    """

    hashes: Hashes
    offsets: NDArray[np.int64]
    short: NDArray[np.bool_]

    def __post_init__(self) -> None:
        check_hashes(self.hashes)
        if not len(self.offsets) or self.offsets[-1] != len(self.hashes):
            raise ValueError(
                f"offsets must begin with 0 and end with {len(self.hashes)}, the number of hashes"
            )
        if len(self.short) != len(self.offsets) - 1:
            raise ValueError(f"short must have {len(self.offsets) - 1} values, one for each text")

    @property
    def counts(self) -> NDArray[np.int64]:
        """The number of n-grams of each text: shape (texts,), int64."""
        return np.diff(self.offsets)


@dataclass(frozen=True)
class NGramHasher:
    """What an n-gram is made of, and texts to hashed n-grams. Can be pickled if `encode_batch` can.

    unit, n: n-grams of n tokens or words. encode_batch: texts to token ids, needed for the unit "tokens"
    (`dedup.ngrams.encoders` has GPT-2's). tokenizer: a checksum of the vocabulary, stored with everything
    that is made of the hashes, so that hashes of different vocabularies are never compared.

    Raises ValueError for an n below 1, an unknown unit or a missing encoder.
    """

    unit: Literal["tokens", "words"] = "tokens"
    n: int = 8
    encode_batch: EncodeBatch | None = None
    tokenizer: str = ""

    def __post_init__(self) -> None:
        if self.unit not in ("tokens", "words"):
            raise ValueError(f"unit {self.unit!r}: n-grams are of 'tokens' or 'words'")
        if self.n < 1:
            raise ValueError(f"n = {self.n}: an n-gram has at least one unit")
        if self.unit == "tokens" and (self.encode_batch is None or not self.tokenizer):
            raise ValueError("n-grams of tokens need an encoder and the checksum of its vocabulary")

    @property
    def identity(self) -> dict[str, Any]:
        """All that decides the hashes, as a JSON object: hashes can be compared if these are equal."""
        tokenizer = self.tokenizer if self.unit == "tokens" else ""
        return {"format": FORMAT, "unit": self.unit, "n": self.n, "tokenizer": tokenizer}

    def units(self, texts: Texts) -> list[Hashes]:
        """The units of each text, shape (units,), uint64: token ids, or 64-bit hashes of words."""
        texts = [str(text) for text in texts]
        if self.unit == "words":
            return [word_hashes(text) for text in texts]
        assert self.encode_batch is not None
        # a text without words has no units; a space in front would become one
        spaced = [f" {words}" if words else "" for words in map(normalize, texts)]
        return [np.asarray(ids, dtype=np.uint64) for ids in self.encode_batch(spaced)]

    def hash(self, texts: Texts) -> HashedNGrams:
        """The hashed n-grams of texts (see `hash_units`). Arrow arrays are read in place.

        Raises what `dedup.words.utf8` raises: ValueError for nulls and invalid Unicode. Beside the result it
        holds about eight times the bytes of the longest text.
        """
        if not has_numba():
            return hash_units(self.units(texts), self.n)
        offsets, data = utf8(texts)
        counts = np.zeros(len(offsets) - 1, np.int64)  # units of each text
        hashes = [self._hash(offsets[a : b + 1], data, counts[a:b]) for a, b in _chunks(offsets)]
        n_grams = np.where(counts >= self.n, counts - self.n + 1, np.minimum(counts, 1))
        ends = np.concatenate([np.zeros(1, np.int64), np.cumsum(n_grams, dtype=np.int64)])
        short = (counts > 0) & (counts < self.n)
        return HashedNGrams(np.concatenate([np.zeros(0, np.uint64), *hashes]), ends, short)

    def _hash(self, offsets: NDArray[np.int64], data: NDArray[np.uint8], counts: NDArray[np.int64]) -> Hashes:
        """The hashed n-grams of some texts; writes the number of units of each to `counts`."""
        from dedup.ngrams import kernel
        from dedup.ngrams.vocabulary import vocabulary

        room = int(offsets[-1] - offsets[0]) // 2 + 2 * len(counts) + 2
        words, ends = np.empty(room, np.uint64), np.empty(room, np.int64)
        found = kernel.words_of_texts(offsets, data, table(), words, ends, counts)
        if self.unit == "words":
            units = words[:found]
            kernel.splitmix64_all(units)
        else:
            assert self.encode_batch is not None
            known = vocabulary(self.encode_batch)
            units = known.units(words[:found], ends[:found], int(offsets[0]), data, counts)
        hashes = np.empty(len(units), np.uint64)
        return hashes[: kernel.rolling_hashes(units, counts, self.n, hashes)]

    def random_absent(self, count: int, seed: int) -> Hashes:
        """Random n-grams that no text has, of units above every vocabulary: shape (count,), uint64."""
        random = np.random.default_rng(seed)
        return hash_sequence(
            random.integers(_NO_TOKEN, 2 * _NO_TOKEN, count + self.n - 1, dtype=np.uint64), self.n
        )


def _chunks(offsets: NDArray[np.int64]) -> Iterator[tuple[int, int]]:
    """Ranges of texts of about _CHUNK_BYTES; a longer text is a range of its own."""
    start, texts = 0, len(offsets) - 1
    while start < texts:
        end = int(np.searchsorted(offsets, offsets[start] + _CHUNK_BYTES, side="right")) - 1
        end = min(max(end, start + 1), texts)
        yield start, end
        start = end


def hash_units(units: Sequence[Hashes], n: int) -> HashedNGrams:
    """64-bit hashes of the n-grams of sequences of units, in numpy: the definition of `NGramHasher.hash`.

    A unit becomes 64 random-looking bits (SplitMix64). An n-gram becomes the polynomial of its n units modulo
    2**64, which a rolling hash computes too, mixed once more with its length. Two different n-grams have the
    same hash with probability 2**-64. With n = 8 it is at most 2**-56 for any two, since the polynomial loses
    up to 8 bits on two units in Thue-Morse order.
    """
    lengths = np.array([len(sequence) for sequence in units], dtype=np.int64)
    counts = np.where(lengths >= n, lengths - n + 1, np.minimum(lengths, 1))
    offsets = np.concatenate([np.zeros(1, np.int64), np.cumsum(counts, dtype=np.int64)])
    short = (lengths > 0) & (lengths < n)
    if not offsets[-1]:
        return HashedNGrams(np.zeros(0, np.uint64), offsets, short)
    unit_offsets = np.cumsum(lengths) - lengths
    starts = np.repeat(unit_offsets - offsets[:-1], counts) + np.arange(offsets[-1])
    mixed = splitmix64(np.concatenate([*units, np.zeros(n - 1, np.uint64)]).astype(np.uint64, copy=False))
    windows = len(mixed) - n + 1
    value = np.zeros(windows, np.uint64)
    for j in range(n):
        value *= np.uint64(MULTIPLIER)
        value += mixed[j : j + windows]
    hashes = value[starts]
    width = np.full(len(hashes), n, np.uint64)
    for index in np.flatnonzero(short):
        value_of_text = 0
        for unit in mixed[unit_offsets[index] : unit_offsets[index] + lengths[index]].tolist():
            value_of_text = (value_of_text * MULTIPLIER + unit) & 0xFFFFFFFFFFFFFFFF
        hashes[offsets[index]] = value_of_text
        width[offsets[index]] = lengths[index]
    return HashedNGrams(splitmix64(hashes + width * np.uint64(GOLDEN_GAMMA)), offsets, short)


def hash_sequence(units: Hashes, n: int) -> Hashes:
    """`hash_units` of one sequence of n units or more, by compiled code: shape (units - n + 1,), uint64."""
    if not has_numba():
        return hash_units([units], n).hashes
    from dedup.ngrams import kernel

    mixed = units.copy()
    kernel.splitmix64_all(mixed)
    hashes = np.empty(len(units) - n + 1, np.uint64)
    kernel.rolling_hashes(mixed, np.array([len(units)]), n, hashes)
    return hashes
