"""Runs of n-grams that a document and an example of a benchmark have in common."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dedup.hashes import Hashes
from dedup.ngrams.benchmark_index import BenchmarkIndex

__all__ = ["Match", "matches"]

_MAX_POSITIONS = 1000  # of one n-gram in the benchmarks: further ones are ignored


@dataclass(frozen=True)
class Match:
    """A run of consecutive n-grams that are in a document and in an example."""

    example: int  # row of `BenchmarkIndex.examples`
    position: int  # of the first n-gram in the document
    example_position: int
    n_grams: int


def matches(index: BenchmarkIndex, document: Hashes, limit: int = 10) -> list[Match]:
    """The longest runs of n-grams that one document has in common with examples, longest first.

    document: the hashes of its n-grams, in order. limit: the most runs to return.
    """
    position, gram = index.lookup.find(document)
    source, place = _expand(index, gram)
    position = position[source]
    example = np.searchsorted(index.offsets, place, side="right") - 1
    example_position = place - index.offsets[example]
    diagonal = example_position - position
    order = np.lexsort([position, diagonal, example])
    position, example, diagonal = position[order], example[order], diagonal[order]
    begins = np.flatnonzero(
        (np.diff(example, prepend=-1) != 0)
        | (np.diff(diagonal, prepend=0) != 0)
        | (np.diff(position, prepend=-2) != 1)
    )
    lengths = np.diff(begins, append=len(position))
    best = begins[np.argsort(-lengths, kind="stable")[:limit]]
    lengths = np.sort(-lengths, kind="stable")[:limit] * -1
    return [
        Match(int(example[at]), int(position[at]), int(position[at] + diagonal[at]), int(length))
        for at, length in zip(best, lengths, strict=True)
    ]


def _expand(index: BenchmarkIndex, grams: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """All positions of n-grams: pairs of an index into `grams`, and into the n-grams of the examples."""
    first, positions = index.positions
    counts = np.minimum(first[grams + 1] - first[grams], _MAX_POSITIONS)
    source = np.repeat(np.arange(len(grams)), counts)
    within = np.arange(len(source)) - np.repeat(np.cumsum(counts) - counts, counts)
    return source, positions[first[grams][source] + within].astype(np.int64)
