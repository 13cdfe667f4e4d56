"""Measures of documents for the rules of quality: functions from some documents to one float64 per document.

Each measure returns an array of shape (documents,). Shares lie between 0 and 1, and are 0 for a document
without words or lines. Words are separated by white space; lines are trimmed, and blank ones do not count;
lengths are in characters (code points). Everything is computed over Arrow columns, no Python object per word.
The limits in brackets are those of the papers that `pipeline.quality.rules` names.
"""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.quality.documents import Booleans, Documents, Floats, Parts, ratio, repeated

__all__ = [
    "STOP_WORDS",
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

STOP_WORDS = pa.array(["the", "be", "to", "of", "and", "that", "have", "with"], pa.large_string())
BULLET = r"^[-*•‣⁃◦▪▸►●○■□–·]\s"
ELLIPSIS = r"(\.\.\.|…)"
TERMINAL = r"[.!?…][\"'”’»)\]]*$"
SENTENCE = r"[.!?…][\"'”’»)\]]*(\s|$)"
SHORT_LINE = 30  # characters; shorter lines are short


def n_words(documents: Documents) -> Floats:
    """Number of words (Gopher: 50 to 100,000)."""
    return documents.words.number


def mean_word_length(documents: Documents) -> Floats:
    """Mean length of words (Gopher: 3 to 10)."""
    return ratio(documents.words.size, documents.words.number)


def hash_ratio(documents: Documents) -> Floats:
    """Hash signs per word (Gopher: 0.1)."""
    return ratio(_floats(pc.count_substring(documents.texts, "#")), documents.words.number)


def ellipsis_ratio(documents: Documents) -> Floats:
    """Ellipses (… or three dots) per word (Gopher: 0.1)."""
    return ratio(_floats(pc.count_substring_regex(documents.texts, ELLIPSIS)), documents.words.number)


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
    return documents.lines.share(repeated(documents.lines.codes))


def duplicate_line_chars(documents: Documents) -> Floats:
    """Share of characters in lines that repeat an earlier one (Gopher: 0.2; FineWeb: 0.1)."""
    return documents.lines.share_of_chars(repeated(documents.lines.codes))


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
    return ratio(((best >> 32) * (best & 0xFFFFFFFF)).astype(np.float64), words.size)


def duplicate_ngram_chars(documents: Documents, n: int) -> Floats:
    """Share of characters in n-grams of n words that repeat an earlier one; overlaps count once.

    n: 1 to 10 (Gopher: 0.15 for n = 5, then 0.01 less for each word more, 0.10 for n = 10).
    """
    words, grams = documents.words, documents.ngrams[n - 1]
    starts = np.flatnonzero(repeated(grams) & (grams >= 0))
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


def _matches(parts: Parts, pattern: str) -> Booleans:
    return np.asarray(pc.match_substring_regex(parts.values, pattern), dtype=np.bool_)


def _floats(values: pa.Array) -> Floats:
    return np.asarray(values, dtype=np.float64)
