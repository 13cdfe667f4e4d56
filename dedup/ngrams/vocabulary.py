"""Words to token ids through a dictionary that grows, so that no word is encoded twice.

In normalised text, with a space before every word, a word's token ids do not depend on its neighbours
(`hashing`). So only words that were never met go to the encoder, all of a chunk of text in one call. A
word is known by its 64-bit hash (`dedup.words.word_hash`).
"""

import threading
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dedup.ngrams import kernel
from dedup.ngrams.hashing import EncodeBatch
from dedup.words import normalize

MAX_WORDS = 1 << 20  # then all are forgotten: bounds the memory to about 70 MB
_SEPARATOR = "\n"


class Vocabulary:
    """The dictionary of one encoder. Threads may share it; they take turns."""

    def __init__(self, encode_batch: EncodeBatch, max_words: int = MAX_WORDS) -> None:
        self._encode = encode_batch
        self._max_words = max_words
        self._lock = threading.Lock()
        self._separator: NDArray[Any] = encode_batch([_SEPARATOR])[0]
        self._forget()

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
        """The token ids of the words of some texts, each mixed (`dedup.ngrams.hashing.mix`).

        words, ends: as `dedup.words_kernel.hash_words` gives them for `data` from `start` on. counts:
        words of each text; becomes the number of its units.
        """
        spans = np.empty(len(words), np.uint64)
        missing = np.empty(len(words), np.int64)
        with self._lock:
            lost = kernel.find_words(words, self._slots, spans, missing)
            if lost:
                first = np.unique(words[missing[:lost]], return_index=True)[1]
                if self._words + len(first) > self._max_words:
                    self._forget()
                    first, lost = np.unique(words, return_index=True)[1], len(words)
                    missing = np.arange(lost)
                self._learn(missing[first], words, ends, start, data)
                again = words if lost == len(words) else words[missing[:lost]]
                found = np.empty(lost, np.uint64)
                kernel.find_words(again, self._slots, found, np.empty(lost, np.int64))
                spans[missing[:lost]] = found
            arena = self._arena
        units = counts.copy()
        kernel.count_units(spans, counts, units)
        counts[:] = units
        out = np.empty(int(units.sum()), np.uint64)
        kernel.spread(spans, arena, out)
        return out

    def _forget(self) -> None:
        self._words, self._used = 0, 0
        self._slots = np.zeros((1 << 12, 2), np.uint64)  # word, span: see `dedup.ngrams.kernel.find_words`
        self._arena = np.empty(1 << 12, np.uint64)  # mixed token ids; what is written there stays

    def _learn(
        self,
        which: NDArray[np.int64],
        words: NDArray[np.uint64],
        ends: NDArray[np.int64],
        start: int,
        data: NDArray[np.uint8],
    ) -> None:
        """Encodes words and puts them in."""
        begins = np.where(which > 0, ends[which - 1], start)
        pieces = [data[a:b].tobytes() for a, b in zip(begins.tolist(), ends[which].tolist(), strict=True)]
        ids, lengths = self._ids(normalize(b" ".join(pieces).decode()).split(" "))
        begin = self._used + np.cumsum(lengths) - lengths
        self._used += len(ids)
        if self._used > len(self._arena):
            larger = np.empty(max(self._used, 2 * len(self._arena)), np.uint64)
            larger[: len(self._arena)] = self._arena
            self._arena = larger
        mixed = ids.astype(np.uint64)
        kernel.mix_all(mixed)
        self._arena[self._used - len(ids) : self._used] = mixed
        self._words += len(which)
        if 2 * self._words > len(self._slots):
            old = self._slots
            self._slots = np.zeros((1 << (4 * self._words - 1).bit_length(), 2), np.uint64)
            kernel.put_words(old[:, 0].copy(), old[:, 1].copy(), self._slots)
        spans = begin.astype(np.uint64) << np.uint64(32) | lengths.astype(np.uint64)
        kernel.put_words(words[which], spans, self._slots)

    def _ids(self, words: list[str]) -> tuple[NDArray[Any], NDArray[np.int64]]:
        """Token ids of words, one after the other, and how many each has.

        All in one text, a line for each word: this is how the encoder is fast. One by one, should it have
        another idea of where lines end.
        """
        if len(self._separator) == 1:
            ids = np.asarray(self._encode([_SEPARATOR.join(f" {word}" for word in words)])[0])
            cuts = np.flatnonzero(ids == self._separator[0])
            if len(cuts) == len(words) - 1:
                lengths = np.diff(cuts, prepend=-1, append=len(ids)) - 1
                return np.delete(ids, cuts), lengths
        one_by_one = self._encode([f" {word}" for word in words])
        return np.concatenate(one_by_one), np.array([len(ids) for ids in one_by_one], np.int64)


@lru_cache(maxsize=4)
def vocabulary(encode_batch: EncodeBatch) -> Vocabulary:
    """The dictionary of an encoder in this process."""
    return Vocabulary(encode_batch)
