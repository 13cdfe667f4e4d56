"""Texts to hashed n-grams, without a Python object for each n-gram, word or text.

The n-grams of a text are those of its normalised form (`dedup.words`): of token ids, as in the GPT-2 paper
(section 4), or of words. Every word is encoded with a space before it, the first one too. So a word's ids do
not depend on where it stands, and a passage has the same n-grams wherever it is quoted.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from dedup.jit import has_numba
from dedup.words import Texts, normalize, table, utf8, word_hashes

FORMAT = 1  # of the hashes: goes up when normalisation or hashing changes
Hashes = NDArray[np.uint64]
EncodeBatch = Callable[[Iterable[str]], Sequence[NDArray[Any]]]  # texts -> token ids, an array for each text

GOLDEN = 0x9E3779B97F4A7C15  # 2**64 / golden ratio: the increment of SplitMix64
MULTIPLIER = 0x5851F42D4C957F2D  # Knuth's, of MMIX
_ABSENT = 1 << 40  # no token has such an id
_AT_ONCE = 1 << 18  # bytes of text: what is made of them stays in the cache


@dataclass(frozen=True)
class Grams:
    """The n-grams of some texts, one text after the other, none across a border.

    hashes: shape (n-grams,), uint64. offsets: shape (texts + 1,), int64, where each text's n-grams begin.
    short: shape (texts,), bool: texts of fewer than n units, which count as one n-gram of what they have
    (a text without words has none).
    """

    hashes: Hashes
    offsets: NDArray[np.int64]
    short: NDArray[np.bool_]

    @property
    def counts(self) -> NDArray[np.int64]:
        """N-grams of each text."""
        return np.diff(self.offsets)


@dataclass(frozen=True)
class NGrams:
    """What an n-gram is. Picklable if `encode_batch` is.

    encode_batch: text to token ids, needed for the unit "tokens" (GPT-2's: `shards.tokenizer`).
    tokenizer: a checksum of the vocabulary, kept with everything that is stored, so that hashes of different
    vocabularies never meet. Raises ValueError for an n below 1, a unit it does not know or a missing encoder.
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
        """What decides the hashes, ready for JSON: hashes of equal identities can be compared."""
        tokenizer = self.tokenizer if self.unit == "tokens" else ""
        return {"format": FORMAT, "unit": self.unit, "n": self.n, "tokenizer": tokenizer}

    def units(self, texts: Texts) -> list[Hashes]:
        """The units of each text: token ids, or 64-bit hashes of words."""
        texts = [str(text) for text in texts]
        if self.unit == "words":
            return [word_hashes(text) for text in texts]
        assert self.encode_batch is not None
        # the empty text has no word, and the encoder would make a token of the space before it
        spaced = [f" {words}" if words else "" for words in map(normalize, texts)]
        return [np.asarray(ids, dtype=np.uint64) for ids in self.encode_batch(spaced)]

    def grams(self, texts: Texts) -> Grams:
        """The hashed n-grams of texts (see `hash_units`). Arrow arrays are read in place.

        Raises what `dedup.words.utf8` raises. Holds eight times the bytes of the longest text.
        """
        if not has_numba():
            return hash_units(self.units(texts), self.n)
        offsets, data = utf8(texts)
        counts = np.zeros(len(offsets) - 1, np.int64)  # units of each text
        hashes = [self._hash(offsets[a : b + 1], data, counts[a:b]) for a, b in _chunks(offsets)]
        n_grams = np.where(counts >= self.n, counts - self.n + 1, np.minimum(counts, 1))
        ends = np.concatenate([np.zeros(1, np.int64), np.cumsum(n_grams, dtype=np.int64)])
        short = (counts > 0) & (counts < self.n)
        return Grams(np.concatenate([np.zeros(0, np.uint64), *hashes]), ends, short)

    def _hash(self, offsets: NDArray[np.int64], data: NDArray[np.uint8], counts: NDArray[np.int64]) -> Hashes:
        """The hashes of some texts; writes the number of their units to `counts`."""
        from dedup.ngrams import kernel
        from dedup.ngrams.vocabulary import vocabulary

        room = int(offsets[-1] - offsets[0]) // 2 + 2 * len(counts) + 2
        words, ends = np.empty(room, np.uint64), np.empty(room, np.int64)
        found = kernel.words_of(offsets, data, table(), words, ends, counts)
        if self.unit == "words":
            units = words[:found]
            kernel.mix_all(units)
        else:
            assert self.encode_batch is not None
            known = vocabulary(self.encode_batch)
            units = known.units(words[:found], ends[:found], int(offsets[0]), data, counts)
        hashes = np.empty(len(units), np.uint64)
        return hashes[: kernel.roll(units, counts, self.n, hashes)]

    def absent(self, count: int, seed: int) -> Hashes:
        """Hashes of random n-grams that no text has: of units beyond every vocabulary. Shape (count,)."""
        random = np.random.default_rng(seed)
        return hash_run(random.integers(_ABSENT, 2 * _ABSENT, count + self.n - 1, dtype=np.uint64), self.n)


def _chunks(offsets: NDArray[np.int64]) -> Iterator[tuple[int, int]]:
    """Ranges of texts, of about _AT_ONCE bytes; a longer text is one of its own."""
    start, texts = 0, len(offsets) - 1
    while start < texts:
        end = int(np.searchsorted(offsets, offsets[start] + _AT_ONCE, side="right")) - 1
        end = min(max(end, start + 1), texts)
        yield start, end
        start = end


def hash_units(units: Sequence[Hashes], n: int) -> Grams:
    """64-bit hashes of the n-grams of sequences of units: what `NGrams.grams` must give, in numpy.

    A unit becomes 64 random-looking bits (SplitMix64), an n-gram the polynomial of its n units modulo 2**64
    (a rolling hash can make the same), mixed once more with its length. Two given different n-grams have the
    same hash with probability 2**-64; for n = 8 at most 2**-56 however alike they are built (the polynomial
    loses up to 8 bits on two units in the order of Thue and Morse).
    """
    lengths = np.array([len(sequence) for sequence in units], dtype=np.int64)
    counts = np.where(lengths >= n, lengths - n + 1, np.minimum(lengths, 1))
    offsets = np.concatenate([np.zeros(1, np.int64), np.cumsum(counts, dtype=np.int64)])
    short = (lengths > 0) & (lengths < n)
    if not offsets[-1]:
        return Grams(np.zeros(0, np.uint64), offsets, short)
    unit_offsets = np.cumsum(lengths) - lengths
    starts = np.repeat(unit_offsets - offsets[:-1], counts) + np.arange(offsets[-1])
    mixed = mix(np.concatenate([*units, np.zeros(n - 1, np.uint64)]).astype(np.uint64, copy=False))
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
    return Grams(mix(hashes + width * np.uint64(GOLDEN)), offsets, short)


def hash_run(units: Hashes, n: int) -> Hashes:
    """The hashes that `hash_units` has for one sequence of n units or more, twenty times as fast."""
    if not has_numba():
        return hash_units([units], n).hashes
    from dedup.ngrams import kernel

    mixed = units.copy()
    kernel.mix_all(mixed)
    hashes = np.empty(len(units) - n + 1, np.uint64)
    kernel.roll(mixed, np.array([len(units)]), n, hashes)
    return hashes


def mix(values: Hashes) -> Hashes:
    """The output function of SplitMix64 (Steele, Lea, Flood 2014): a bijection of 64-bit values."""
    z = values + np.uint64(GOLDEN)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(z ^ (z >> np.uint64(31)), dtype=np.uint64)
