"""Measures of documents, for rules of quality: each a function from a batch of texts to a number for each.

Words are what stands between white space; lines are trimmed, and blank ones do not count; lengths are in
characters. Everything is computed over Arrow columns, a batch of documents in one pass a measure. In brackets
are the limits that the papers give (`pipeline.quality`).
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Booleans = npt.NDArray[np.bool_]

STOP_WORDS = pa.array(["the", "be", "to", "of", "and", "that", "have", "with"], pa.large_string())
BULLET = r"^[-*•‣⁃◦▪▸►●○■□–·]\s"
ELLIPSIS = r"(\.\.\.|…)"
TERMINAL = r"[.!?…][\"'”’»)\]]*$"
SENTENCE = r"[.!?…][\"'”’»)\]]*(\s|$)"
SHORT_LINE = 30


@dataclass(frozen=True)
class Parts:
    """The words or the lines of a batch of documents, one after another."""

    values: pa.Array  # large_string
    owners: Integers  # the number of the document of each, ascending
    n_documents: int

    @cached_property
    def chars(self) -> Integers:
        """Length of each part."""
        return np.asarray(pc.utf8_length(self.values), dtype=np.int64)

    @cached_property
    def codes(self) -> Integers:
        """A number for each distinct part of each document, by first appearance."""
        values = _codes(self.values)
        return _codes(pa.array(self.owners * (values.max(initial=0) + 1) + values))

    def total(self, weights: npt.NDArray[Any] | None = None) -> Floats:
        """The sum of the weights of each document's parts; without weights their number."""
        return np.bincount(self.owners, weights, self.n_documents).astype(np.float64)

    def share(self, selected: npt.NDArray[Any], weights: npt.NDArray[Any] | None = None) -> Floats:
        """The selected parts' share of each document's parts, or of their weight; 0 for no parts."""
        weight = np.ones(len(self.owners)) if weights is None else weights
        return _ratio(self.total(weight * selected), self.total(weight))


@dataclass(frozen=True)
class Documents:
    """A batch of texts and what several measures need of them."""

    texts: pa.Array  # large_string, no nulls

    @cached_property
    def words(self) -> Parts:
        """What stands between white space, but for the bars that trafilatura draws tables with."""
        lists = pc.utf8_split_whitespace(self.texts)
        values = pc.list_flatten(lists)
        return self._parts(
            lists, values, pc.invert(pc.or_(pc.equal(values, ""), pc.starts_with(values, "|")))
        )

    @cached_property
    def lines(self) -> Parts:
        """Trimmed lines that are not blank."""
        lists = pc.split_pattern(self.texts, "\n")
        values = pc.utf8_trim_whitespace(pc.list_flatten(lists))
        return self._parts(lists, values, pc.not_equal(values, ""))

    def _parts(self, lists: pa.Array, values: pa.Array, selected: pa.Array) -> Parts:
        owners = np.asarray(pc.list_parent_indices(lists), dtype=np.int64)[np.asarray(selected)]
        return Parts(values.filter(selected), owners, len(self.texts))

    @cached_property
    def ngrams(self) -> list[Integers]:
        """For n = 1 … 10: a number for the n words that begin at each word, equal for equal n-grams of a
        document, by first appearance; -1 where the document ends before. Exact: nothing is hashed.
        """
        words, grams = self.words.codes, [self.words.codes]
        for n in range(2, 11):
            rest = max(len(words) - n + 1, 0)
            inside = self.words.owners[:rest] == self.words.owners[n - 1 :]
            pairs = grams[-1][:rest] * (words.max(initial=0) + 1) + words[n - 1 :]
            gram = np.full(len(words), -1)
            gram[:rest][inside] = _codes(pa.array(pairs[inside]))
            grams.append(gram)
        return grams


def n_words(documents: Documents) -> Floats:
    """Number of words (Gopher: 50 to 100,000)."""
    return documents.words.total()


def mean_word_length(documents: Documents) -> Floats:
    """Mean length of words (Gopher: 3 to 10)."""
    return _ratio(documents.words.total(documents.words.chars), documents.words.total())


def hash_ratio(documents: Documents) -> Floats:
    """Hash signs for each word (Gopher: 0.1)."""
    return _ratio(_floats(pc.count_substring(documents.texts, "#")), documents.words.total())


def ellipsis_ratio(documents: Documents) -> Floats:
    """Ellipses for each word (Gopher: 0.1)."""
    return _ratio(_floats(pc.count_substring_regex(documents.texts, ELLIPSIS)), documents.words.total())


def alphabetic_words(documents: Documents) -> Floats:
    """Share of words with at least one letter (Gopher: 0.8)."""
    return documents.words.share(_matches(documents.words, r"\p{L}"))


def stop_words(documents: Documents) -> Floats:
    """How many of eight English function words occur (Gopher: 2). To be switched off for other languages."""
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
    """Share of lines that were in the document before (Gopher: 0.3)."""
    return documents.lines.share(_repeated(documents.lines.codes))


def duplicate_line_chars(documents: Documents) -> Floats:
    """Share of characters in such lines (Gopher: 0.2; FineWeb: 0.1)."""
    return documents.lines.share(_repeated(documents.lines.codes), documents.lines.chars)


def top_ngram_chars(documents: Documents, n: int) -> Floats:
    """Share of characters in the most frequent n-gram, the longest of several, if it occurs more than once
    (Gopher: 0.20, 0.18 and 0.16 for 2, 3 and 4 words).
    """
    words, grams = documents.words, documents.ngrams[n - 1]
    starts = np.flatnonzero(grams >= 0)
    times = np.bincount(grams[starts])[grams[starts]]
    ends = np.cumsum(words.chars)
    chars = ends[starts + n - 1] - ends[starts] + words.chars[starts]
    best = np.zeros(words.n_documents, np.int64)
    np.maximum.at(best, words.owners[starts], np.where(times > 1, times << 32 | chars, 0))
    return _ratio(((best >> 32) * (best & 0xFFFFFFFF)).astype(np.float64), words.total(words.chars))


def duplicate_ngram_chars(documents: Documents, n: int) -> Floats:
    """Share of characters in n-grams that were in the document before, overlaps counted once
    (Gopher: 0.15 for 5 words, then 0.01 less for each, 0.10 for 10).
    """
    words, grams = documents.words, documents.ngrams[n - 1]
    starts = np.flatnonzero(_repeated(grams) & (grams >= 0))
    change = np.bincount(starts, minlength=len(grams) + 1) - np.bincount(starts + n, minlength=len(grams) + 1)
    return words.share(np.cumsum(change)[:-1] > 0, words.chars)


def lorem_ipsum(documents: Documents) -> Floats:
    """How often the placeholder "lorem ipsum" occurs (C4: 0)."""
    return _floats(pc.count_substring(documents.texts, "lorem ipsum", ignore_case=True))


def curly_brackets(documents: Documents) -> Floats:
    """How many curly brackets open (C4: 0, to keep code out)."""
    return _floats(pc.count_substring(documents.texts, "{"))


def sentences(documents: Documents) -> Floats:
    """Number of sentence ends before white space (C4: 3)."""
    return _floats(pc.count_substring_regex(documents.texts, SENTENCE))


def punctuated_lines(documents: Documents) -> Floats:
    """Share of lines that end as sentences do (FineWeb: 0.12)."""
    return documents.lines.share(_matches(documents.lines, TERMINAL))


def short_lines(documents: Documents) -> Floats:
    """Share of lines of less than 30 characters (FineWeb: 0.67)."""
    return documents.lines.share(documents.lines.chars < SHORT_LINE)


def _codes(values: pa.Array) -> Integers:
    return np.asarray(values.dictionary_encode().indices, dtype=np.int64)


def _repeated(codes: Integers) -> Booleans:
    """Which codes, given by first appearance, are not the first of their kind."""
    before = np.maximum.accumulate(np.concatenate([[-1], codes[:-1]])) if len(codes) else codes
    return codes <= before


def _matches(parts: Parts, pattern: str) -> Booleans:
    return np.asarray(pc.match_substring_regex(parts.values, pattern), dtype=np.bool_)


def _floats(values: pa.Array) -> Floats:
    return np.asarray(values, dtype=np.float64)


def _ratio(numerator: Floats, denominator: Floats) -> Floats:
    return np.divide(numerator, denominator, out=np.zeros(len(numerator)), where=denominator > 0)
