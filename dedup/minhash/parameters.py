"""The parameters of near-duplicate detection."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from dedup.minhash import lsh, signatures

__all__ = ["FORMAT", "Parameters"]

FORMAT = 1  # of the index: goes up when hashing or banding changes


@dataclass(frozen=True)
class Parameters:
    """Which documents count as near-duplicates.

    threshold: Jaccard similarity of the sets of shingles from which on two documents are linked, 0 to 1.
    num_perm: permutations, so values of a signature. seed: of the permutations, as in datasketch.
    shingle: words of a shingle.
    """

    threshold: float = 0.7
    num_perm: int = 128
    seed: int = 1
    shingle: int = 5

    @cached_property
    def banding(self) -> tuple[int, int]:
        """Number of bands, and rows in each. Raises ValueError for a threshold that no banding fits."""
        return lsh.optimal_banding(self.threshold, self.num_perm)

    @property
    def identity(self) -> dict[str, Any]:
        """All that bucket hashes depend on, ready for JSON: buckets of equal identities can be compared.

        Raises what `banding` raises.
        """
        bands, rows = self.banding
        return {
            "format": FORMAT,
            "bands": bands,
            "rows": rows,
            "num_perm": self.num_perm,
            "seed": self.seed,
            "shingle": self.shingle,
            "permutations": signatures.checksum(self.num_perm, self.seed),
        }
