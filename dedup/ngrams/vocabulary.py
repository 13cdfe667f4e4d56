"""Words to token ids through a dictionary that grows, so that few words are encoded twice.

In normalised text, with a space before every word, a word's token ids do not depend on its neighbours
(`dedup.ngrams.hashing`). So only words that the dictionary does not have go to the encoder, all of a chunk of
text in one call. A word is known by its 64-bit hash (`dedup.words.word_hash`).
"""

import threading
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dedup.ngrams import kernel
from dedup.ngrams.encoders import EncodeBatch
from dedup.words import normalize

__all__ = ["MAX_WORDS", "Vocabulary", "vocabulary"]

MAX_WORDS = 1 << 20  # at this size the dictionary is emptied: about 70 MB
_SEPARATOR = "\n"


class Vocabulary:
    """The dictionary of one encoder. Threads can share it: a lock serialises look-ups.

    max_words: how many distinct words it holds; then it is emptied, and begins anew.
    """

    def __init__(self, encode_batch: EncodeBatch, max_words: int = MAX_WORDS) -> None:
        self._encode_batch = encode_batch
        self._max_words = max_words
        self._lock = threading.Lock()
        self._separator: NDArray[Any] = encode_batch([_SEPARATOR])[0]
        self._clear()

    def __len__(self) -> int:
        return self._words

    def units(
        self,
        words: NDArray[np.uint64],
        ends: NDArray[np.int64],
        start: int,
        data: NDArray[np.uint8],
        counts: NDArray[np.int64],
    ) -> NDArray[np.uint64]:
        """The token ids of the words of some texts, each mixed (`dedup.hashes`).

        words, ends: as `dedup.words_kernel.hash_words` gives them for `data` from `start` on. counts:
        words of each text; becomes the number of its units.
        """
        locations = np.empty(len(words), np.uint64)
        missing = np.empty(len(words), np.int64)
        with self._lock:
            n_missing = kernel.look_up_words(words, self._slots, locations, missing)
            if n_missing:
                first = np.unique(words[missing[:n_missing]], return_index=True)[1]
                if self._words + len(first) > self._max_words:
                    self._clear()
                    first, n_missing = np.unique(words, return_index=True)[1], len(words)
                    missing = np.arange(n_missing)
                self._encode_words(missing[first], words, ends, start, data)
                unlocated = words if n_missing == len(words) else words[missing[:n_missing]]
                found = np.empty(n_missing, np.uint64)
                kernel.look_up_words(unlocated, self._slots, found, np.empty(n_missing, np.int64))
                locations[missing[:n_missing]] = found
            pool = self._pool
        units = counts.copy()
        kernel.count_units(locations, counts, units)
        counts[:] = units
        out = np.empty(int(units.sum()), np.uint64)
        kernel.gather_units(locations, pool, out)
        return out

    def _clear(self) -> None:
        self._words, self._used = 0, 0
        self._slots = np.zeros((1 << 12, 2), np.uint64)  # (word, location), as `kernel.look_up_words` has it
        self._pool = np.empty(1 << 12, np.uint64)  # token ids through splitmix64; only appended to

    def _encode_words(
        self,
        which: NDArray[np.int64],
        words: NDArray[np.uint64],
        ends: NDArray[np.int64],
        start: int,
        data: NDArray[np.uint8],
    ) -> None:
        """Encodes words, given by their indices `which`, and inserts them."""
        begins = np.where(which > 0, ends[which - 1], start)
        pieces = [data[a:b].tobytes() for a, b in zip(begins.tolist(), ends[which].tolist(), strict=True)]
        ids, lengths = self._ids(normalize(b" ".join(pieces).decode()).split(" "))
        begin = self._used + np.cumsum(lengths) - lengths
        self._used += len(ids)
        if self._used > len(self._pool):
            larger = np.empty(max(self._used, 2 * len(self._pool)), np.uint64)
            larger[: len(self._pool)] = self._pool
            self._pool = larger
        mixed = ids.astype(np.uint64)
        kernel.splitmix64_all(mixed)
        self._pool[self._used - len(ids) : self._used] = mixed
        self._words += len(which)
        if 2 * self._words > len(self._slots):
            old = self._slots
            self._slots = np.zeros((1 << (4 * self._words - 1).bit_length(), 2), np.uint64)
            kernel.insert_words(old[:, 0].copy(), old[:, 1].copy(), self._slots)
        locations = begin.astype(np.uint64) << np.uint64(32) | lengths.astype(np.uint64)
        kernel.insert_words(words[which], locations, self._slots)

    def _ids(self, words: list[str]) -> tuple[NDArray[Any], NDArray[np.int64]]:
        """Token ids of words, one word after the other, and how many each has.

        The encoder is fastest on one text with a line for each word. Where its tokens do not end with the
        lines, the words are encoded one by one.
        """
        if len(self._separator) == 1:
            ids = np.asarray(self._encode_batch([_SEPARATOR.join(f" {word}" for word in words)])[0])
            cuts = np.flatnonzero(ids == self._separator[0])
            if len(cuts) == len(words) - 1:
                lengths = np.diff(cuts, prepend=-1, append=len(ids)) - 1
                return np.delete(ids, cuts), lengths
        one_by_one = self._encode_batch([f" {word}" for word in words])
        return np.concatenate(one_by_one), np.array([len(ids) for ids in one_by_one], np.int64)


@lru_cache(maxsize=4)
def vocabulary(encode_batch: EncodeBatch) -> Vocabulary:
    """The dictionary of an encoder, one per process."""
    return Vocabulary(encode_batch)
