"""What is found of benchmarks in documents, and of documents in benchmarks: shares of n-grams."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Share:
    """How many of how many."""

    hits: int
    total: int

    @property
    def share(self) -> float:
        """From 0 to 1; 0 of nothing is 0."""
        return self.hits / self.total if self.total else 0.0


@dataclass(frozen=True)
class Overlap:
    """What was seen of one benchmark.

    occurrences and distinct: of its n-grams. examples: with any n-gram seen. short: of its texts of fewer
    than n units, of which each is one of the n-grams above, and is seen only where it is a whole text.
    """

    name: str
    occurrences: Share
    distinct: Share
    examples: Share
    short: Share


@dataclass(frozen=True)
class Scan:
    """What a scan of documents found.

    n_grams, hits, longest_run: shape (documents,), int64: n-grams of the document, those which are in any
    benchmark, and the most of these in a row. benchmarks: names of those hit by each document, sorted.
    seen: shape (distinct n-grams of the index,), bool, in the order of `BenchmarkIndex.hashes`; scans of
    several partitions are joined by OR.
    """

    n_grams: NDArray[np.int64]
    hits: NDArray[np.int64]
    longest_run: NDArray[np.int64]
    benchmarks: list[list[str]]
    seen: NDArray[np.bool_]
