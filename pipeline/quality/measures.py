"""Measures of documents, for rules of quality: each a function from a batch of texts to a number for each.

Words are what stands between white space; lines are trimmed, and blank ones do not count; lengths are in
characters. Everything is computed over Arrow columns, a batch of documents in one pass a measure. In brackets
are the limits that the papers give (`pipeline.quality.rules`).
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

    @cached_property
    def number(self) -> Floats:
        """The number of each document's parts."""
        return self._total(None)

    @cached_property
    def size(self) -> Floats:
        """The length of each document's parts, added up."""
        return self._total(self.chars)

    def share(self, selected: Booleans) -> Floats:
        """The selected parts' share of each document's parts; 0 for no parts."""
        return _ratio(self._total(selected), self.number)

    def share_of_chars(self, selected: Booleans) -> Floats:
        """The same of their length."""
        return _ratio(self._total(self.chars * selected), self.size)

    def _total(self, weights: npt.NDArray[Any] | None) -> Floats:
        return np.bincount(self.owners, weights, self.n_documents).astype(np.float64)


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
        """For n = 1 … 10: where the n words that begin at each word are in its document for the first time;
        -1 where the document ends before. Exact: nothing is hashed.

        Of words that begin no repeated n-gram, longer ones are not looked at: they are the first of theirs.
        """
        words, owners = self.words.codes, self.words.owners
        grams = [_first(np.arange(len(words)), words)]
        for n in range(2, 11):
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
    """Hash signs for each word (Gopher: 0.1)."""
    return _ratio(_floats(pc.count_substring(documents.texts, "#")), documents.words.number)


def ellipsis_ratio(documents: Documents) -> Floats:
    """Ellipses for each word (Gopher: 0.1)."""
    return _ratio(_floats(pc.count_substring_regex(documents.texts, ELLIPSIS)), documents.words.number)


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
    return documents.lines.share_of_chars(_repeated(documents.lines.codes))


def top_ngram_chars(documents: Documents, n: int) -> Floats:
    """Share of characters in the most frequent n-gram, the longest of several, if it occurs more than once
    (Gopher: 0.20, 0.18 and 0.16 for 2, 3 and 4 words).
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
    """Share of characters in n-grams that were in the document before, overlaps counted once
    (Gopher: 0.15 for 5 words, then 0.01 less for each, 0.10 for 10).
    """
    words, grams = documents.words, documents.ngrams[n - 1]
    starts = np.flatnonzero(_repeated(grams) & (grams >= 0))
    change = np.bincount(starts, minlength=len(grams) + 1) - np.bincount(starts + n, minlength=len(grams) + 1)
    return words.share_of_chars(np.cumsum(change)[:-1] > 0)


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


def _first(places: Integers, codes: Integers) -> Integers:
    """For codes by first appearance at ascending places: the place of the first of their kind."""
    return places[~_repeated(codes)][codes]


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
