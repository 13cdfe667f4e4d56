"""Results of comparing documents with benchmarks."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["BenchmarkOverlap", "ScanResult", "Share"]


@dataclass(frozen=True)
class Share:
    """How many of how many: `hits` of `total`."""

    hits: int
    total: int

    @property
    def share(self) -> float:
        """hits / total, from 0 to 1; 0 if total is 0."""
        return self.hits / self.total if self.total else 0.0


@dataclass(frozen=True)
class BenchmarkOverlap:
    """How much of one benchmark was seen.

    occurrences: of all its n-grams. distinct: of its n-grams, each counted once. examples: those with at
    least one n-gram seen. short: texts of fewer than n units; each counts as one n-gram above, which is seen
    only if a whole document has the same words.
    """

    name: str
    occurrences: Share
    distinct: Share
    examples: Share
    short: Share


@dataclass(frozen=True)
class ScanResult:
    """What a scan found in documents.

    n_grams, hits, longest_run: shape (documents,), int64: how many n-grams a document has, how many of them
    are in any benchmark, and the longest run of these. benchmarks: for each document the sorted names of the
    benchmarks that it shares n-grams with. seen: shape (distinct n-grams of the index,), bool, in the order
    of `BenchmarkIndex.hashes`; the results of several partitions are joined by OR.
    """

    n_grams: NDArray[np.int64]
    hits: NDArray[np.int64]
    longest_run: NDArray[np.int64]
    benchmarks: list[list[str]]
    seen: NDArray[np.bool_]
