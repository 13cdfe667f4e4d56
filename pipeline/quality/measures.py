"""Measures of documents for the rules of quality: functions from some documents to one float64 per document.

Each measure returns an array of shape (documents,). Shares lie between 0 and 1, and are 0 for a document
without words or lines. Words are separated by white space; lines are trimmed, and blank ones do not count;
lengths are in characters (code points). Everything is computed over Arrow columns, no Python object per word.
The limits in brackets are those of the papers that `pipeline.quality.rules` names.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

__all__ = [
    "STOP_WORDS",
    "Documents",
    "Floats",
    "Parts",
    "alphabetic_words",
    "bullet_lines",
    "curly_brackets",
    "duplicate_line_chars",
    "duplicate_lines",
    "duplicate_ngram_chars",
    "ellipsis_lines",
    "ellipsis_ratio",
    "hash_ratio",
    "lorem_ipsum",
    "mean_word_length",
    "n_words",
    "punctuated_lines",
    "sentences",
    "short_lines",
    "stop_words",
    "top_ngram_chars",
]

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Booleans = npt.NDArray[np.bool_]

STOP_WORDS = pa.array(["the", "be", "to", "of", "and", "that", "have", "with"], pa.large_string())
BULLET = r"^[-*•‣⁃◦▪▸►●○■□–·]\s"
ELLIPSIS = r"(\.\.\.|…)"
TERMINAL = r"[.!?…][\"'”’»)\]]*$"
SENTENCE = r"[.!?…][\"'”’»)\]]*(\s|$)"
SHORT_LINE = 30  # characters; shorter lines are short
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
        above all codes before it (`_repeated`).
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
        return _ratio(self._total(selected), self.number)

    def share_of_chars(self, selected: Booleans) -> Floats:
        """The same as a share of characters."""
        return _ratio(self._total(self.chars * selected), self.size)

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


def n_words(documents: Documents) -> Floats:
    """Number of words (Gopher: 50 to 100,000)."""
    return documents.words.number


def mean_word_length(documents: Documents) -> Floats:
    """Mean length of words (Gopher: 3 to 10)."""
    return _ratio(documents.words.size, documents.words.number)


def hash_ratio(documents: Documents) -> Floats:
    """Hash signs per word (Gopher: 0.1)."""
    return _ratio(_floats(pc.count_substring(documents.texts, "#")), documents.words.number)


def ellipsis_ratio(documents: Documents) -> Floats:
    """Ellipses (… or three dots) per word (Gopher: 0.1)."""
    return _ratio(_floats(pc.count_substring_regex(documents.texts, ELLIPSIS)), documents.words.number)


def alphabetic_words(documents: Documents) -> Floats:
    """Share of words with at least one letter (Gopher: 0.8)."""
    return documents.words.share(_matches(documents.words, r"\p{L}"))


def stop_words(documents: Documents) -> Floats:
    """How many of eight English function words occur (Gopher: 2). Of no use for other languages."""
    words = documents.words
    found = np.asarray(pc.index_in(pc.utf8_lower(words.values), STOP_WORDS).fill_null(-1), dtype=np.int64)
    pairs = np.unique((words.owners * len(STOP_WORDS) + found)[found >= 0])
    return np.bincount(pairs // len(STOP_WORDS), minlength=words.n_documents).astype(np.float64)


def bullet_lines(documents: Documents) -> Floats:
    """Share of lines that begin with a bullet point (Gopher: 0.9)."""
    return documents.lines.share(_matches(documents.lines, BULLET))


def ellipsis_lines(documents: Documents) -> Floats:
    """Share of lines that end in an ellipsis (Gopher: 0.3)."""
    return documents.lines.share(_matches(documents.lines, ELLIPSIS + "$"))


def duplicate_lines(documents: Documents) -> Floats:
    """Share of lines that repeat an earlier line of the document (Gopher: 0.3)."""
    return documents.lines.share(_repeated(documents.lines.codes))


def duplicate_line_chars(documents: Documents) -> Floats:
    """Share of characters in lines that repeat an earlier one (Gopher: 0.2; FineWeb: 0.1)."""
    return documents.lines.share_of_chars(_repeated(documents.lines.codes))


def top_ngram_chars(documents: Documents, n: int) -> Floats:
    """Share of characters in the most frequent n-gram of n words; 0 if none occurs more than once.

    Of several equally frequent ones the longest counts. n: 1 to 10 (Gopher: 0.20, 0.18, 0.16 for n = 2, 3,
    4).
    """
    words, grams = documents.words, documents.ngrams[n - 1]
    inside = np.flatnonzero(grams >= 0)
    times = np.bincount(grams[inside])[grams[inside]]
    starts, times = inside[times > 1], times[times > 1]
    ends = np.cumsum(words.chars)
    chars = ends[starts + n - 1] - ends[starts] + words.chars[starts]
    best = np.zeros(words.n_documents, np.int64)
    np.maximum.at(best, words.owners[starts], times << 32 | chars)
    return _ratio(((best >> 32) * (best & 0xFFFFFFFF)).astype(np.float64), words.size)


def duplicate_ngram_chars(documents: Documents, n: int) -> Floats:
    """Share of characters in n-grams of n words that repeat an earlier one; overlaps count once.

    n: 1 to 10 (Gopher: 0.15 for n = 5, then 0.01 less for each word more, 0.10 for n = 10).
    """
    words, grams = documents.words, documents.ngrams[n - 1]
    starts = np.flatnonzero(_repeated(grams) & (grams >= 0))
    change = np.bincount(starts, minlength=len(grams) + 1) - np.bincount(starts + n, minlength=len(grams) + 1)
    return words.share_of_chars(np.cumsum(change)[:-1] > 0)


def lorem_ipsum(documents: Documents) -> Floats:
    """How often the placeholder "lorem ipsum" occurs (C4: 0)."""
    return _floats(pc.count_substring(documents.texts, "lorem ipsum", ignore_case=True))


def curly_brackets(documents: Documents) -> Floats:
    """Number of opening curly brackets (C4: 0, to keep code out)."""
    return _floats(pc.count_substring(documents.texts, "{"))


def sentences(documents: Documents) -> Floats:
    """Number of sentence ends, before white space or at the end of the text (C4: 3)."""
    return _floats(pc.count_substring_regex(documents.texts, SENTENCE))


def punctuated_lines(documents: Documents) -> Floats:
    """Share of lines that end as sentences do (FineWeb: 0.12)."""
    return documents.lines.share(_matches(documents.lines, TERMINAL))


def short_lines(documents: Documents) -> Floats:
    """Share of lines of fewer than 30 characters (FineWeb: 0.67)."""
    return documents.lines.share(documents.lines.chars < SHORT_LINE)


def _codes(values: pa.Array) -> Integers:
    """An integer for each value, from 0 in the order of first appearance; equal values have the same."""
    return np.asarray(values.dictionary_encode().indices, dtype=np.int64)


def _first(places: Integers, codes: Integers) -> Integers:
    """For codes in the order of first appearance, at ascending places: the place of each one's first."""
    return places[~_repeated(codes)][codes]


def _repeated(codes: Integers) -> Booleans:
    """Which codes, given in the order of first appearance, have been there before."""
    before = np.maximum.accumulate(np.concatenate([[-1], codes[:-1]])) if len(codes) else codes
    return codes <= before


def _matches(parts: Parts, pattern: str) -> Booleans:
    return np.asarray(pc.match_substring_regex(parts.values, pattern), dtype=np.bool_)


def _floats(values: pa.Array) -> Floats:
    return np.asarray(values, dtype=np.float64)


def _ratio(numerator: Floats, denominator: Floats) -> Floats:
    return np.divide(numerator, denominator, out=np.zeros(len(numerator)), where=denominator > 0)
