"""Where n-grams are in a text, for people to read."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from dedup.ngrams import NGrams

WORD = re.compile(r"[^\W_]+")  # the words of `dedup.words`, where they stand in the text
CONTEXT = 12  # words on either side
MAX_CONTEXT, MAX_TEXT = 300, 2000  # characters of a passage: what is longer is cut, a long text in its middle


@dataclass(frozen=True)
class Passage:
    """A piece of a text, as it is written there, between what stands around it."""

    before: str
    text: str
    after: str


def passages(
    text: str, runs: Iterable[tuple[int, int]], ngrams: NGrams, context: int = CONTEXT
) -> list[Passage]:
    """The passages of runs of n-grams: (position of the first, how many). Whole words, as many as they touch.

    A text shorter than n units is one n-gram, at position 0.
    """
    spans = [match.span() for match in WORD.finditer(text)]
    ends = np.cumsum([len(units) for units in ngrams.units([text[slice(*span)] for span in spans])])
    result = []
    for position, count in runs:
        last_unit = min(position + count + ngrams.n - 1, int(ends[-1])) - 1
        first, last = np.searchsorted(ends, [position, last_unit], side="right").tolist()
        start, end = spans[first][0], spans[last][1]
        before = text[spans[max(first - context, 0)][0] : start]
        after = text[end : spans[min(last + context, len(spans) - 1)][1]]
        result.append(Passage(before[-MAX_CONTEXT:], _cut(text[start:end]), after[:MAX_CONTEXT]))
    return result


def _cut(text: str) -> str:
    half = MAX_TEXT // 2
    return text if len(text) <= MAX_TEXT else f"{text[:half]} […] {text[-half:]}"
