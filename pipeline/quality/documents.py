"""Documents as `measures` needs them: their words, lines and n-grams, as Arrow columns and numpy arrays."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

__all__ = ["Booleans", "Documents", "Floats", "Integers", "Parts", "ratio", "repeated"]

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Booleans = npt.NDArray[np.bool_]

MAX_N = 10  # words of the longest n-grams


@dataclass(frozen=True)
class Parts:
    """The words, or the lines, of some documents, one document after the other.

    values: large_string, shape (parts,). owners: int64, shape (parts,), ascending: for each part the document
    that it belongs to, from 0 to n_documents - 1. A document may have no parts.
    """

    values: pa.Array
    owners: Integers
    n_documents: int

    @cached_property
    def chars(self) -> Integers:
        """The length of each part in characters: int64, shape (parts,)."""
        return np.asarray(pc.utf8_length(self.values), dtype=np.int64)

    @cached_property
    def codes(self) -> Integers:
        """An integer for each part: int64, shape (parts,), from 0.

        Two parts have the same code if they are equal and in the same document. Codes are given in the order
        of first appearance, so that a part repeats an earlier one of its document exactly if its code is not
        above all codes before it (`repeated`).
        """
        values = _codes(self.values)
        return _codes(pa.array(self.owners * (values.max(initial=0) + 1) + values))

    @cached_property
    def number(self) -> Floats:
        """How many parts each document has: float64, shape (n_documents,)."""
        return self._total(None)

    @cached_property
    def size(self) -> Floats:
        """The total length of each document's parts in characters: float64, shape (n_documents,)."""
        return self._total(self.chars)

    def share(self, selected: Booleans) -> Floats:
        """The share of each document's parts that are selected: float64, shape (n_documents,).

        selected: bool, shape (parts,).
        """
        return ratio(self._total(selected), self.number)

    def share_of_chars(self, selected: Booleans) -> Floats:
        """The same as a share of characters."""
        return ratio(self._total(self.chars * selected), self.size)

    def _total(self, weights: npt.NDArray[Any] | None) -> Floats:
        return np.bincount(self.owners, weights, self.n_documents).astype(np.float64)


@dataclass(frozen=True)
class Documents:
    """Some documents, with what several measures need of them, computed once on first use.

    texts: large_string without nulls, shape (documents,).
    """

    texts: pa.Array

    @cached_property
    def words(self) -> Parts:
        """The words: what is between white space, without the bars that trafilatura draws tables with."""
        lists = pc.utf8_split_whitespace(self.texts)
        values = pc.list_flatten(lists)
        return self._parts(
            lists, values, pc.invert(pc.or_(pc.equal(values, ""), pc.starts_with(values, "|")))
        )

    @cached_property
    def lines(self) -> Parts:
        """The lines, trimmed, without blank ones."""
        lists = pc.split_pattern(self.texts, "\n")
        values = pc.utf8_trim_whitespace(pc.list_flatten(lists))
        return self._parts(lists, values, pc.not_equal(values, ""))

    def _parts(self, lists: pa.Array, values: pa.Array, selected: pa.Array) -> Parts:
        owners = np.asarray(pc.list_parent_indices(lists), dtype=np.int64)[np.asarray(selected)]
        return Parts(values.filter(selected), owners, len(self.texts))

    @cached_property
    def ngrams(self) -> list[Integers]:
        """Word n-grams by their first occurrence: `ngrams[n - 1]` for n from 1 to 10, int64, shape (words,).

        The value at word i is the least j such that the n words from j are in the same document as the n
        words from i and equal to them: i itself at the first occurrence of an n-gram. It is -1 where fewer
        than n words are left of the document. i and j count `self.words`, through all documents. Nothing is
        hashed: different n-grams never get the same value.

        An n-gram that begins with an (n-1)-gram that occurs once occurs once, so only n-grams that begin with
        a repeated one are compared. Holds 80 bytes per word.
        """
        words, owners = self.words.codes, self.words.owners
        grams = [_first(np.arange(len(words)), words)]
        for n in range(2, MAX_N + 1):
            rest = max(len(words) - n + 1, 0)
            inside = owners[:rest] == owners[n - 1 :]
            gram = np.full(len(words), -1)
            gram[:rest][inside] = np.flatnonzero(inside)
            before = grams[-1][:rest]
            again = np.flatnonzero(inside & (np.bincount(before[inside], minlength=rest) > 1)[before])
            pairs = before[again] * (words.max(initial=0) + 1) + words[again + n - 1]
            gram[again] = _first(again, _codes(pa.array(pairs)))
            grams.append(gram)
        return grams


def ratio(numerator: Floats, denominator: Floats) -> Floats:
    """The quotients of two arrays of one shape; 0 where the denominator is 0."""
    return np.divide(numerator, denominator, out=np.zeros(len(numerator)), where=denominator > 0)


def repeated(codes: Integers) -> Booleans:
    """Which codes, given in the order of first appearance, have been there before: bool, the same shape."""
    before = np.maximum.accumulate(np.concatenate([[-1], codes[:-1]])) if len(codes) else codes
    return codes <= before


def _codes(values: pa.Array) -> Integers:
    """An integer for each value, from 0 in the order of first appearance; equal values have the same."""
    return np.asarray(values.dictionary_encode().indices, dtype=np.int64)


def _first(places: Integers, codes: Integers) -> Integers:
    """For codes in the order of first appearance, at ascending places: the place of each one's first."""
    return places[~repeated(codes)][codes]
