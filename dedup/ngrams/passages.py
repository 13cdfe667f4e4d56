"""Runs of n-grams as passages of the original text."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from dedup.ngrams.hashing import NGramHasher

__all__ = ["Passage", "passages", "remove_passages"]

WORD = re.compile(r"[^\W_]+")  # the words of `dedup.words`, in the original text
CONTEXT = 12  # words on either side
MAX_CONTEXT, MAX_TEXT = 300, 2000  # characters: longer text is cut, a passage in its middle


@dataclass(frozen=True)
class Passage:
    """A piece of the original text, with what stands before and after it."""

    before: str
    text: str
    after: str


def passages(
    text: str, runs: Iterable[tuple[int, int]], ngrams: NGramHasher, context: int = CONTEXT
) -> list[Passage]:
    """The passage of each run of n-grams, in whole words.

    runs: (position of the first n-gram, number of n-grams). A text shorter than n units is one n-gram, at
    position 0. context: how many words before and after are quoted.
    """
    spans = [match.span() for match in WORD.finditer(text)]
    result = []
    for first, last in _touched(text, spans, runs, ngrams):
        start, end = spans[first][0], spans[last][1]
        before = text[spans[max(first - context, 0)][0] : start]
        after = text[end : spans[min(last + context, len(spans) - 1)][1]]
        result.append(Passage(before[-MAX_CONTEXT:], _cut(text[start:end]), after[:MAX_CONTEXT]))
    return result


def remove_passages(text: str, runs: Iterable[tuple[int, int]], ngrams: NGramHasher) -> str:
    """The text without the words of runs of n-grams (as in `passages`); the rest is joined by line breaks."""
    spans = [match.span() for match in WORD.finditer(text)]
    parts, end = [], 0
    for first, last in sorted(_touched(text, spans, runs, ngrams)):
        parts.append(text[end : max(spans[first][0], end)])
        end = max(end, spans[last][1])
    return "\n".join(part for part in map(str.strip, [*parts, text[end:]]) if WORD.search(part))


def _touched(
    text: str, spans: list[tuple[int, int]], runs: Iterable[tuple[int, int]], ngrams: NGramHasher
) -> list[tuple[int, int]]:
    """The indices of the first and the last word of each run."""
    words = [text[slice(*span)] for span in spans]
    distinct = list(dict.fromkeys(words))
    sizes = dict(zip(distinct, map(len, ngrams.units(distinct)), strict=True))
    ends = np.cumsum([sizes[word] for word in words])
    touched = []
    for position, count in runs:
        last_unit = min(position + count + ngrams.n - 1, int(ends[-1])) - 1
        first, last = np.searchsorted(ends, [position, last_unit], side="right").tolist()
        touched.append((first, last))
    return touched


def _cut(text: str) -> str:
    half = MAX_TEXT // 2
    return text if len(text) <= MAX_TEXT else f"{text[:half]} […] {text[-half:]}"
