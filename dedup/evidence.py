"""Where n-grams are in a text, for people to read."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from dedup.ngrams import NGrams

WORD = re.compile(r"[^\W_]+")  # the words of `dedup.words`, where they stand in the text
CONTEXT = 12  # words on either side


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
        result.append(Passage(before, text[start:end], after))
    return result
